"""What an audit will cost: its estimators under all conditions, its analyses, and the loading of changed models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tokimp.analysis.elsewhere import Elsewhere
from tokimp.analysis.run import analyze
from tokimp.audit.audit import audit
from tokimp.audit.conditions import Condition
from tokimp.audit.cost import median_chain
from tokimp.audit.leaderboard import folder_of_audit
from tokimp.audit.pending import AS_THEY_ARE, PendingAudit
from tokimp.audit.settings import LeaderboardSettings
from tokimp.bench.analysis_forecast import LONGER, forecast_analysis
from tokimp.bench.forecast import forecast_run, forecast_run_by, result_bytes
from tokimp.bench.work_forecast import PartCost, WorkForecast
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.compare import compare
from tokimp.compare.looked_at import looked_at
from tokimp.compare.pending import PendingCells
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import load_analysis, load_objective
from tokimp.contracts.scorer import Scorer
from tokimp.errors import AnalysisError, UnsupportedError
from tokimp.models.memory import with_peak_memory

LOADING = "loading of changed models"
MODEL_LOADING = "loading of the model"
_MOST_TRIED = 5
"""Chains that an analysis is tried on."""


def forecast_audit(pending: PendingAudit, *, budget: float = 5.0) -> WorkForecast | None:
    """Try estimators, analyses and the loading of a changed model for some seconds; return what the audit will cost.

    Estimators are tried as for a comparison, on the model as it is and in the other precision. Random weights are taken
    to cost as much as the model's own; a model with such weights is loaded once, to see how long that takes. Where the
    chains are not ranked yet, analyses are tried on random rankings by as many estimators.

    Parameters
    ----------
    pending
        What is left.
    budget
        Seconds for the trials of estimators, and again for those of analyses, for each precision or analysis its
        share; loading comes on top.

    Returns
    -------
    WorkForecast or None
        The costs by estimator, then by analysis, then of loading; None if nothing is left.
    """
    return _together([*_rankings(pending, budget), *_analyses(pending, budget)])


def forecast_leaderboard(
    settings: LeaderboardSettings, folder: Path, *, executor: Executor, budget: float = 5.0
) -> WorkForecast | None:
    """Return what the audits of a leaderboard will cost, from a trial of each of its units.

    Parameters
    ----------
    settings, folder
        As of `tokimp.audit.leaderboard.make_entries`.
    executor
        Where cells are computed and analyses ask the model, entered.
    budget
        Seconds, as of `forecast_audit`; each unit has its share.

    Returns
    -------
    WorkForecast or None
        The costs by unit (`PartCost.whose`), and by estimator or analysis in it; None if nothing is left.
    """
    forecasts = list[WorkForecast]()
    for unit in settings.units:

        def begin(look: Callable[[PendingAudit], None], unit: str = unit) -> None:
            audit(
                settings.estimators,
                settings=replace(settings.audit, unit=unit),
                out=folder_of_audit(folder, unit),
                executor=executor,
                before_work=look,
            )

        def see(pending: PendingAudit) -> WorkForecast | None:
            found = forecast_audit(pending, budget=budget / len(settings.units))
            return None if found is None else _together([_loading_of_the_model(pending), found])

        if (found := looked_at(begin, see)) is not None:
            parts = tuple(replace(part, whose=unit) for part in found.parts)
            forecasts.append(replace(found, parts=parts))
    return _together(forecasts)


def _loading_of_the_model(pending: PendingAudit) -> WorkForecast:
    """Return what the model as it is takes to load: the audit of each unit loads it anew."""
    began = time.perf_counter()
    pending.load_changed({})
    return _loading(pending, MODEL_LOADING, 1, time.perf_counter() - began)


def _loading(pending: PendingAudit, what: str, count: int, seconds: float) -> WorkForecast:
    """Return a forecast of the loading of models, of which this process and all workers at once load each."""
    # This process loads each model, and where there are workers all of them do so too, at the same time.
    return WorkForecast((PartCost(what, count, 0.0, seconds * (1 if pending.executor.here else 2), 0.0),))


def _together(forecasts: Sequence[WorkForecast]) -> WorkForecast | None:
    """Return forecasts of what is done one after the other as one; ``None`` if nothing is to be done.

    What fewer workers do, such as this process alone, takes as long as if all workers had as much more to do.
    """
    workers = max((forecast.workers for forecast in forecasts), default=1)
    parts = _added([_by_workers(part, workers / one.workers) for one in forecasts for part in one.parts])
    if not any(part.pieces for part in parts):
        return None
    peaks = [forecast.memory for forecast in forecasts if forecast.memory is not None]
    return WorkForecast(
        tuple(parts),
        max(peaks, default=None),
        sum(forecast.result_bytes for forecast in forecasts),
        workers,
        tuple(dict.fromkeys(note for forecast in forecasts for note in forecast.notes)),
    )


def _by_workers(part: PartCost, more: float) -> PartCost:
    return part if part.seconds is None else replace(part, seconds=part.seconds * more)


def _rankings(pending: PendingAudit, budget: float) -> list[WorkForecast]:
    """Return what rankings by the model as it is cost, and by changed ones, and how long these take to load."""
    whole = pending.as_they_are()
    own = [] if whole is None else [whole]
    other, loaded = list[PendingCells](), dict[str, tuple[int, float]]()
    memory = 0
    for condition in pending.conditions:
        stands_for = None
        if condition.scorer and pending.changed(condition) is not None:
            kind = "precision" if "dtype" in condition.scorer else "weights"
            count, seconds = loaded.get(kind, (0, 0.0))
            if kind == "precision" or not count:
                (stands_for, seconds), peak = _loaded(pending, condition)
                memory = max(memory, peak or 0)
            loaded[kind] = count + 1, seconds
        cells = pending.changed(condition, stands_for)
        if cells is None:
            continue
        if "dtype" in condition.scorer:
            other.append(cells)
        else:
            own.append(replace(cells, scorer=pending.scorer))
    forecasts = []
    measured = _measured_alone(pending)
    nowhere: list[list[TokenizedChain]] = [[] for _ in measured]
    # Costs alone are measured in this process, wherever cells are computed; here both are tried together.
    of_own_run = measured if pending.executor.here else nowhere
    for runs, alone in ((own, of_own_run), (other, nowhere)):
        if not runs and not any(alone):
            continue
        cells = _as_one_run(pending, runs, alone)
        found = forecast_run_by(pending.executor, cells, budget / 2, keep_going=True)
        forecasts.append(replace(found, result_bytes=sum(map(result_bytes, runs))))
    forecasts += [] if pending.executor.here else _alone(pending, measured, budget / 2)
    if whole is not None and forecasts:
        # The result with its analyses is written once more.
        forecasts[0] = replace(forecasts[0], result_bytes=forecasts[0].result_bytes + result_bytes(whole))
    count, seconds = (sum(kind[0] for kind in loaded.values()), sum(number * each for number, each in loaded.values()))
    if count:
        forecasts.append(replace(_loading(pending, LOADING, count, seconds), memory=memory or None))
    return forecasts


def _alone(pending: PendingAudit, measured: Sequence[Sequence[TokenizedChain]], budget: float) -> list[WorkForecast]:
    """Return what measuring each estimator's cost alone takes in this process, where that is still to be done."""
    if not any(measured):
        return []
    found = forecast_run(_as_one_run(pending, [], measured), budget=budget, keep_going=True)
    return [replace(found, result_bytes=0.0, memory=None)]


