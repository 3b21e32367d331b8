"""Analyses on workers: the bits of this process, what is kept after a kill, and analyses that cannot be divided."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tests.compare.executors.byte_scorer import chains, scorer
from tokimp.analysis.asked_chain import AskAboutChain, NotAsked, OneChain
from tokimp.analysis.elsewhere import InMemory
from tokimp.analysis.kept_chains import FOLDER
from tokimp.analysis.recorded_run import rebuild_chains
from tokimp.chains.chain import CategorySpan, Chain
from tokimp.compare.executors.processes import ProcessesExecutor
from tokimp.contracts.analysis import Analysis, AnalysisInput, Found
from tokimp.contracts.categorizer import Categorizer
from tokimp.contracts.objective import Joint
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError

SETTINGS: dict[str, Any] = {"n_uniform": 2, "keep_ratios": [0.5, 1.0]}


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessesExecutor]:
    """Return two workers, which keep their model from test to test."""
    with ProcessesExecutor(workers=2, retries=3) as running:
        yield running


@pytest.fixture(scope="module")
def run() -> xr.DataTree:
    """Return a result of seven chains of letters."""
    return ti.compare(chains(), scorer(), ["leave_one_out", "position"], prompt_format="plain")


def node_of(analyzed: xr.DataTree) -> xr.Dataset:
    """Return the only node of a result."""
    (node,) = analyzed["analysis"].children.values()
    return node.to_dataset()


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Assert that two nodes are the same to the bit, but for the seconds they took."""
    xr.testing.assert_identical(one.assign_attrs(seconds=0), other.assign_attrs(seconds=0))


class Twice(Analysis):
    """Asks two things of each chain, the second one after the first; its worker can die of a chain."""

    name = "twice"
    requires: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGPROBS})

    def __init__(self, dies_on: str = "", notes: str = "") -> None:
        self.dies_on = dies_on
        self.notes = notes

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the log-likelihood of each answer, and its double, [chain]."""
        doubled = []
        for index, chain in enumerate(inputs.scoring.chains):

            def likelihood(chain: Any = chain) -> dict[str, Any]:
                if chain.id == self.dies_on and not (Path(self.notes) / "died").exists():
                    (Path(self.notes) / "died").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return {"answer": inputs.scoring.scorer.logprobs([chain])[0].answer.sum(keepdims=True)}

            answer = inputs.keep(index, likelihood)["answer"]

            def double(answer: Any = answer) -> dict[str, Any]:
                return {"doubled": 2 * answer}

            doubled.append(inputs.keep(index, double, "doubled")["doubled"][0])
            inputs.report(index + 1, len(inputs.scoring.chains), chain.id, self.name)
        if len(inputs.scoring.chains) < 3:
            raise AnalysisError("it takes three chains")
        return xr.Dataset({"doubled": ("chain", np.array(doubled))})


class LooksAround(Twice):
    """Asks about a chain only if there are others."""

    name = "looks_around"

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Look at the number of chains first."""
        if len(inputs.scoring.chains) < 3:
            raise AnalysisError("it takes three chains")
        return super().compute(inputs)


class ElsewhereOnly(Twice):
    """Fails before its question in every process but one, as where something is not installed for workers."""

    name = "elsewhere_only"

    def __init__(self, here: int = 0) -> None:
        super().__init__()
        self.here = here

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Look at the process first."""
        if os.getpid() != self.here:
            raise KeyError("setting")
        return super().compute(inputs)


class Quiet(Twice):
    """Asks nothing."""

    name = "quiet"

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return nothing."""
        return xr.Dataset()


