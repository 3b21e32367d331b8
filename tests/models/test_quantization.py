"""Quantised weights: configurations by name and options, and what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BitsAndBytesConfig, QuantoConfig
from transformers.quantizers import auto as methods
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from tokimp.compare.before_loading import check_before_loading
from tokimp.contracts.objective import Joint
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.loading import load_scorer
from tokimp.models.quantization import describe_quantization, passes_gradients, read_quantization
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAIN = random_chain(4, 8, 2)


def rounded(weight: torch.Tensor, steps: int) -> torch.Tensor:
    """Return weights rounded to so many steps between 0 and the largest of each row."""
    scale = weight.abs().amax(dim=1, keepdim=True) / steps
    return (weight / scale).round() * scale


class RoundingConfig(QuantizationConfigMixin):
    """The configuration of a method that rounds the weights of the layers."""

    def __init__(self, steps: int = 127, trainable: bool = True, **kwargs: Any) -> None:
        method: Any = "rounding"  # none of those that transformers has
        self.quant_method, self.steps, self.trainable = method, steps, trainable


class RoundingQuantizer(HfQuantizer):
    """Rounds the weights of a model's layers once they are loaded, in transformers' own machinery."""

    requires_calibration = False
    quantization_config: Any

    def _process_model_before_weight_loading(self, model: Any, **kwargs: Any) -> None:
        pass

    def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> Any:
        for module in model.get_decoder().modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.data = rounded(module.weight.data, self.quantization_config.steps)
        return model

    @property
    def is_trainable(self) -> bool:
        """Whether gradients pass."""
        return bool(self.quantization_config.trainable)

    def is_serializable(self, **kwargs: Any) -> bool:
        """Whether it can be saved."""
        return False


@pytest.fixture(autouse=True)
def _rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the method ``rounding`` one of transformers' methods."""
    monkeypatch.setitem(methods.AUTO_QUANTIZATION_CONFIG_MAPPING, "rounding", RoundingConfig)
    monkeypatch.setitem(methods.AUTO_QUANTIZER_MAPPING, "rounding", RoundingQuantizer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small llama and its tokenizer."""
    path = tmp_path_factory.mktemp("quantised") / "small"
    random_model("llama").save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize(
    "quantization", ["rounding:steps=7", {"quant_method": "rounding", "steps": 7}, RoundingConfig(steps=7)]
)
@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_a_quantization_reaches_the_weights(folder: Path, backend: str, quantization: Any) -> None:
    """However it is written, the numbers are those of a model whose weights were rounded by hand, and runs tell it."""
    model = random_model("llama")
    for module in model.get_decoder().modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = rounded(module.weight.data, 7)
    by_hand = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer())
    quantised = load_scorer(folder, backend, device="cpu", quantization=quantization)
    plain = load_scorer(folder, backend, device="cpu")
    numbers = [scorer.logprobs([CHAIN])[0].reasoning for scorer in (by_hand, quantised, plain)]
    np.testing.assert_allclose(numbers[1], numbers[0], atol=1e-4)
    assert not np.allclose(numbers[1], numbers[2], atol=0.1)
    assert quantised.fingerprint() != plain.fingerprint()
    assert quantised.loading == {"quantization": {"quant_method": "rounding", "steps": 7, "trainable": True}}


def test_what_runs_store_asks_for_the_same_again(folder: Path) -> None:
    """The description that a run stores, given back as it is or as JSON, is the same quantisation."""
    described = describe_quantization(read_quantization("rounding:steps=5"))
    assert describe_quantization(read_quantization(described)) == described
    as_text = '{"quant_method": "rounding", "steps": 5, "trainable": true}'
    assert describe_quantization(read_quantization(as_text)) == described


def test_names_and_options_make_the_configurations_of_transformers() -> None:
    """Bits and bytes by name, with options and without; a configuration is taken as it is."""
    four = read_quantization("bitsandbytes_4bit:bnb_4bit_quant_type=nf4,bnb_4bit_compute_dtype=bfloat16")
    assert isinstance(four, BitsAndBytesConfig)
    assert (four.load_in_4bit, four.bnb_4bit_quant_type, four.bnb_4bit_compute_dtype) == (True, "nf4", torch.bfloat16)
    eight = read_quantization({"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert (eight.load_in_8bit, eight.load_in_4bit) == (True, False)
    quanto = QuantoConfig(weights="int4")
    assert read_quantization(quanto) is quanto
    again = read_quantization(describe_quantization(four))
    assert describe_quantization(again) == describe_quantization(four)


@pytest.mark.parametrize(
    ("quantization", "said"),
    [
        ("nothing_known", r"no quantization 'nothing_known'.*write NAME.*methods are .*bitsandbytes_4bit"),
        ("gguf", "no quantization 'gguf'"),
        ("quanto:colour=blue", "no option 'colour'; it has weights"),
        ("quanto:weights=int3", "int3"),
        ("quanto:weights", "no quantization 'quanto:weights'"),
        ("{", "is not JSON"),
        (8, "not a int"),
    ],
)
def test_a_quantization_that_cannot_be_done_is_refused_before_loading(quantization: Any, said: str) -> None:
    """What is unknown, or takes other options, is refused with what to write, before the model is looked for."""
    with pytest.raises(ScorerError, match=said):
        load_scorer("no-such-folder/model", "nnsight", device="cpu", quantization=quantization)


def test_gradients_that_do_not_pass_are_refused_before_loading(folder: Path) -> None:
    """An estimator of gradients is refused where the method lets none pass, and the message says what to do."""
    assert passes_gradients(read_quantization("rounding"))
    options: dict[str, Any] = {"backend": "nnsight", "objective": "joint", "unit": "token", "prompt_format": "plain"}
    with pytest.raises(UnsupportedError, match=r"'gradient' requires gradients, and none pass.*another quantization"):
        check_before_loading([], ["gradient"], model=str(folder), quantization="rounding:trainable=false", **options)


def test_a_checkpoint_is_not_quantised_twice(folder: Path, tmp_path: Path) -> None:
    """A checkpoint whose configuration says that it is quantised takes no other quantisation."""
    twice = tmp_path / "twice"
    twice.mkdir()
    for file in folder.iterdir():
        (twice / file.name).write_bytes(file.read_bytes())
    config = (twice / "config.json").read_text("utf-8").rstrip().rstrip("}")
    (twice / "config.json").write_text(f'{config}, "quantization_config": {{"quant_method": "rounding"}}}}', "utf-8")
    with pytest.raises(ScorerError, match="is quantised already; leave the quantization out"):
        load_scorer(twice, "nnsight", device="cpu", quantization="rounding:steps=7")


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize(
    ("library", "quantization"),
    [
        ("torchao", "torchao:quant_type=Int8WeightOnlyConfig"),
        ("optimum.quanto", "quanto:weights=int8"),
        ("bitsandbytes", "bitsandbytes_4bit:bnb_4bit_quant_type=nf4"),
    ],
)
def test_a_library_that_is_installed_quantises(tmp_path: Path, backend: str, library: str, quantization: str) -> None:
    """Where a library is here: what estimators need, the same scores in packs and from scratch, one fingerprint."""
    pytest.importorskip(library)
    random_model("llama", hidden_size=64, intermediate_size=128, head_dim=16).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    whole, candidates = tuple(range(8)), [(place,) for place in range(8)]
    scorers: list[Any] = [
        load_scorer(tmp_path, backend, device="cpu", quantization=quantization, packed=packed)
        for packed in (False, True)
    ]
    plain = load_scorer(tmp_path, backend, device="cpu")
    scores = [scorer.score_deletions(CHAIN, whole, candidates, Joint()).objective for scorer in scorers]
    from_scratch = scorers[0].reusing(reuse_kv=False).score_deletions(CHAIN, whole, candidates, Joint()).objective
    np.testing.assert_allclose(scores[0], from_scratch, atol=0.05)
    np.testing.assert_allclose(scores[1], from_scratch, atol=0.05)
    assert abs(scores[0] - plain.score_deletions(CHAIN, whole, candidates, Joint()).objective).max() > 0.05
    assert scorers[0].capabilities >= {"attention", "deletions", "generation", "gradients", "logprobs"}
    assert scorers[0].fingerprint() == scorers[1].fingerprint() != plain.fingerprint()
