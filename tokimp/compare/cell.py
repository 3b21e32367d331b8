"""What a run finds out about one chain: a cell for each estimator, and the unpruned chain's log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from tokimp.contracts.estimator import Importance
from tokimp.contracts.scorer import SpanLogprobs


@dataclass(frozen=True, slots=True)
class Cell:
    """One estimator on one chain: what is computed, stored and, after a failure, done again as a whole.

    Attributes
    ----------
    importance
        What the estimator returned for the chain.
    seconds
        Wall time of the estimate.
    tokens_forwarded
        Token positions passed through the model for it.
    failure
        Why there is no importance (NaN on all units), in a run that goes on when a cell fails; empty if there is one.
    """

    importance: Importance
    seconds: float
    tokens_forwarded: int
    failure: str = ""


@dataclass(frozen=True, slots=True)
class UnprunedLogprobs:
    """The log-probabilities of a chain from which nothing is deleted, and their cost.

    Attributes
    ----------
    logprobs
        The log-probabilities of reasoning and answer, in nats, float32.
    seconds
        Wall time of scoring the chain.
    tokens_forwarded
        Token positions passed through the model for it.
    """

    logprobs: SpanLogprobs
    seconds: float
    tokens_forwarded: int
