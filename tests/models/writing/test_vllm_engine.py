"""Writing with vLLM, tried on a stand-in with the same calls."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.distillation.scripted import Sums, responses_to_sum
from tokimp.distillation.ask.sample import sample
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.writing.load import load_engine
from tokimp.testing.random_models import byte_tokenizer


@dataclass
class SamplingParams:
    """The settings of vLLM's class of this name that tokimp gives."""

    n: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int | None


class LLM:
    """Stands in for ``vllm.LLM``: the calls that tokimp makes, answered by a script; it runs no model."""

    made: list[dict[str, Any]]
    nuclei: list[float]

    def __init__(self, **options: Any) -> None:
        if options["model"] == "broken":
            raise ValueError("no kernel\nfor this card")
        self.made.append(options)
        model_config = SimpleNamespace(
            max_model_len=64, dtype="torch.bfloat16", hf_config=SimpleNamespace(_commit_hash="abc")
        )
        self.llm_engine = SimpleNamespace(model_config=model_config)
        self.tokenizer = byte_tokenizer()

    def get_tokenizer(self) -> Any:
        """Return a tokenizer of transformers."""
        return self.tokenizer

    def generate(self, prompts: list[dict[str, Any]], sampling_params: list[SamplingParams], use_tqdm: bool) -> Any:
        """Return one request for each prompt, its outputs not in the order of their indices."""
        assert not use_tqdm
        requests = []
        for prompt, settings in zip(prompts, sampling_params, strict=True):
            choices = responses_to_sum(self.tokenizer.decode(prompt["prompt_token_ids"]).strip())
            self.nuclei.append(settings.top_p)
            outputs = [
                SimpleNamespace(index=index, text=choices[((settings.seed or 0) + index) % 3], token_ids=[1, 2])
                for index in range(settings.n)
            ]
            requests.append(SimpleNamespace(outputs=outputs[::-1]))
        return requests


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> type[LLM]:
    """Put a module with the stand-ins in vLLM's place."""
    module = ModuleType("vllm")
    LLM.made, LLM.nuclei = [], []
    monkeypatch.setattr(module, "LLM", LLM, raising=False)
    monkeypatch.setattr(module, "SamplingParams", SamplingParams, raising=False)
    monkeypatch.setitem(sys.modules, "vllm", module)
    version = importlib.metadata.version
    monkeypatch.setattr("tokimp.models.writing.vllm_engine.version", lambda name: "0.0")
    monkeypatch.setattr("tokimp.results.provenance.version", lambda name: "0.0" if name == "vllm" else version(name))
    return LLM


def test_vllm_is_asked_as_it_wants(vllm: type[LLM]) -> None:
    """Prompts go as ids, each with a seed of its own; texts come back in order, and positions are counted."""
    made = load_engine("owner/model", "vllm", dtype="bfloat16", tensor_parallel_size=2)
    assert vllm.made[0]["tensor_parallel_size"] == 2
    assert vllm.made[0]["model"] == "owner/model"
    assert (made.context_length, made.dtype, made.backend) == (64, "bfloat16", "vllm")
    prompts = [made.tokenizer("1+2?")["input_ids"], made.tokenizer("3+4?")["input_ids"]]
    texts = made.generate(prompts, n=3, temperature=0.7, seed=3)
    assert [sorted(choices) for choices in texts] == [sorted(responses_to_sum(text)) for text in ("1+2?", "3+4?")]
    assert made.tokens_forwarded == sum(map(len, prompts)) + 2 * 3 * 2
    greedy = made.generate(prompts, n=2)
    assert greedy == [[responses_to_sum(text)[0]] * 2 for text in ("1+2?", "3+4?")]
    assert made.generate([]) == []
    made.generate(prompts, n=2, temperature=0.7, top_p=0.9)
    assert vllm.nuclei == [1.0] * 4 + [0.9] * 2


def test_vllm_samples_chains(vllm: type[LLM], tmp_path: Path) -> None:
    """`sample` works with vLLM as with any engine, and the run folder records the commit of its model."""
    task = Sums()
    report = sample(task, task.questions(limit=9), load_engine("owner/model", "vllm"), tmp_path, n=3)
    assert (report.teacher, report.kept, report.sampled) == ("owner/model", 9, 27)
    run = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert load_engine("owner/model", "vllm").fingerprint() in run
    assert load_engine("owner/other", "vllm").fingerprint() not in run


def test_vllm_knows_a_folder_by_its_files(vllm: type[LLM], tmp_path: Path) -> None:
    """A folder's digest changes when its files change."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = load_engine(tmp_path, "vllm").fingerprint()
    assert load_engine(tmp_path, "vllm").fingerprint() == before
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert load_engine(tmp_path, "vllm").fingerprint() != before


@pytest.mark.usefixtures("vllm")
def test_what_vllm_cannot_do_is_refused() -> None:
    """A model that it cannot load, a device by name and a model object are errors that say so."""
    with pytest.raises(ScorerError, match=r"vLLM cannot load 'broken' \(ValueError: no kernel for this card\)"):
        load_engine("broken", "vllm")
    with pytest.raises(UnsupportedError, match="device='cpu' cannot be asked for"):
        load_engine("owner/model", "vllm", device="cpu")
    with pytest.raises(ScorerError, match="a hub id or a folder, not a dict"):
        load_engine({}, "vllm")