class Fails(Twice):
    """Fails on what it is told of a chain."""

    name = "fails"

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Raise within a question."""
        inputs.keep(0, lambda: 1 / 0)  # type: ignore[arg-type,return-value] # it never returns
        raise AssertionError


@pytest.mark.slow
def test_workers_give_the_bits_of_this_process(executor: ProcessesExecutor, run: xr.DataTree) -> None:
    """Faithfulness by two workers and by none is the same, and so are the positions it took."""
    here, there = (
        node_of(ti.analyze(run, "faithfulness", scorer=scorer(), executor=where, **SETTINGS))
        for where in ("local", executor)
    )
    assert_same(here, there)


def test_several_questions_of_a_chain_come_one_after_the_other(
    executor: ProcessesExecutor, run: xr.DataTree, tmp_path: Path
) -> None:
    """What is asked second may use what was found out first; a worker that dies costs its chain another try."""
    seen: list[Progress] = []
    dying = Twice(dies_on="c3", notes=str(tmp_path))
    there = node_of(ti.analyze(run, dying, scorer=scorer(), executor=executor, progress=seen.append))
    assert_same(node_of(ti.analyze(run, dying, scorer=scorer())), there)
    assert (tmp_path / "died").exists()
    assert max(progress.lost for progress in seen) == 1
    assert seen[-1].done == seen[-1].total == 7


def test_what_workers_found_out_is_kept_for_this_process_and_back(
    executor: ProcessesExecutor, run: xr.DataTree, tmp_path: Path
) -> None:
    """A folder begun here goes on in workers, which are asked about the chains that are missing only."""
    first = run.tokimp.sel(chain=["c0", "c1", "c2"])
    ti.analyze(first, Twice(), scorer=scorer(), folder=tmp_path)
    seen: list[Progress] = []
    ti.analyze(run, Twice(), scorer=scorer(), folder=tmp_path, executor=executor, progress=seen.append)
    assert [progress.done for progress in seen if progress.kept] == [1, 2, 3]
    assert [progress.done for progress in seen if not progress.kept] == [4, 5, 6, 7] * 2
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    asked = scorer()
    ti.analyze(run, Twice(), scorer=asked, folder=tmp_path, same_model=False)
    assert asked.tokens_forwarded == 0


def test_an_analysis_that_asks_only_when_it_sees_all_chains_is_refused(
    executor: ProcessesExecutor, run: xr.DataTree
) -> None:
    """It cannot be divided, and the message says so, with how it failed in the worker."""
    message = r"asks about chain 'c0' only when it sees other chains too.*local \(of that chain alone: it takes three"
    with pytest.raises(AnalysisError, match=message):
        ti.analyze(run, LooksAround(), scorer=scorer(), executor=executor)


def test_a_mistake_before_the_question_is_not_lost(executor: ProcessesExecutor, run: xr.DataTree) -> None:
    """An analysis that fails in workers alone, before it asks, fails here with the worker's reason."""
    with pytest.raises(AnalysisError, match=r"of that chain alone: the analysis 'elsewhere_only' failed with KeyError"):
        ti.analyze(run, ElsewhereOnly(here=os.getpid()), scorer=scorer(), executor=executor)


def test_what_one_chain_alone_gives_is_an_answer_or_a_reason(run: xr.DataTree) -> None:
    """A question that is answered, one that is never asked, a failure before it, and one after it."""
    one = run.tokimp.sel(chain="c0")
    (chain,) = rebuild_chains(one, scorer().tokenizer)

    def ask(analysis: Analysis, what: str = "", **known: Found) -> Found | NotAsked:
        return AskAboutChain(analysis, Joint())(scorer(), OneChain(one, chain, what, known))

    assert isinstance(ask(Twice()), Found)
    assert ask(LooksAround()) == NotAsked("it takes three chains")
    assert ask(Twice(), "never asked") == NotAsked("it takes three chains")
    assert ask(Quiet()) == NotAsked()
    with pytest.raises(AnalysisError, match="the analysis 'fails' failed with ZeroDivisionError"):
        ask(Fails())


def test_an_error_in_a_question_is_that_of_this_process(executor: ProcessesExecutor, run: xr.DataTree) -> None:
    """What is raised in a worker names the analysis and the reason."""
    with pytest.raises(AnalysisError, match=r"the analysis 'fails' failed with ZeroDivisionError"):
        ti.analyze(run, Fails(), scorer=scorer(), executor=executor)


@pytest.mark.slow
def test_a_run_by_its_recorded_model_is_loaded_by_workers_alone(executor: ProcessesExecutor) -> None:
    """Without a scorer, workers load the run's model, which is compared with the run there."""
    run = ti.compare(ti.demo_chains(limit=2), ti.load_scorer("tiny", device="cpu"), ["position"])
    settings: dict[str, Any] = {"keep_ratios": [0.0, 0.5], "n_uniform": 1}
    there = node_of(ti.analyze(run, "answer_recovery", executor=executor, **settings))
    here = node_of(ti.analyze(run, "answer_recovery", **settings))
    assert_same(here, there)


class Counting(Categorizer):
    """Calls every letter the same, and leaves a file for each chain that it is asked about, and for each model."""

    name = "counting"

    def __init__(self, folder: str = "") -> None:
        self.folder = folder
        self._is_loaded = False

    def categorize(self, chain: Chain) -> tuple[CategorySpan, ...]:
        """Return one span."""
        if not self._is_loaded:
            (Path(self.folder) / f"loaded by {os.getpid()}").open("x").close()
            self._is_loaded = True
        (Path(self.folder) / f"{chain.id} by {os.getpid()}").touch()
        return (CategorySpan(0, len(chain.reasoning), "entity_name"),)


def test_categorizers_are_asked_by_workers_too(executor: ProcessesExecutor, run: xr.DataTree, tmp_path: Path) -> None:
    """A categorizer may be a model: each worker loads it once and is asked chain by chain; the labels are the same."""
    specification = f"tests.analysis.test_elsewhere:Counting:folder={tmp_path}"
    there = node_of(ti.analyze(run, "structure", executor=executor, categorizer=specification))
    names = {path.name for path in tmp_path.iterdir()}
    assert len({name for name in names if name.startswith("c")}) == 7
    assert not any(name.endswith(f"by {os.getpid()}") for name in names)
    here = node_of(ti.analyze(run, "structure", categorizer=specification))
    assert_same(here, there)


def test_memory_keeps_by_chain_and_question() -> None:
    """What was found out is given back under the chain and the question alone."""
    store, found = InMemory(), Found({}, 0.0, 0)
    store.store(1, "x", found)
    assert store.get(1, "x") is found
    assert store.get(1, "") is store.get(0, "x") is None
