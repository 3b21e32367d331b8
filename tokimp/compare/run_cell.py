"""Computing one cell of a run, an estimator on a chain, and the log-probabilities of an unpruned chain."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory, check_importance
from tokimp.contracts.objective import Objective
from tokimp.contracts.plugin_output import plugin_code
from tokimp.contracts.scorer import Scorer, SpanLogprobs
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import EstimatorError, ScorerError


def score_unpruned(chain: TokenizedChain, scorer: Scorer) -> UnprunedLogprobs:
    """Return the log-probabilities of the unpruned chain, and what they cost.

    Raises
    ------
    ScorerError
        If the scorer does not give one finite number for each token of reasoning and answer, as arrays.
    """
    forwarded_at_start, started = scorer.tokens_forwarded, scorer.clock()
    (logprobs,) = CheckedScorer(scorer).logprobs([chain])
    seconds = scorer.clock() - started
    reasoning, answer = (np.asarray(part, dtype=np.float32) for part in (logprobs.reasoning, logprobs.answer))
    if not (np.isfinite(reasoning).all() and np.isfinite(answer).all()):
        raise ScorerError(
            f"{chain.chain.where}: the model {scorer.model_id!r} in {scorer.dtype} gives log-probabilities that are "
            "not finite; use a wider dtype (float32), or look for damaged weights"
        )
    return UnprunedLogprobs(SpanLogprobs(reasoning, answer), seconds, scorer.tokens_forwarded - forwarded_at_start)


def run_cell(
    chain: TokenizedChain,
    scorer: Scorer,
    estimator: ImportanceEstimator,
    objective: Objective,
    *,
    seed: int,
    subset_memory: SubsetMemory | None = None,
) -> Cell:
    """Return an estimator's importance of a chain, checked and in the types in which it is stored, and its cost.

    The global generators of `random`, numpy and torch start from a seed made of `seed`, the chain's id and the
    estimator's label, so that no cell depends on what ran before it. Afterwards they are as they were.

    Parameters
    ----------
    chain
        The chain, unpruned.
    scorer
        The model that the estimator asks.
    estimator
        The method that gives the chain's units their importance.
    objective
        What deletions are to preserve.
    seed
        The seed of the run.
    subset_memory
        What the run knows of subsets of its chains; it changes what the cell costs, and no number.

    Raises
    ------
    EstimatorError
        If the estimator raises any exception, or its result breaks the contract. The message names the estimator and
        the chain.
    """
    forwarded_at_start, started = scorer.tokens_forwarded, scorer.clock()
    where = f"{chain.chain.where}: the estimator {estimator.label!r}"
    with plugin_code(where, EstimatorError), _seeded(f"{seed}\n{chain.id}\n{estimator.label}"):
        importance = estimator.estimate(chain, CheckedScorer(scorer, subset_memory), objective)
    seconds = scorer.clock() - started
    check_importance(importance, chain, estimator.label)
    return Cell(_as_stored(importance), seconds, scorer.tokens_forwarded - forwarded_at_start)


def _as_stored(importance: Importance) -> Importance:
    """Return an importance in the types it has on disk, so that a continued run meets the very same numbers."""
    trajectory = importance.trajectory
    return Importance(
        scores=np.array(importance.scores, dtype=np.float64),
        order=None if importance.order is None else np.array(importance.order, dtype=np.int64),
        trajectory=trajectory
        and Trajectory(
            joint=np.array(trajectory.joint, dtype=np.float64),
            answer=np.array(trajectory.answer, dtype=np.float64),
            reasoning=np.array(trajectory.reasoning, dtype=np.float64),
        ),
        diagnostics={name: float(value) for name, value in importance.diagnostics.items()},
        effects=_single_precision(importance.effects),
        effects_on_answer=_single_precision(importance.effects_on_answer),
    )


def _single_precision(numbers: FloatArray | None) -> FloatArray | None:
    return None if numbers is None else np.array(numbers, dtype=np.float32)


@contextlib.contextmanager
def _seeded(text: str) -> Iterator[None]:
    """Let the global generators start from a seed made of a text, and put them back afterwards."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global generator is what an estimator's code may use
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - as above
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002 - as above
