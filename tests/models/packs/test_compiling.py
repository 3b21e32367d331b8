"""Packs that compiled blocks read: the numbers of blocks that are run as they are written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.models.packs.architectures import PACKABLE
from tokimp.contracts.objective import Joint
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.models.packs import packed_model
from tokimp.models.packs.compiling import compile_blocks
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain


@pytest.fixture(autouse=True)
def no_code_of_other_tests() -> Iterator[None]:
    """Forget what was compiled, so that no test finds another's blocks."""
    yield
    torch.compiler.reset()


def scorer_of(model: Any, **options: Any) -> CausalLMScorer:
    """Return a scorer of a model on a CPU."""
    scorer = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer(), **options)
    assert isinstance(scorer, CausalLMScorer)
    return scorer


def deletions(scorer: CausalLMScorer) -> list[float]:
    """Return the scores of three steps of deletions, whose packs are of different sizes."""
    chain, found = random_chain(6, 10, 3), []
    kept = list(range(10))
    for gone in (4, 0, 8):
        found += list(score_unit_deletions(scorer, chain, kept, Joint()).objective)
        kept.remove(gone)
    return found


@pytest.fixture
def as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide blocks into the parts that are compiled, and run each part as it is written: no compiler is needed."""
    compile_module = torch.nn.Module.compile

    def compile_without_code(self: torch.nn.Module, *given: Any, **named: Any) -> None:
        compile_module(self, *given, **named, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_without_code)


@pytest.mark.usefixtures("as_written")
@pytest.mark.slow
def test_the_parts_of_blocks_give_what_whole_blocks_give() -> None:
    """With its attention taken out between two parts, a block computes the same, and one function serves all blocks."""
    model = random_model("llama", num_hidden_layers=12)
    torch._dynamo.utils.counters.clear()
    parts = scorer_of(model, packed=True, compiled=True)
    assert parts.batching == "packs of rows of any length, compiled"
    assert deletions(parts) == pytest.approx(deletions(scorer_of(model, packed=True)), abs=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] < 12


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs a C++ compiler")
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "gpt_neox", "deepseek_v3"])
def test_compiled_blocks_give_the_same_numbers(architecture: str) -> None:
    """Fused kernels give what the operations one by one give, to rounding, on blocks of several kinds."""
    model = random_model(architecture, **PACKABLE[architecture])
    compiled = deletions(scorer_of(model, packed=True, compiled=True))
    assert compiled == pytest.approx(deletions(scorer_of(model, packed=True)), abs=1e-4)


@pytest.mark.parametrize("packed", [False, "auto"])
def test_batches_are_not_compiled(packed: Any) -> None:
    """Where batches are read, asking for compiled blocks is an error that says what to add."""
    with pytest.raises(ScorerError, match="compiled=true is for packs, and batches are read here; add packed=true"):
        scorer_of(random_model("llama"), packed=packed, compiled=True)


def test_a_model_that_cannot_be_packed_is_not_compiled() -> None:
    """The reason is the one for which it is read in batches."""
    with pytest.raises(UnsupportedError, match=r"cannot be read in packs: .*; leave out compiled=true"):
        scorer_of(random_model("bloom"), packed=True, compiled=True)


@pytest.mark.parametrize("when", ["set up", "run"])
def test_a_failing_compiler_is_named(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a compiler says is passed on, and not as a fault of packs; the model can be read without it."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no C++ compiler")

    def fail_when_run(trunk: Any, n_blocks: int) -> None:
        compile_blocks(trunk, n_blocks)
        monkeypatch.setattr(trunk, "forward", fail)

    monkeypatch.setattr(packed_model, "compile_blocks", fail if when == "set up" else fail_when_run)
    with pytest.raises(UnsupportedError, match=r"cannot be compiled: no C\+\+ compiler; leave out compiled=true"):
        scorer_of(random_model("llama"), packed=True, compiled=True)


def test_blocks_that_are_not_in_one_list_are_named() -> None:
    """A trunk whose list of blocks has another length is not taken apart by guess."""
    trunk = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Linear(2, 2)])})
    with pytest.raises(ValueError, match="its 3 blocks are not in one list"):
        compile_blocks(trunk, 3)
