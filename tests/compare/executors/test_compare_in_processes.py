"""compare in processes: the bits of compare here, cells that fail, and folders that go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import tokimp as ti
from tests.compare.executors.byte_scorer import Patient, chains, scorer
from tokimp.compare.executors.processes import ProcessesExecutor
from tokimp.compare.worker_scorer import scorer_of_workers
from tokimp.contracts.progress import Progress
from tokimp.errors import EstimatorError, ExecutorError, ScorerError, TokimpWarning, UnsupportedError
from tokimp.testing import AdditiveScorer

ESTIMATORS = ["leave_one_out", Patient(), "position"]


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessesExecutor]:
    """Return two workers, which keep their model from test to test."""
    with ProcessesExecutor(workers=2) as running:
        yield running


def compare(executor: Any = "local", estimators: Any = ESTIMATORS, **options: Any) -> xr.DataTree:
    """Compare seven chains of letters."""
    given = {"prompt_format": "plain", "seed": 5, **options}
    return ti.compare(chains(), given.pop("scorer", None) or scorer(), estimators, executor=executor, **given)


def assert_same(one: xr.DataTree, other: xr.DataTree) -> None:
    """Assert that two results hold the same bits, except for times."""
    assert set(one.data_vars) == set(other.data_vars)
    for name in set(one.data_vars) - {"seconds", "full_seconds"}:
        np.testing.assert_array_equal(one[str(name)].to_numpy(), other[str(name)].to_numpy(), err_msg=str(name))


def test_processes_give_the_bits_of_this_process(executor: ProcessesExecutor) -> None:
    """Two workers and none give the same result, estimators that draw random numbers too."""
    assert_same(compare(executor), compare())


def test_groups_of_chains_stay_together(executor: ProcessesExecutor) -> None:
    """What is read side by side here is read side by side there."""
    assert_same(compare(executor, chains_at_once=3), compare(chains_at_once=3))


def test_a_run_may_change_its_executor(executor: ProcessesExecutor, tmp_path: Path) -> None:
    """A folder begun here goes on in processes, which compute only what is missing."""
    here = compare(out=tmp_path)
    seen: list[Progress] = []
    there = compare(executor, [*ESTIMATORS, "uniform"], out=tmp_path, progress=seen.append)
    assert sum(progress.kept for progress in seen) == 21
    assert seen[-1].done == seen[-1].total == 28
    np.testing.assert_array_equal(there["importance"].to_numpy()[:3], here["importance"].to_numpy())


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_cell_that_fails_is_left_out_and_tried_again(executor: ProcessesExecutor, tmp_path: Path, where: str) -> None:
    """Its place is NaN and says why, its traceback is in a file, and the same call computes only this cell."""
    running: Any = "local" if where == "here" else executor
    out, failing = tmp_path / "run", [Patient(fails_on="c2"), "position"]
    seen: list[Progress] = []
    result = compare(running, failing, out=out, keep_going=True, progress=seen.append)
    status = result["status"].to_numpy()
    assert status[0, 2].startswith("failed: ValueError: chain 'c2': the estimator 'patient:fails_on=c2' failed with")
    assert (status != "").sum() == 1
    assert (seen[-1].done, seen[-1].failed) == (14, 1)
    of_chain = result["chain_index"].to_numpy() == 2
    assert np.isnan(result["importance"].to_numpy()[0, of_chain]).all()
    assert (result["rank"].to_numpy()[0, of_chain] == -1).all()
    assert np.isfinite(result["importance"].to_numpy()[0, ~of_chain]).all()
    assert np.isfinite(result["importance"].to_numpy()[1]).all()
    (traceback,) = (out / "failures").iterdir()
    text = traceback.read_text(encoding="utf-8")
    assert text.startswith("chain 'c2', estimator 'patient:fails_on=c2'\n")
    assert "ValueError: not this one" in text
    ti.save(result, tmp_path / "result.nc")
    assert ti.load(tmp_path / "result.nc")["status"].to_numpy().tolist() == status.tolist()

    again: list[Progress] = []
    compare(running, failing, out=out, keep_going=True, progress=again.append)
    assert sum(progress.kept for progress in again) == 13


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_chain_that_cannot_be_read_is_left_out_and_tried_again(
    executor: ProcessesExecutor, tmp_path: Path, where: str
) -> None:
    """The result is of the other chains and names it, its traceback is in a file, and the same call reads only it."""
    running: Any = "local" if where == "here" else executor
    result = compare(running, scorer=scorer(fails_on="c2"), out=tmp_path, keep_going=True)
    assert "c2" not in result["chain_id"].to_numpy().tolist()
    assert_same(result, compare().tokimp.sel(chain=["c0", "c1", "c3", "c4", "c5", "c6"]))
    (record,) = json.loads(result.attrs["skipped"])
    assert record["id"] == "c2"
    assert record["reason"].startswith("failed: ScorerError: ")
    assert record["where"] not in record["reason"]
    (traceback,) = (tmp_path / "failures").iterdir()
    assert "this chain cannot be read" in traceback.read_text(encoding="utf-8")
    seen: list[Progress] = []
    assert_same(compare(running, out=tmp_path, keep_going=True, progress=seen.append), compare())
    assert all(progress.kept for progress in seen)
    assert not list((tmp_path / "failures").iterdir())


def test_a_run_of_which_no_chain_can_be_read_is_an_error() -> None:
    """With nothing left there is no result, and the reason is raised."""
    with pytest.raises(ScorerError, match="this chain cannot be read"):
        ti.compare(chains(1), scorer(fails_on="c0"), ["position"], prompt_format="plain", keep_going=True)


def test_a_cell_that_failed_and_is_mended_leaves_no_trace(tmp_path: Path) -> None:
    """Once the cell is computed, the result is that of a run in which nothing failed, and its traceback is gone."""

    class Mended(Patient):
        name = "mended"
        broken = True

        def estimate(self, chain: Any, scorer: Any, objective: Any) -> ti.Importance:
            if self.broken and chain.id == "c1":
                raise ValueError("not yet")
            return super().estimate(chain, scorer, objective)

    assert "status" in compare(estimators=[Mended()], out=tmp_path, keep_going=True)
    Mended.broken = False
    mended = compare(estimators=[Mended()], out=tmp_path, keep_going=True)
    assert "status" not in mended
    assert not list((tmp_path / "failures").iterdir())


def test_without_keep_going_the_error_is_that_of_this_process(executor: ProcessesExecutor) -> None:
    """A worker's error arrives with its type, its message and a note of where it was raised."""
    with pytest.raises(EstimatorError, match=r"chain 'c2'.*not this one") as caught:
        compare(executor, [Patient(fails_on="c2")])
    assert "raise ValueError" in caught.value.__notes__[0]


