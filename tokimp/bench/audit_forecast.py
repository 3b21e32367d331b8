"""What an audit will cost: its estimators under all conditions, its analyses, and the loading of changed models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
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
from tokimp.bench.forecast import forecast_run_by, result_bytes
from tokimp.bench.work_forecast import PartCost, WorkForecast
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.compare import compare
from tokimp.compare.pending import PendingCells
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import load_analysis, load_objective
from tokimp.contracts.scorer import Scorer
from tokimp.errors import AnalysisError, UnsupportedError
from tokimp.models.memory import with_peak_memory

LOADING = "loading of changed models"
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
        The costs by unit, and by estimator or analysis in it; None if nothing is left.
    """
    forecasts = list[WorkForecast]()
    for unit in settings.units:

        def look(pending: PendingAudit, unit: str = unit) -> None:
            found = forecast_audit(pending, budget=budget / len(settings.units))
            if found is not None:
                parts = tuple(replace(part, what=f"{unit}: {part.what}") for part in found.parts)
                forecasts.append(replace(found, parts=parts))
            raise _SeenError

        with suppress(_SeenError):
            audit(
                settings.estimators,
                settings=replace(settings.audit, unit=unit),
                out=folder_of_audit(folder, unit),
                executor=executor,
                before_work=look,
            )
    return _together(forecasts)


def _together(forecasts: Sequence[WorkForecast]) -> WorkForecast | None:
    """Return forecasts of what is done one after the other as one; ``None`` if nothing is to be done."""
    parts = _added([part for forecast in forecasts for part in forecast.parts])
    if not any(part.pieces for part in parts):
        return None
    peaks = [forecast.memory for forecast in forecasts if forecast.memory is not None]
    return WorkForecast(
        tuple(parts),
        max(peaks, default=None),
        sum(forecast.result_bytes for forecast in forecasts),
        max(forecast.workers for forecast in forecasts),
        tuple(dict.fromkeys(note for forecast in forecasts for note in forecast.notes)),
    )


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
    for runs in (own, other):
        if not runs and (runs is other or not any(measured)):
            continue
        cells = _as_one_run(pending, runs, measured if runs is own else [[] for _ in measured])
        found = forecast_run_by(pending.executor, cells, budget / 2, keep_going=True)
        forecasts.append(replace(found, result_bytes=sum(map(result_bytes, runs))))
    if whole is not None and forecasts:
        # The result with its analyses is written once more.
        forecasts[0] = replace(forecasts[0], result_bytes=forecasts[0].result_bytes + result_bytes(whole))
    count, seconds = (sum(kind[0] for kind in loaded.values()), sum(number * each for number, each in loaded.values()))
    if count:
        workers = max((forecast.workers for forecast in forecasts), default=1)
        # This process loads each model, and where there are workers all of them do so too, at the same time.
        part = PartCost(LOADING, count, 0.0, seconds * (1 if pending.executor.here else 2) * workers, 0.0)
        forecasts.append(WorkForecast((part,), memory or None, workers=workers))
    return forecasts


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
        seen = list[WorkForecast | None]()

        def look(elsewhere: Elsewhere, seen: list[WorkForecast | None] = seen) -> None:
            seen.append(forecast_analysis(elsewhere, budget=budget / len(names), lengths=lengths))
            raise _SeenError

        try:
            with suppress(_SeenError):
                analyze(
                    result,
                    load_analysis(name),
                    scorer=pending.scorer,
                    folder=pending.runs.folder(AS_THEY_ARE),
                    executor=pending.executor,
                    before_work=look,
                )
        except (UnsupportedError, AnalysisError) as error:
            forecasts.append(WorkForecast((), notes=(f"{name} will not be computed: {error}",)))
        forecasts += [_named(found, name) for found in seen if found is not None]
    return forecasts


def _named(found: WorkForecast, name: str) -> WorkForecast:
    return replace(found, parts=tuple(replace(part, what=f"{name} of a chain") for part in found.parts))


class _SeenError(Exception):
    """Ends an analysis before it starts, once what it would ask is known."""


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
    added: dict[str, PartCost] = {}
    for part in parts:
        known = added.get(part.what)
        if known is None:
            added[part.what] = part
            continue
        added[part.what] = replace(
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
