"""One cell: what an estimator returns is checked, and neither it nor its neighbours depend on global random numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.run_cell import run_cell, score_unpruned
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import Scorer, SpanLogprobs
from tokimp.errors import EstimatorError, ScorerError
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

CHAIN = toy_chain("abc", id="one")


class Returns(ImportanceEstimator):
    """Returns what it was made with."""

    name = "returns"

    def __init__(self, importance: object = None) -> None:
        self.importance = importance

    def estimate(self, chain: TokenizedChain, scorer: object, objective: object) -> Importance:
        """Return it."""
        return self.importance  # type: ignore[return-value] # breaking the contract is the point


class Draws(ImportanceEstimator):
    """Draws its scores from all global generators."""

    name = "draws"

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: object) -> Importance:
        """Return random scores, after asking the model once."""
        scorer.logprobs([chain])
        drawn = random.random() + torch.rand(1).item()  # noqa: S311 - the point of it
        return Importance(np.random.rand(len(chain.units)) + drawn)  # noqa: NPY002 - the point of it


def scores(seed: int = 0, chain: TokenizedChain = CHAIN) -> bytes:
    """Return the bytes of the scores that are drawn for a chain."""
    return run_cell(chain, AdditiveScorer({}), Draws(), Joint(), seed=seed).importance.scores.tobytes()


def test_random_numbers_follow_seed_and_chain_alone() -> None:
    """The same seed and chain draw the same numbers whatever was drawn before; another seed or chain draws others."""
    first = scores()
    random.random()  # noqa: S311 - moves the generator
    torch.rand(3)
    assert scores() == first
    assert scores(seed=1) != first
    assert scores(chain=toy_chain("abc", id="two")) != first


def test_the_callers_random_numbers_are_left_alone() -> None:
    """A cell does not move the global generators of Python, numpy or torch, even if its estimator fails."""

    def restart() -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - the global generator is what is tested
        torch.manual_seed(1)

    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002, S311 - as above

    restart()
    expected = draw()
    restart()
    scores()
    with pytest.raises(EstimatorError):
        run_cell(CHAIN, AdditiveScorer({}), Returns(), Joint(), seed=0)
    assert draw() == expected


def test_a_cell_counts_what_it_passed_through_the_model() -> None:
    """Token positions are those of this cell, not of what the scorer did before."""
    scorer = AdditiveScorer({})
    unpruned = score_unpruned(CHAIN, scorer)
    cell = run_cell(CHAIN, scorer, Draws(), Joint(), seed=0)
    assert unpruned.tokens_forwarded == cell.tokens_forwarded == len(CHAIN)
    assert cell.seconds >= 0


def test_a_cell_holds_the_types_that_are_stored() -> None:
    """Whatever number types an estimator uses, a cell has those that come back from the disk."""
    steps = np.array([-1, -2], dtype=np.float32)
    importance = Importance(
        np.array([1, 2, 0], dtype=np.float32),
        np.array([1, -1, 0], dtype=np.int16),
        Trajectory(2 * steps, steps, steps),
        {"gap": np.float32(0.5)},  # type: ignore[dict-item] # numpy's numbers are taken too
    )
    stored = run_cell(CHAIN, AdditiveScorer({}), Returns(importance), Joint(), seed=0).importance
    assert stored.scores.dtype == np.float64
    assert stored.order is not None
    assert stored.order.dtype == np.int64
    assert stored.trajectory is not None
    assert stored.trajectory.answer.dtype == np.float64
    assert type(stored.diagnostics["gap"]) is float


@pytest.mark.parametrize(
    "importance",
    [
        Importance(np.zeros(2)),
        Importance(np.full(3, np.nan)),
        Importance(np.zeros(3), order=np.zeros(3, dtype=int)),
        Importance(np.zeros(3), diagnostics={"a gap": 1.0}),
        Importance(np.zeros(3), diagnostics={"gap": "wide"}),  # type: ignore[dict-item] # the point
        None,
    ],
)
def test_what_breaks_the_contract_is_an_error(importance: Importance | None) -> None:
    """A wrong shape, number, step, name or type is an error that names estimator and chain."""
    with pytest.raises(EstimatorError, match=r"chain 'one': the estimator .returns"):
        run_cell(CHAIN, AdditiveScorer({}), Returns(importance), Joint(), seed=0)


def test_a_scorer_gives_a_number_for_each_token() -> None:
    """Log-probabilities of another length are an error that names the backend and both lengths."""

    class Short(AdditiveScorer):
        def logprobs(self, chains: object) -> list[SpanLogprobs]:
            return [SpanLogprobs(np.zeros(2, np.float32), np.zeros(1, np.float32))]

    with pytest.raises(ScorerError, match=r"chain 'one': .*reasoning.*shape \(2,\).*\(3,\)"):
        score_unpruned(CHAIN, Short({}))