def _loaded(pending: PendingAudit, condition: Condition) -> tuple[tuple[Scorer, float], int | None]:
    """Load the changed model of a condition; return it, the seconds that took, and the most memory in use."""

    def load() -> tuple[Scorer, float]:
        began = time.perf_counter()
        scorer = pending.load_changed(condition.scorer)
        return scorer, time.perf_counter() - began

    return with_peak_memory(pending.scorer.device, load)


def _measured_alone(pending: PendingAudit) -> list[list[TokenizedChain]]:
    """Return the chains on which each estimator's cost alone will be measured, [estimator][chain]: one, or none."""
    chain = median_chain(pending.tokenized)
    return [[] if estimator.label in pending.costs_known else [chain] for estimator in pending.estimators]


def _as_one_run(
    pending: PendingAudit, runs: Sequence[PendingCells], measured: Sequence[Sequence[TokenizedChain]]
) -> PendingCells:
    """Return the cells of several runs of the same estimators as those of one."""
    first = runs[0] if runs else None
    chains = [chain for run in runs for chain in run.chains] or [chain for alone in measured for chain in alone]
    return PendingCells(
        scorer=pending.scorer if first is None else first.scorer,
        objective=load_objective(pending.settings.objective) if first is None else first.objective,
        seed=pending.settings.seed,
        chains=chains,
        estimators=pending.estimators,
        of_estimator=[
            [*(chain for run in runs for chain in run.of_estimator[column]), *alone]
            for column, alone in enumerate(measured)
        ],
        unpruned=[chain for run in runs for chain in run.unpruned],
    )


