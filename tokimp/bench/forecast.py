"""What a run will cost, by estimator, before it starts: each is tried on a chain cut short, for some seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from scipy.optimize import nnls

from tokimp.bench.estimate import from_scratch_positions, shared_positions
from tokimp.bench.matmul import synchronize
from tokimp.bench.truncation import truncate
from tokimp.bench.work_forecast import PartCost, WorkForecast
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell_records import cell_bytes
from tokimp.compare.pending import PendingCells
from tokimp.compare.run_cell import run_cell
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.compare.worker_scorer import WorkerScorer, facts_of
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor, Piece
from tokimp.contracts.scorer import Scorer
from tokimp.errors import EstimatorError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.memory import peak_memory, reset_peak_memory

UNPRUNED = "unpruned chains"
# Reasoning tokens of the first trials, and what each following one is longer by.
_LENGTHS, _LONGER = (4, 8, 12), 1.5
# How many times longer than the last trial the next one may take: where units are deleted one after the other, or not.
_GROWTH_IN_SEQUENCE, _GROWTH = _LONGER**3, _LONGER**2
# Bytes of results.nc: of each reasoning token (eight numbers and three texts), and of each estimator's five numbers.
_BYTES_A_TOKEN, _BYTES_A_CELL_TOKEN, _BYTES_A_FILE = 140, 40, 120_000


def forecast_run(pending: PendingCells, *, budget: float = 5.0, keep_going: bool = False) -> WorkForecast:
    """Try each estimator for some seconds, and return what the run will cost.

    An estimator is asked about the first 4, 8, 12, 18, ... tokens of a chain of median length, until the next trial
    might take too long. Its positions are fitted by a sum of what can grow with the length of a chain: one pass, one
    pass a unit and, where it deletes one unit after the other, one pass a unit and step. Its seconds are fitted by a
    fixed part, a part for each step, and a part for each position. An estimator that knows its own cost, a method
    ``expected_positions(chain, objective)``, is believed.

    Parameters
    ----------
    pending
        What is to be computed.
    budget
        Seconds for all trials together. Each estimator has three short trials all the same.
    keep_going
        Whether the run goes on without cells that fail. Then what an estimator that fails in the trial costs is not
        known, and a note says why.

    Returns
    -------
    WorkForecast
        The costs by estimator, those of the unpruned chains last.

    Raises
    ------
    EstimatorError
        If an estimator fails on a chain cut short, as it would on the chain; not with `keep_going`.
    """
    reset_peak_memory(pending.scorer.device)
    costs, notes, began = list[PartCost](), list[str](), time.perf_counter()
    for number, (estimator, chains) in enumerate(zip(pending.estimators, pending.of_estimator, strict=True)):
        left = max(0.0, budget - (time.perf_counter() - began))
        try:
            costs.append(_cost_of(pending, estimator, chains, left / (len(pending.estimators) - number)))
        except EstimatorError as error:
            if not keep_going:
                raise
            costs.append(PartCost(estimator.label, len(chains), None, None, None))
            notes.append(str(error))
    costs.append(_cost_of_unpruned(pending))
    return WorkForecast(tuple(costs), peak_memory(pending.scorer.device), result_bytes(pending), notes=tuple(notes))


def result_bytes(pending: PendingCells) -> float:
    """Return about what ``results.nc`` of a run takes on disk, in bytes."""
    tokens = sum(len(chain.reasoning_ids) for chain in pending.chains)
    texts = sum(len(chain.chain.question) + 2 * len(chain.chain.reasoning) for chain in pending.chains)
    return bytes_of_result(tokens, texts, len(pending.estimators))


def bytes_of_result(tokens: float, texts: float, estimators: int) -> float:
    """Return about what ``results.nc`` of so many reasoning tokens, characters and estimators takes, in bytes."""
    return _BYTES_A_FILE + texts + tokens * (_BYTES_A_TOKEN + _BYTES_A_CELL_TOKEN * estimators)


def forecast_run_by(
    executor: Executor, pending: PendingCells, budget: float, *, keep_going: bool = False
) -> WorkForecast:
    """Return what a run will cost, from a trial where its cells will be computed.

    Parameters
    ----------
    executor
        Of the run, entered; one of its workers makes the trial.
    pending, budget, keep_going
        As of `forecast_run`.
    """
    if executor.here:
        return forecast_run(pending, budget=budget, keep_going=keep_going)
    work = ScorerWork.for_executor(executor, pending.scorer, _try_run)
    # The worker has a model of its own: what stands for it goes along, and never its weights.
    pending = replace(pending, scorer=WorkerScorer(pending.scorer.recipe, facts_of(pending.scorer)))
    (outcome,) = results_of(executor, work, [Piece(0, "a trial of the run's cost", (pending, budget, keep_going))])
    return replace(cast("WorkForecast", outcome.result), workers=max(1, executor.size(work)))


def _try_run(scorer: Scorer, asked: tuple[PendingCells, float, bool]) -> WorkForecast:
    pending, budget, keep_going = asked
    return forecast_run(replace(pending, scorer=scorer), budget=budget, keep_going=keep_going)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A cell that was computed to see what it costs."""

    chain: TokenizedChain
    positions: int
    seconds: float
    size: int
    in_sequence: bool


