"""The forecast of a run: its positions are near those that pass, and what is finished is not counted."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tokimp as ti
from tests.compare.test_compare import script
from tokimp.bench.forecast import UNPRUNED, forecast_run, forecast_run_by
from tokimp.bench.work_forecast import WorkForecast
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.pending import PendingCells
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import load_executor
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError

CHAINS = [Chain(str(number), "?", "ab1 " * (4 + number), "7") for number in range(4)]


class StoppedError(Exception):
    """Ends a run before it starts."""


class Passes(ti.ImportanceEstimator):
    """Reads the chain three times."""

    name = "passes"
    requires = frozenset({Capability.LOGPROBS})

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> ti.Importance:
        """Return the index of each unit."""
        scorer.logprobs([chain] * 3)
        return ti.Importance(np.arange(len(chain.units), dtype=np.float64))


def forecast(estimators: list[Any], budget: float = 0.0, **options: Any) -> WorkForecast:
    """Return the forecast of a run that is then stopped."""
    seen = list[WorkForecast]()

    def look(pending: PendingCells) -> None:
        seen.append(forecast_run(pending, budget=budget))
        raise StoppedError

    with pytest.raises(StoppedError):
        ti.compare(CHAINS, script.ByteScorer(), estimators, **options, before_work=look)
    return seen[0]


def test_positions_are_near_those_that_pass() -> None:
    """From trials on a few tokens, passes over a chain are exact, and deletions within a tenth."""
    estimators = [Passes(), "leave_one_out", script.InSequence(), "position"]
    expected = forecast(estimators)
    result = ti.compare(CHAINS, script.ByteScorer(), estimators)
    passed = [*result["tokens_forwarded"].to_numpy().sum(axis=1), result["full_tokens_forwarded"].to_numpy().sum()]
    assert [cost.what for cost in expected.parts] == [*result["estimator"].to_numpy().tolist(), UNPRUNED]
    assert [cost.pieces for cost in expected.parts] == [4] * 5
    for cost, actual in zip(expected.parts, passed, strict=True):
        assert cost.positions == pytest.approx(actual, rel=1e-6 if cost.what in {"passes", UNPRUNED} else 0.1), cost
    assert expected.seconds > 0
    assert (expected.memory or 0) > 1e7


def test_a_longer_budget_tries_longer_chains() -> None:
    """With time for it, the chain of median length is tried whole."""
    (short, _), (long, _) = (forecast(["leave_one_out"], budget).parts for budget in (0.0, 60.0))
    assert (short.how, long.how) == ("12 tokens", "24 tokens")


def test_disk_is_near_what_is_written(tmp_path: Path) -> None:
    """The bytes of cells and result are within a third of what the run then writes."""
    estimators = ["position", script.InSequence()]
    expected = forecast(estimators)
    ti.save(ti.compare(CHAINS, script.ByteScorer(), estimators, out=tmp_path), tmp_path / "results.nc")
    cells, result = ((tmp_path / name).stat().st_size for name in ("cells/0.records", "results.nc"))
    assert expected.bytes_on_disk - expected.result_bytes == pytest.approx(cells, rel=1 / 3)
    assert expected.result_bytes == pytest.approx(result, rel=1 / 3)


def test_finished_cells_are_not_counted(tmp_path: Path) -> None:
    """A run that goes on, or has grown, costs what is left; its folder is left as it is."""
    ti.compare(CHAINS[:3], script.ByteScorer(), ["leave_one_out"], out=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    costs = forecast(["leave_one_out", "position"], out=tmp_path).parts
    assert [(cost.what, cost.pieces) for cost in costs] == [("leave_one_out", 1), ("position", 4), (UNPRUNED, 1)]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    ti.compare(CHAINS, script.ByteScorer(), ["leave_one_out", "position"], out=tmp_path)
    assert forecast(["leave_one_out", "position"], out=tmp_path).seconds == 0


def test_an_estimator_that_knows_its_cost_is_believed() -> None:
    """What an estimator expects of itself counts where keys and values are shared."""

    class Knows(Passes):
        name = "knows"

        def expected_positions(self, chain: TokenizedChain, objective: Objective) -> float | None:
            return 1000.0 if chain.id != "0" else None

    scorer, seen = ti.load_scorer("tiny", device="cpu"), list[WorkForecast]()

    def look(pending: PendingCells) -> None:
        seen.append(forecast_run(pending, budget=0.0))
        raise StoppedError

    with pytest.raises(StoppedError):
        ti.compare(CHAINS, scorer, [Knows()], before_work=look)
    length = len(ti.tokenize_chain(CHAINS[0], scorer.tokenizer))
    assert seen[0].parts[0].positions == pytest.approx(3000 + 3 * length, rel=0.05)


@pytest.mark.slow
def test_workers_are_sent_no_model() -> None:
    """A worker tries the model that it loads, so that a loaded one here, which cannot be pickled, never goes along."""
    scorer, seen = ti.load_scorer("tiny", backend="transformer_lens", device="cpu"), list[WorkForecast]()
    with pytest.raises(Exception, match="pickle"):
        pickle.dumps(scorer)

    def look(pending: PendingCells) -> None:
        with load_executor("processes:workers=1") as executor:
            seen.append(forecast_run_by(executor, pending, 0.0))
        raise StoppedError

    with pytest.raises(StoppedError):
        ti.compare(CHAINS, scorer, ["surprisal"], before_work=look)
    assert [part.pieces for part in seen[0].parts] == [4, 4]
    assert seen[0].parts[0].positions


def test_a_trial_that_fails_is_named() -> None:
    """An estimator that fails is said to have failed in the trial."""

    def fail(chain: TokenizedChain) -> None:
        raise ValueError("no")

    def look(pending: PendingCells) -> None:
        forecast_run(pending)

    with pytest.raises(EstimatorError, match=r"'calls' failed with ValueError: no .*in a trial on 4 tokens"):
        ti.compare(CHAINS, script.ByteScorer(), [script.Calls(fail)], before_work=look)
