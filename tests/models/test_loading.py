"""From names, folders and objects to scorers, and what is said when that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from tokimp.contracts import discovery
from tokimp.contracts.objective import Joint
from tokimp.contracts.registry import register_scorer
from tokimp.errors import PluginError, ScorerError, UnsupportedError
from tokimp.models import source as model_source
from tokimp.models.device import resolve_device, resolve_dtype
from tokimp.models.loading import load_model, load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_logprobs

BERT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model, in half precision, with its tokenizer."""
    path = tmp_path_factory.mktemp("models") / "small"
    random_model("llama").half().save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_a_folder_is_loaded_in_float32_on_a_cpu(folder: Path, backend: str) -> None:
    """A local folder gives the model's numbers, and dtype "auto" means float32 on a CPU, whatever the checkpoint's."""
    scorer = load_scorer(str(folder), backend, device="cpu")
    assert (scorer.device, scorer.dtype, scorer.backend) == ("cpu", "float32", backend)
    assert scorer.model_id == str(folder)
    chain, model = random_chain(4, 8, 2), random_model("llama")
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    expected = reference_logprobs(model, chain.prompt_ids, chain.reasoning_ids + chain.answer_ids)
    found = scorer.logprobs([chain])[0]
    np.testing.assert_allclose(np.concatenate([found.reasoning, found.answer]), expected, atol=1e-4)
    assert scorer.tokenizer.decode(scorer.tokenizer("Zoë", add_special_tokens=False)["input_ids"]) == "Zoë"


def test_a_dtype_that_is_asked_for_is_used(folder: Path) -> None:
    """An explicit precision is the model's, and what cannot be one is refused."""
    assert load_scorer(str(folder), "nnsight", device="cpu", dtype="bfloat16").dtype == "bfloat16"
    with pytest.raises(ScorerError, match="no dtype 'float3'"):
        load_scorer(str(folder), "nnsight", device="cpu", dtype="float3")


def test_the_weights_of_a_model_object_are_shared_and_the_object_stays_as_it_is() -> None:
    """The object keeps its modules, gradients and settings; its weights are not copied, and the fingerprint follows."""
    model = random_model("gpt2")
    modules = [type(module) for module in model.modules()]
    scorer = load_scorer(model, "transformer_lens", device="cpu", tokenizer=byte_tokenizer())
    before, fingerprint = scorer.logprobs([random_chain(3, 5, 1)])[0].reasoning, scorer.fingerprint()
    assert [type(module) for module in model.modules()] == modules
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert not np.array_equal(scorer.logprobs([random_chain(3, 5, 1)])[0].reasoning, before)
    assert scorer.fingerprint() != fingerprint


def test_a_model_object_in_another_precision_has_weights_of_its_own() -> None:
    """Converting weights for the scorer leaves those of the object as they are."""
    model = random_model("llama")
    scorer = load_scorer(model, "nnsight", device="cpu", dtype="bfloat16", tokenizer=byte_tokenizer())
    assert (scorer.dtype, model.dtype) == ("bfloat16", torch.float32)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_object_needs_a_tokenizer() -> None:
    """Without one the error says what to pass; what is no model is refused."""
    with pytest.raises(ScorerError, match="pass tokenizer="):
        load_scorer(random_model("gpt2"), "nnsight", device="cpu")
    with pytest.raises(ScorerError, match="not a transformers model"):
        load_scorer(torch.nn.Linear(2, 2), "nnsight", device="cpu", tokenizer=byte_tokenizer())
    with pytest.raises(ScorerError, match="not a int"):
        load_scorer(3, "nnsight")


def test_a_folder_without_a_tokenizer_says_so(folder: Path, tmp_path: Path) -> None:
    """A model without tokenizer files is an error that names the folder; a tokenizer given helps."""
    random_model("llama").save_pretrained(tmp_path)
    with pytest.raises(ScorerError, match=r"no tokenizer.*into that folder \(in Python, pass tokenizer=\)$"):
        load_model(str(tmp_path), device="cpu")
    with pytest.raises(ScorerError, match=r"no tokenizer.*; pass another one as tokenizer=$"):
        load_model(str(folder), device="cpu", tokenizer=str(tmp_path))
    assert load_model(str(tmp_path), device="cpu", tokenizer=str(folder)).tokenizer.vocab_size == 259


@pytest.mark.parametrize("name", ["no-such-folder/no-such-model", "missing/model.gguf"])
def test_a_model_that_does_not_exist_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the model and what it was tried as, in one line."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ScorerError) as caught:
        load_scorer(name, "nnsight", device="cpu")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_with_several_gguf_files_asks_which(tmp_path: Path) -> None:
    """Two GGUF files and no configuration: the error names one as an example."""
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ScorerError, match=r"holds 2 GGUF files; name one.*a\.gguf"):
        load_model(str(tmp_path), device="cpu")
    with pytest.raises(ScorerError, match="cannot load a causal language model"):
        load_model(str(tmp_path / "a.gguf"), device="cpu")