def _cost_of(
    pending: PendingCells, estimator: ImportanceEstimator, chains: Sequence[TokenizedChain], budget: float
) -> PartCost:
    if not chains:
        return PartCost(estimator.label, 0, 0.0, 0.0, 0.0)
    trials = _trials(pending, estimator, _median(chains), budget)
    in_sequence = trials[-1].in_sequence
    own = [_own_estimate(pending, estimator, chain) for chain in chains]
    passes = np.array([trial.positions for trial in trials], dtype=np.float64)
    fitted = extrapolated(
        np.array([_passes(trial.chain, in_sequence=in_sequence) for trial in trials]),
        passes,
        np.array([_passes(chain, in_sequence=in_sequence) for chain in chains]),
    )
    positions = np.array([fit if known is None else known for known, fit in zip(own, fitted, strict=True)])
    seconds = extrapolated(
        np.array([_times(trial.chain, trial.positions, in_sequence=in_sequence) for trial in trials]),
        np.array([trial.seconds for trial in trials]),
        np.array([_times(chain, of, in_sequence=in_sequence) for chain, of in zip(chains, positions, strict=True)]),
    )
    # The record of a cell holds numbers of units, and of pairs of units where it has effects.
    sizes = np.array([[1.0, len(trial.chain.units), len(trial.chain.units) ** 2] for trial in trials])
    of_sizes = np.array([[1.0, len(chain.units), len(chain.units) ** 2] for chain in chains])
    stored = float(extrapolated(sizes, np.array([trial.size for trial in trials], dtype=np.float64), of_sizes).sum())
    tried = f"{len(trials[-1].chain.reasoning_ids)} tokens"
    return PartCost(estimator.label, len(chains), float(positions.sum()), float(seconds.sum()), stored, how=tried)


def _trials(
    pending: PendingCells, estimator: ImportanceEstimator, chain: TokenizedChain, budget: float
) -> list[_Trial]:
    """Compute cells of a chain cut to more and more tokens; return what each cost, the longest last."""
    began, whole = time.perf_counter(), len(chain.reasoning_ids)
    lengths = sorted({min(length, whole) for length in _LENGTHS})
    # Not measured: the first call compiles and allocates.
    _try(pending, estimator, truncate(chain, lengths[0]))
    trials = [_try(pending, estimator, truncate(chain, length)) for length in lengths]
    while (length := len(trials[-1].chain.reasoning_ids)) < whole:
        growth = _GROWTH_IN_SEQUENCE if trials[-1].in_sequence else _GROWTH
        if growth * trials[-1].seconds > budget - (time.perf_counter() - began):
            break
        trials.append(_try(pending, estimator, truncate(chain, min(int(length * _LONGER), whole))))
    return trials


