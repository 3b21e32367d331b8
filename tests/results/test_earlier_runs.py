"""Runs and results of tokimp 0.1.0 (``tests/fixtures/tokimp_0_1_0``): opened, continued or refused, the same numbers.

They were made before any file was moved, on the embedded model, on the CPU, on one thread.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import tokimp as ti
from tokimp.compare import cell_work
from tokimp.compare.run_cell import run_cell
from tokimp.contracts.scorer import Scorer
from tokimp.distillation.ask.evaluate import evaluate
from tokimp.distillation.ask.sample import sample
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.distill import distill
from tokimp.errors import ResumeError
from tokimp.models.writing.load import load_engine
from tokimp.results.analysis_nodes import analysis_node

EARLIER = Path(__file__).parents[1] / "fixtures" / "tokimp_0_1_0"
ESTIMATORS = [
    "greedy",
    "greedy:keep_ratio=0.5,strategy=fast",
    "leave_one_out",
    "attention",
    "attention:query=later,weights=value_norm",
    "gradient",
    "position",
    "uniform",
    "surprisal",
    "h2o",
    "attention_knockout",
]
RUNS: Mapping[str, tuple[str, str, str]] = {
    "compare": ("transformer_lens", "joint", "token"),
    "interrupted_compare": ("nnsight", "answer", "word"),
}
# What a position can see is taken from the model's mask since 0.2.0; before, a weight too small for float32 hid it.
CHANGED_ON_PURPOSE = "attention:query=later,weights=value_norm"
# The fast strategy makes one call less where that saves time, and reads a few positions more in it.
OTHER_COST = "greedy:keep_ratio=0.5,strategy=fast"
# Rounding differs between kinds of processors and builds of torch; on those of the fixture every bit is the same.
SAME_MACHINE = (torch.backends.cpu.get_cpu_capability(), torch.__version__) == ("AVX512", "2.13.0+cpu")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scorers() -> dict[str, Scorer]:
    """Return the embedded model on both backends."""
    return {name: ti.load_scorer("tiny", backend=name, device="cpu") for name in ("transformer_lens", "nnsight")}


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this tokimp call itself 0.1.0, so that only the form of a run's identity differs."""
    numbers = ti.compare.__globals__["versions"]

    def versions(scorer: Scorer) -> dict[str, str]:
        installed: dict[str, str] = {
            **numbers(scorer),
            "tokimp": "0.1.0",
            "torch": "2.13.0+cpu",
            "transformers": "5.23.0",
        }
        backend = {"nnsight": "0.8.1", "transformer_lens": "4.3.0", "transformers": "5.23.0"}
        return {**installed, "backend": backend[scorer.backend]}

    monkeypatch.setitem(ti.compare.__globals__, "versions", versions)
    monkeypatch.setattr("tokimp.distillation.ask.ask.versions", versions)


def copy(name: str, to: Path) -> Path:
    """Return a copy of a run of before, which may be changed."""
    return Path(shutil.copytree(EARLIER / name, to / name))