def test_analyses_count_and_leave_out_what_failed() -> None:
    """Agreement is over the chains that both estimators have."""
    result = compare(estimators=[Patient(fails_on="c2"), "leave_one_out"], keep_going=True)
    analyzed = ti.analyze(result, "agreement", minimum_units=2)
    node = ti.analysis_node(analyzed, "agreement")
    used = node["chains_used"].sel(partial=False, measure="spearman").to_numpy()
    assert used[0, 1] == 6


class OwnThreads(Patient):
    """Changes the number of threads of the process that it is in."""

    name = "own_threads"

    def estimate(self, chain: Any, scorer: Any, objective: Any) -> ti.Importance:
        """Compute with three threads from now on."""
        torch.set_num_threads(3)
        return super().estimate(chain, scorer, objective)


def test_the_threads_of_a_cell_are_those_of_its_worker(executor: ProcessesExecutor, tmp_path: Path) -> None:
    """What the folder records, and warns of, is how many threads the cells were computed with, not this process."""
    with pytest.warns(TokimpWarning, match="and the rest with 3"):
        result = compare(executor, [OwnThreads()], out=tmp_path)
    assert result.attrs["threads"].split(",")[1:] == ["3"]
    assert torch.get_num_threads() != 3


def test_a_scorer_made_of_objects_stays_here(executor: ProcessesExecutor) -> None:
    """What other processes cannot load is refused before any work, and the message says what to do."""
    loaded = AdditiveScorer({"a": 1.0})
    loaded.tokenizer = scorer().tokenizer
    with pytest.raises(UnsupportedError, match=r"made of objects in memory.*load it by a name or folder"):
        compare(executor, ["position"], scorer=loaded)


@pytest.mark.slow
def test_workers_that_load_another_model_are_refused(executor: ProcessesExecutor) -> None:
    """A scorer that was changed after it was loaded has another fingerprint than the one that workers load."""
    changed = scorer()
    changed.contributions = {"a": 3.0}  # type: ignore[attr-defined] # of the additive scorer
    with pytest.raises(ExecutorError, match="another model than the run was begun with"):
        compare(executor, ["position"], scorer=changed)


def test_a_model_may_be_in_workers_alone(executor: ProcessesExecutor) -> None:
    """What stands for their scorer is described as theirs, gives no numbers, and its run is the same."""
    recipe = scorer().recipe
    assert recipe is not None
    remote = scorer_of_workers(executor, recipe)
    result = compare(executor, scorer=remote)
    assert_same(result, compare())
    for name in ("model_id", "model_fingerprint", "scorer", "backend"):
        assert result.attrs[name] == compare().attrs[name]
    with pytest.raises(UnsupportedError, match="is in workers, and gives numbers only there"):
        remote.logprobs([])