def _try(pending: PendingCells, estimator: ImportanceEstimator, chain: TokenizedChain) -> _Trial:
    scorer = pending.scorer
    before, began = scorer.tokens_forwarded, time.perf_counter()
    try:
        cell = run_cell(chain, scorer, estimator, pending.objective, seed=pending.seed)
    except EstimatorError as error:
        raise EstimatorError(
            f"{error} (in a trial on {len(chain.reasoning_ids)} tokens of it, made to estimate the cost of the run)"
        ) from error
    synchronize(scorer.device)
    return _Trial(
        chain=chain,
        positions=scorer.tokens_forwarded - before,
        seconds=time.perf_counter() - began,
        size=len(cell_bytes(cell)),
        in_sequence=cell.importance.order is not None,
    )


def _cost_of_unpruned(pending: PendingCells) -> PartCost:
    chains = pending.unpruned
    if not chains:
        return PartCost(UNPRUNED, 0, 0.0, 0.0, 0.0)
    median = _median(chains)
    before, began = pending.scorer.tokens_forwarded, time.perf_counter()
    pending.scorer.logprobs([median])
    synchronize(pending.scorer.device)
    seconds, positions = time.perf_counter() - began, pending.scorer.tokens_forwarded - before
    lengths = sum(len(chain) for chain in chains) / len(median)
    stored = sum(300.0 + 4 * (len(chain.reasoning_ids) + len(chain.answer_ids)) for chain in chains)
    tried = f"{len(median.reasoning_ids)} tokens"
    return PartCost(UNPRUNED, len(chains), positions * lengths, seconds * lengths, stored, how=tried)


def _own_estimate(pending: PendingCells, estimator: ImportanceEstimator, chain: TokenizedChain) -> float | None:
    """Return an estimator's own estimate of its positions, which is about scorers that share keys and values."""
    estimate = getattr(estimator, "expected_positions", None)
    if not callable(estimate) or not (isinstance(pending.scorer, CausalLMScorer) and pending.scorer.reuse_kv):
        return None
    positions = estimate(chain, pending.objective)
    return None if positions is None else float(positions)


def _median(chains: Sequence[TokenizedChain]) -> TokenizedChain:
    return sorted(chains, key=len)[len(chains) // 2]


def _passes(chain: TokenizedChain, *, in_sequence: bool) -> list[float]:
    """Return what an estimator's positions may be in proportion to.

    That is one pass over the chain; what follows each unit, read once for each (where keys and values are shared); and
    what is left of the chain, read once for each unit. Where units are deleted one after the other, the last two are
    summed over all steps.
    """
    if in_sequence:
        return [len(chain), shared_positions(chain), from_scratch_positions(chain)]
    units, answer = len(chain.units), len(chain.answer_ids)
    length = len(chain.reasoning_ids) / units
    return [len(chain), units * ((units - 1) * length / 2 + answer), units * (len(chain) - length)]


def _times(chain: TokenizedChain, positions: float, *, in_sequence: bool) -> list[float]:
    """Return what an estimator's seconds may be in proportion to: cells, positions, tokens, and steps."""
    return [1.0, positions, len(chain) if positions == 0 else 0.0, len(chain.units) if in_sequence else 0.0]


def extrapolated(features: FloatArray, values: FloatArray, of_chains: FloatArray) -> FloatArray:
    """Return the values of chains, [chain], from those of trials, fitted as sums of shares that are not negative.

    Parameters
    ----------
    features, values
        What the values of trials may be in proportion to, [trial, feature], and the values, [trial].
    of_chains
        The same of what is to be known, [chain, feature].
    """
    if not values.any():
        return np.zeros(len(of_chains))
    # Relative errors count, so that short and long trials say equally much.
    weights = 1 / np.maximum(values, values.max() * 1e-9)
    scale = np.maximum(features.max(axis=0), 1e-9)
    shares, _ = nnls(features / scale * weights[:, None], values * weights)
    result: FloatArray = of_chains / scale @ shares
    return result