def same(new: xr.DataTree, earlier: xr.DataTree, *names: str, leave_out: str = CHANGED_ON_PURPOSE) -> None:
    """Assert that variables of two results agree: to the bit where the machine is of the same kind."""
    for name in names:
        columns = [result[name] for result in (new, earlier)]
        if "estimator" in columns[0].dims:
            columns = [column.sel(estimator=column["estimator"] != leave_out) for column in columns]
        now, then = (column.to_numpy() for column in columns)
        if SAME_MACHINE:
            np.testing.assert_array_equal(now, then, err_msg=name)
        else:
            np.testing.assert_allclose(now, then, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("run", RUNS)
def test_the_numbers_are_those_of_before(run: str, scorers: dict[str, Scorer]) -> None:
    """Importance, rank and likelihoods of every estimator, on both backends, are the bits that 0.1.0 computed."""
    backend, objective, unit = RUNS[run]
    new = ti.compare(ti.demo_chains(limit=2), scorers[backend], ESTIMATORS, objective=objective, unit=unit)
    earlier = ti.load(EARLIER / run / "results.nc")
    likelihoods = ["logprob", "loglik_joint", "loglik_answer", "loglik_reasoning"]
    same(new, earlier, "importance", *likelihoods, *(["rank"] if SAME_MACHINE else []))
    same(new, earlier, "tokens_forwarded", leave_out=OTHER_COST)


def test_an_earlier_result_opens_and_can_be_analyzed() -> None:
    """A results.nc of 0.1.0 is valid, and an analysis that asks the model again accepts it."""
    earlier = ti.load(EARLIER / "compare" / "results.nc")
    ti.validate(earlier)
    analysed = ti.analyze(earlier, "faithfulness", keep_ratios=[0.5, 0.8], n_uniform=2)
    assert analysis_node(analysed, "faithfulness").attrs["n_uniform"] == 2


def test_an_earlier_run_is_refused_for_its_version(scorers: dict[str, Scorer], tmp_path: Path) -> None:
    """A run begun by another version is left alone; the message names the versions and what to do, not modules."""
    folder = copy("interrupted_compare", tmp_path)
    stored = {path.name: path.read_bytes() for path in (folder / "cells").iterdir()}
    with pytest.raises(ResumeError, match=r'versions\.tokimp: before "0\.1\.0", now "0\.2\.0"') as refused:
        ti.compare(ti.demo_chains(limit=2), scorers["nnsight"], ESTIMATORS, objective="answer", unit="word", out=folder)
    assert "install these again to continue it, or use another folder" in str(refused.value)
    assert "class" not in str(refused.value)
    assert {path.name: path.read_bytes() for path in (folder / "cells").iterdir()} == stored


@pytest.mark.usefixtures("as_before")
def test_an_earlier_run_of_the_same_version_goes_on(
    scorers: dict[str, Scorer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose plugins were recorded by module continues: cells on disk are kept, the missing three computed."""
    computed = []

    def counting(*arguments: Any, **options: Any) -> Any:
        computed.append(arguments[2].label)
        return run_cell(*arguments, **options)

    monkeypatch.setattr(cell_work, "run_cell", counting)
    folder = copy("interrupted_compare", tmp_path)
    continued = ti.compare(
        ti.demo_chains(limit=2), scorers["nnsight"], ESTIMATORS, objective="answer", unit="word", out=folder
    )
    assert computed == ["greedy", "gradient", "h2o"]
    same(continued, ti.load(folder / "results.nc"), "importance", "rank")


@pytest.mark.usefixtures("as_before")
def test_earlier_samples_and_answers_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished sampling and evaluation of 0.1.0 are found finished: the model writes nothing."""
    task, writer = ti.load_task("word_problems"), load_engine("tiny", device="cpu")
    monkeypatch.setattr(writer, "generate", None)
    settings: dict[str, Any] = {"n": 2, "temperature": 0.7, "min_characters": 10}
    questions = task.questions(limit=4, split="train")
    folder = copy("sample", tmp_path)
    before = (folder / "chains.jsonl").read_bytes()
    assert sample(task, questions, writer, folder, max_new_tokens=160, **settings).sampled == 8
    assert (folder / "chains.jsonl").read_bytes() == before
    answered = evaluate(writer, task, task.questions(limit=4), copy("evaluate", tmp_path), max_new_tokens=100)
    assert sum(answered.right.values()) == 4


def test_an_earlier_plan_is_finished(tmp_path: Path) -> None:
    """A plan that 0.1.0 followed to its end is done: every cell is there, and nothing is done again."""
    folder, told = copy("distill", tmp_path), list[str]()
    results = distill(Plan.load(EARLIER / "plan.yaml"), folder, say=told.append)
    assert results.missing == ()
    assert not [line for line in told if "train" in line]
