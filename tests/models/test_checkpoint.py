"""Checkpoints that do not fit their configuration, and model objects in half precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.loading import load_model, load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

UP = "model.layers.1.mlp.up_proj.weight"


def saved(folder: Path, *, drop: str = "", rename: str = "", fill: float | None = None, **fields: Any) -> str:
    """Save a small llama, then drop, rename or fill a weight, or change fields of its configuration."""
    random_model("llama").save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    file, config = folder / "model.safetensors", folder / "config.json"
    weights = load_file(file)
    if drop:
        del weights[drop]
    if rename:
        weights[f"old_{rename}"] = weights.pop(rename)
    if fill is not None:
        weights[UP][0, 0] = fill
    save_file(weights, file, metadata={"format": "pt"})
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | fields), "utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": UP}, rf"it lacks {UP}\. Random numbers"),
        ({"rename": UP}, rf"it lacks {UP}; it has old_{UP} that the model has no place for"),
        ({"drop": "lm_head.weight"}, r"it lacks lm_head\.weight"),
        ({"num_hidden_layers": 5}, r"it lacks model\.layers\.3\..* and 15 more"),
        ({"intermediate_size": 64}, r"mlp\.down_proj\.weight, .* of another shape"),
        ({"num_hidden_layers": 2}, r"more layers than its configuration says \(num_hidden_layers: 2\), such as"),
        ({"num_hidden_layers": -1}, r"says num_hidden_layers: -1; a model has at least one layer"),
        ({"num_hidden_layers": 0}, r"says num_hidden_layers: 0; a model has at least one layer"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_what_is_missing(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """Missing, renamed or misshapen weights, and another number of layers, are named before any number is given."""
    with pytest.raises(ScorerError, match=message):
        load_model(saved(tmp_path, **change), device="cpu")


def test_weights_that_are_tied_need_not_be_there(tmp_path: Path) -> None:
    """An output projection that is the embedding is not missing."""
    folder = saved(tmp_path, drop="lm_head.weight", tie_word_embeddings=True)
    assert load_model(folder, device="cpu").dtype == "float32"


def test_a_weight_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """A model whose logits are not finite gives no numbers."""
    with pytest.raises(UnsupportedError, match=r"logits that are not finite in float32; its weights may be damaged"):
        load_model(saved(tmp_path, fill=float("nan")), device="cpu")


@pytest.mark.parametrize("content", [b"garbage", b"", b"GGUF" + b"\xff" * 99])
def test_a_file_that_is_no_gguf_is_called_that(content: bytes, tmp_path: Path) -> None:
    """A damaged GGUF file is said to be damaged, not to lack a configuration."""
    (tmp_path / "model.gguf").write_bytes(content)
    for name in (tmp_path / "model.gguf", tmp_path):
        with pytest.raises(ScorerError, match=r"GGUF file.*fetch it again") as caught:
            load_model(str(name), device="cpu")
        assert "config.json" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text"])
def test_a_model_object_in_half_precision_is_the_model_of_its_folder(
    architecture: str, dtype: str, tmp_path: Path
) -> None:
    """The same weights give the same numbers and fingerprint from a folder and from an object, to the bit."""
    model = random_model(architecture).to(torch.float16 if dtype == "float16" else torch.bfloat16)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    options: dict[str, Any] = {"device": "cpu", "dtype": dtype, "tokenizer": byte_tokenizer()}
    scorers = [load_scorer(source, "transformer_lens", **options) for source in (model, str(tmp_path))]
    of_object, of_folder = (scorer.logprobs([random_chain(4, 60, 3)])[0].reasoning for scorer in scorers)
    np.testing.assert_array_equal(of_object, of_folder)
    assert scorers[0].fingerprint() == scorers[1].fingerprint()


def test_a_model_that_cannot_run_in_half_precision_says_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw error of a model in half precision becomes a refusal that names float32."""
    model = random_model("llama")

    def fails(*arguments: Any, **inputs: Any) -> torch.Tensor:
        raise RuntimeError("expected m1 and m2 to have the same dtype")

    monkeypatch.setattr(type(model.model.layers[0].mlp), "forward", fails)
    with pytest.raises(UnsupportedError, match=r"llama\) cannot run in float16: expected m1.*use dtype='float32'"):
        load_model(model, device="cpu", dtype="float16", tokenizer=byte_tokenizer())


def test_a_model_whose_rows_depend_on_each_other_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sequence gets other numbers in a batch than alone, as experts with a capacity give, nothing is given."""
    model = random_model("llama")
    kind = type(model.model.layers[0].mlp)
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, hidden: forward(self, hidden) / len(hidden))
    with pytest.raises(UnsupportedError, match="other numbers in a batch than alone"):
        load_model(model, device="cpu", tokenizer=byte_tokenizer())