def test_models_that_are_no_decoders_are_refused() -> None:
    """Encoders and encoder-decoders are named as such, with what to use instead."""
    config = AutoConfig.for_model("t5", d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=50)
    auto: Any = AutoModelForSeq2SeqLM
    with pytest.raises(UnsupportedError, match=r"t5.*encoder-decoder.*causal language model"):
        load_scorer(auto.from_config(config), "nnsight", device="cpu", tokenizer=byte_tokenizer())
    with pytest.raises(UnsupportedError, match=r"bert.*not causal"):
        load_scorer(random_model("bert", **BERT), "nnsight", device="cpu", tokenizer=byte_tokenizer())


def test_devices_and_precisions_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto takes CUDA, then MPS, then the CPU; it means float32 on a CPU and the checkpoint's own elsewhere."""
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert resolve_device("auto") == expected
    assert resolve_dtype("auto", "cpu") is torch.float32
    assert resolve_dtype("auto", "cuda:1") is None
    assert resolve_dtype("float16", "cpu") is torch.float16
    with pytest.raises(ScorerError, match="torch finds none here"):
        resolve_device("cuda:3")
    with pytest.raises(ScorerError, match="no device 'gpu'"):
        resolve_device("gpu")


def test_the_embedded_model_is_read_from_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name "tiny" means the folder in the package, and its absence is a clear error."""
    root = folder.parent / "package"
    (root / "chains" / "datasets").mkdir(parents=True)
    monkeypatch.setattr(model_source, "files", lambda package: root)
    with pytest.raises(ScorerError, match=r"embedded model 'tiny' is missing.*train_tiny\.py"):
        load_model("tiny", device="cpu")
    (root / "chains" / "datasets" / "tiny").symlink_to(folder)
    assert load_model("tiny", device="cpu").model_id == "tiny"


def test_backends_that_do_not_exist_or_are_no_scorers_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown backend, a class that is no scorer and an option nobody knows are each one clear error."""
    with pytest.raises(PluginError, match=r"no scorer named 'other'.*nnsight"):
        load_scorer(str(folder), "other")
    # What is registered here must not be there for other tests.
    monkeypatch.setitem(discovery.registered, "scorers", {})
    register_scorer("a_dictionary_for_tests")(dict)
    with pytest.raises(PluginError, match=r"dict is not a subclass of Scorer"):
        load_scorer([], "a_dictionary_for_tests")
    with pytest.raises(ScorerError, match=r"does not take these options.*colour"):
        load_scorer(str(folder), "nnsight", device="cpu", colour="blue")


def test_the_core_loads_no_backend() -> None:
    """Importing what loads scorers imports neither backend."""
    code = "import sys, tokimp.models.loading; assert not {'nnsight', 'transformer_lens'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "~/no-such-model", "runs/no/model"])
def test_what_looks_like_a_path_is_not_looked_for_on_the_hub(name: str) -> None:
    """A path that is not there is said to be missing, without asking the hub."""
    with pytest.raises(ScorerError, match=r"there is no model folder or GGUF file.*; check the path, or give a hub id"):
        load_model(name)


def test_a_folder_that_holds_no_model_says_where_one_is(tmp_path: Path) -> None:
    """Without a config.json the error says what to give: the model in the folder, if it is that of a training."""
    with pytest.raises(ScorerError, match=r"no config\.json in it; give the folder of a model, such as"):
        load_model(str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ScorerError, match=rf"no config\.json in it; give its model, '{tmp_path / 'model'}'"):
        load_model(str(tmp_path))


def test_a_misspelt_embedded_model_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error about a name close to the embedded model's asks whether that was meant."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ScorerError, match="did you mean 'tiny'"):
        load_model("tinny")


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_a_cpu_is_kept_to_where_torch_finds_a_gpu(folder: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With device="cpu" on a machine that has a GPU (pretended), nothing is put there and every number is the CPU's."""
    chain, whole, candidates = random_chain(4, 8, 2), tuple(range(8)), [(place,) for place in range(8)]

    def numbers() -> list[Any]:
        scorer = load_scorer(str(folder), backend, device="cpu")
        scores = scorer.score_deletions(chain, whole, candidates, Joint()).objective
        gradients = scorer.embedding_gradients(chain, Joint())
        written = scorer.generate([[3, 4, 5]], max_new_tokens=3)
        return [scorer.logprobs([chain])[0].reasoning, scores, *gradients, scorer.attention(chain), written]

    expected = numbers()
    # Whatever is moved to this GPU fails, as it does where a build of torch has none.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr("transformers.pipelines.base.is_torch_cuda_available", lambda: True)
    for found, wanted in zip(numbers(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
