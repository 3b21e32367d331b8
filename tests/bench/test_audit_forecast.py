"""What an audit will cost, against what it then takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tokimp as ti
from tokimp.audit.audit import audit
from tokimp.audit.pending import PendingAudit
from tokimp.audit.settings import AuditSettings, LeaderboardSettings
from tokimp.bench.audit_forecast import LOADING, MODEL_LOADING, _together, forecast_audit, forecast_leaderboard
from tokimp.bench.forecast import UNPRUNED
from tokimp.bench.work_forecast import PartCost, WorkForecast
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import load_executor
from tokimp.contracts.scorer import Scorer
from tokimp.results.selection import sel

METRIC = "faithfulness:n_uniform=2"
SETTINGS = AuditSettings(
    backend="nnsight", limit=4, changed_chains=2, cuts=2, seeds=1, unit="sentence", metrics=(METRIC,)
)


class StoppedError(Exception):
    """Ends an audit before it starts."""


class Failing(ti.ImportanceEstimator):
    """A stranger's estimator, which does not work."""

    name = "failing"

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> ti.Importance:
        """Fail."""
        raise ValueError("not today")


def forecast(estimators: list[str | ti.ImportanceEstimator], out: Path) -> WorkForecast | None:
    """Return the forecast of an audit that is then stopped."""
    seen = list[WorkForecast | None]()

    def look(pending: PendingAudit) -> None:
        seen.append(forecast_audit(pending, budget=0.0))
        raise StoppedError

    with pytest.raises(StoppedError):
        audit(estimators, settings=SETTINGS, out=out, before_work=look)
    return seen[0]


def by_what(found: WorkForecast | None) -> dict[str, PartCost]:
    """Return the parts of a forecast by what is done."""
    assert found is not None
    return {part.what: part for part in found.parts}


@pytest.mark.slow
def test_cells_positions_and_disk_are_near_those_of_the_audit(tmp_path: Path) -> None:
    """Every run and analysis is counted, nothing is written, and once the audit is done nothing is left."""
    found = forecast(["surprisal"], tmp_path / "audit")
    assert not (tmp_path / "audit").exists()
    parts = by_what(found)
    done = audit(["surprisal"], settings=SETTINGS, out=tmp_path / "audit")
    runs = [ti.load(path) for path in sorted((tmp_path / "audit" / "runs").glob("*/results.nc"))]
    costs = json.loads((tmp_path / "audit" / "costs.json").read_text())
    for label in ("surprisal", "position"):
        rows = [sel(run, estimator=label)["tokens_forwarded"].to_numpy() for run in runs]
        (alone,) = (cost[label]["positions"] for cost in costs.values() if isinstance(cost, dict))
        assert parts[label].pieces == sum(row.size for row in rows) + 1
        assert parts[label].positions == pytest.approx(sum(row.sum() for row in rows) + alone, rel=0.05)
    assert parts[UNPRUNED].pieces == sum(run.sizes["chain"] for run in runs)
    # Two of random weights, and one in another precision.
    assert parts[LOADING].pieces == 3
    asked = next(iter(done.result["analysis"].children.values())).attrs["tokens_forwarded"]
    assert parts[METRIC].positions == pytest.approx(asked, rel=0.25)
    assert found is not None
    kept = sum(path.stat().st_size for kind in ("*.nc", "*.records") for path in (tmp_path / "audit").rglob(kind))
    # The result with its analyses is larger than the one without them.
    assert kept / 2 < found.bytes_on_disk < kept
    assert (found.memory or 0) > 1e7
    assert forecast(["surprisal"], tmp_path / "audit") is None
    more = by_what(forecast(["surprisal", "uniform:seed=3"], tmp_path / "audit"))
    assert more["surprisal"].pieces == 0
    assert more["uniform:seed=3"].pieces == parts["surprisal"].pieces


def test_an_estimator_that_fails_has_no_cost(tmp_path: Path) -> None:
    """An audit goes on without cells that fail, so the others are counted, and a note says why one is not."""
    found = forecast([Failing()], tmp_path / "audit")
    parts = by_what(found)
    assert (parts["failing"].positions, parts["failing"].seconds, parts["failing"].bytes_on_disk) == (None, None, None)
    assert parts["position"].seconds is not None
    assert found is not None
    assert not found.knows_all_seconds
    assert any("not today" in note for note in found.notes)


def test_a_leaderboard_has_an_audit_for_each_unit(tmp_path: Path) -> None:
    """Each unit's parts are named after it, and nothing is written."""
    settings = LeaderboardSettings(("position",), ("word", "sentence"), SETTINGS)
    found = forecast_leaderboard(settings, tmp_path / "board", executor=load_executor("local"), budget=0.0)
    assert found is not None
    parts = {(part.whose, part.what): part for part in found.parts}
    for unit in ("word", "sentence"):
        assert parts[unit, "position"].pieces == parts[unit, "uniform"].pieces
        # Its audit loads the model anew, and three changed ones.
        assert (parts[unit, MODEL_LOADING].pieces, parts[unit, LOADING].pieces) == (1, 3)
        assert (parts[unit, MODEL_LOADING].seconds or 0) > 0
    asked = [parts[unit, METRIC].positions or 0 for unit in ("word", "sentence")]
    assert asked[0] > asked[1] > 0
    assert not (tmp_path / "board").exists()


def test_what_one_process_does_is_not_shared_among_workers() -> None:
    """Costs alone are measured, and models loaded, by this process while workers wait: it takes its whole time."""
    by_four = WorkForecast((PartCost("greedy", 8, 800.0, 40.0, 0.0),), workers=4)
    here = WorkForecast((PartCost("greedy", 1, 100.0, 5.0, 0.0), PartCost(LOADING, 2, 0.0, 3.0, 0.0)))
    together = _together([by_four, here])
    assert together is not None
    assert together.seconds == 40.0 / 4 + 5.0 + 3.0
    assert by_what(together)["greedy"].pieces == 9


@pytest.mark.slow
def test_costs_alone_are_tried_in_this_process(tmp_path: Path) -> None:
    """With workers, each estimator is tried by one of them for its cells and here for its cost alone, all counted."""
    seen = []
    for executor in ("local", "processes:workers=2"):

        def look(pending: PendingAudit) -> None:
            seen.append(by_what(forecast_audit(pending, budget=0.0)))
            raise StoppedError

        with pytest.raises(StoppedError):
            audit(["surprisal"], settings=SETTINGS, out=tmp_path / "audit", before_work=look, executor=executor)
    here, by_workers = seen
    for label in ("surprisal", "position"):
        assert here[label].pieces == by_workers[label].pieces
        assert here[label].positions == pytest.approx(by_workers[label].positions, rel=0.2)
