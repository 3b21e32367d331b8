"""What writes: transformers as it comes, and vLLM's interface, tried on a stand-in with the same calls."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.distillation.scripted import Sums, responses_to_sum
from tokimp.chains.chain import Chain
from tokimp.chains.datasets import demo_chains
from tokimp.chains.tokenization import tokenize_chain
from tokimp.distillation.ask.sample import sample
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.loading import load_scorer
from tokimp.models.writing import TransformersEngine, load_engine
from tokimp.testing.random_models import CONTEXT_LENGTH, byte_tokenizer, random_model


def engine(**options: Any) -> TransformersEngine:
    """Return a small random model behind the engine."""
    return TransformersEngine(random_model("llama"), tokenizer=byte_tokenizer(), **options)


def test_it_writes_what_a_scorer_writes() -> None:
    """The embedded model writes the same greedy texts without a backend's hooks as with them."""
    chains = demo_chains(limit=4)
    plain, hooked = TransformersEngine("tiny"), load_scorer("tiny")
    prompts = [tokenize_chain(chain, plain.tokenizer).prompt_ids for chain in chains]
    texts = plain.generate(prompts, max_new_tokens=90)
    assert texts == hooked.generate(prompts, max_new_tokens=90)
    assert [text for (text,) in texts] == [f"{chain.reasoning}\n{chain.answer}" for chain in chains]
    assert plain.fingerprint() == hooked.fingerprint()
    assert plain.context_length == hooked.context_length


def test_texts_do_not_depend_on_the_batch() -> None:
    """The same seed gives the same texts in batches of any size; another seed gives others."""
    prompts = [[5, 6, 7], [8, 9], [10] * 9]
    settings: dict[str, Any] = {"max_new_tokens": 12, "n": 3, "temperature": 1.5}
    texts = engine().generate(prompts, seed=1, **settings)
    assert engine(batch_positions=25).generate(prompts, seed=1, **settings) == texts
    assert engine().generate(prompts, seed=2, **settings) != texts


def test_it_writes_and_does_nothing_else() -> None:
    """Log-probabilities are refused with a word on what gives them; a prompt without room is refused."""
    small = engine()
    chain = tokenize_chain(Chain("c", "q", "r", "a"), small.tokenizer)
    with pytest.raises(UnsupportedError, match=r"'transformers' only writes; tokimp\.load_scorer"):
        small.logprobs([chain])
    with pytest.raises(ScorerError, match="leaves no room"):
        small.generate([[5] * CONTEXT_LENGTH])


def test_an_unknown_engine_is_refused() -> None:
    """The message names the engines there are."""
    with pytest.raises(UnsupportedError, match="no engine 'llama_cpp'; engines are transformers, vllm"):
        load_engine("tiny", "llama_cpp")  # type: ignore[arg-type] # what a user might type


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    """A folder that is not there is an error that names it."""
    with pytest.raises(ScorerError, match="there is no model folder"):
        load_engine(str(tmp_path / "none"))


# -- vLLM -------------------------------------------------------------------------------------------------------------
def test_vllm_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vLLM cannot be imported, the message says what to install, or to take the other engine."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UnsupportedError, match=r"needs vLLM.* pip install vllm .* engine='transformers'"):
        load_engine("tiny", "vllm")


@dataclass
class SamplingParams:
    """The settings of vLLM's class of this name that tokimp gives."""

    n: int
    temperature: float
    max_tokens: int
    seed: int | None


class LLM:
    """Stands in for ``vllm.LLM``: the calls that tokimp makes, answered by a script; it runs no model."""

    made: list[dict[str, Any]]

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
        """Return a request's outputs a prompt, not in the order of their indices."""
        assert not use_tqdm
        requests = []
        for prompt, settings in zip(prompts, sampling_params, strict=True):
            choices = responses_to_sum(self.tokenizer.decode(prompt["prompt_token_ids"]).strip())
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
    LLM.made = []
    monkeypatch.setattr(module, "LLM", LLM, raising=False)
    monkeypatch.setattr(module, "SamplingParams", SamplingParams, raising=False)
    monkeypatch.setitem(sys.modules, "vllm", module)
    version = importlib.metadata.version
    monkeypatch.setattr("tokimp.models.vllm_writing.version", lambda name: "0.0")
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
    assert [sorted(each) for each in texts] == [sorted(responses_to_sum(text)) for text in ("1+2?", "3+4?")]
    assert made.tokens_forwarded == sum(map(len, prompts)) + 2 * 3 * 2
    greedy = made.generate(prompts, n=2)
    assert greedy == [[responses_to_sum(text)[0]] * 2 for text in ("1+2?", "3+4?")]
    assert made.generate([]) == []


def test_vllm_samples_chains(vllm: type[LLM], tmp_path: Path) -> None:
    """Sampling goes through it like through any other engine, and is told apart by the commit of its model."""
    task = Sums()
    report = sample(task, task.questions(limit=9), load_engine("owner/model", "vllm"), tmp_path, n=3)
    assert (report.teacher, report.kept, report.sampled) == ("owner/model", 9, 27)
    run = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert load_engine("owner/model", "vllm").fingerprint() in run
    assert load_engine("owner/other", "vllm").fingerprint() not in run


def test_vllm_knows_a_folder_by_its_files(vllm: type[LLM], tmp_path: Path) -> None:
    """Of a folder, the digest is of what is in its files."""
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