def _analyses(pending: PendingAudit, budget: float) -> list[WorkForecast]:
    """Return what each analysis costs that asks the model."""
    ranked = pending.result()
    result = _at_random(pending) if ranked is None else ranked
    lengths = None if ranked is not None else [len(chain) for chain in pending.tokenized]
    names = pending.analyses
    forecasts = []
    for name in names:

        def begin(look: Callable[[Elsewhere], None], name: str = name) -> None:
            analyze(
                result,
                load_analysis(name),
                scorer=pending.scorer,
                folder=pending.runs.folder(AS_THEY_ARE),
                executor=pending.executor,
                before_work=look,
            )

        def see(elsewhere: Elsewhere) -> WorkForecast | None:
            return forecast_analysis(elsewhere, budget=budget / len(names), lengths=lengths)

        try:
            found = looked_at(begin, see)
        except (UnsupportedError, AnalysisError) as error:
            found = WorkForecast((), notes=(f"{name} will not be computed: {error}",))
        if found is not None:
            forecasts.append(replace(found, parts=tuple(replace(part, what=name) for part in found.parts)))
    return forecasts


class _AtRandom(ImportanceEstimator):
    """Ranks at random, in the place of an estimator whose ranking is not known yet."""

    name = "at_random"

    def __init__(self, place: int = 0) -> None:
        self.place = place

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        return Importance(np.random.default_rng(self.place).random(len(chain.units)))


def _at_random(pending: PendingAudit) -> xr.DataTree:
    """Return a result of the shortest chain and some longer ones, ranked at random by as many estimators."""
    chosen = list[Chain]()
    longest = 0.0
    for length, number in sorted((len(chain), number) for number, chain in enumerate(pending.tokenized)):
        if length >= LONGER * longest and len(chosen) < _MOST_TRIED:
            chosen.append(pending.chains[number])
            longest = length
    settings = pending.settings
    return compare(
        chosen,
        pending.scorer,
        [_AtRandom(place) for place in range(len(pending.estimators))],
        objective=settings.objective,
        unit=settings.unit,
        seed=settings.seed,
    )


def _added(parts: Sequence[PartCost]) -> list[PartCost]:
    """Return one part for each thing that is done, in the order in which they first come."""
    added: dict[tuple[str, str], PartCost] = {}
    for part in parts:
        key = part.what, part.whose
        known = added.get(key)
        if known is None:
            added[key] = part
            continue
        added[key] = replace(
            known,
            pieces=_sum(known.pieces, part.pieces),
            positions=_sum(known.positions, part.positions),
            seconds=_sum(known.seconds, part.seconds),
            bytes_on_disk=_sum(known.bytes_on_disk, part.bytes_on_disk),
        )
    return list(added.values())


def _sum(first: float | None, second: float | None) -> Any:
    """Return a sum; ``None`` if one of the two is not known."""
    return None if first is None or second is None else first + second
