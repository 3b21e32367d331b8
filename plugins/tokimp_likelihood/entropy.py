"""Entropy: a reasoning unit is important when the model could have gone on in many ways."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, Optional
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["Entropy"]

# A share of a number of tokens, such as 0.7 of 10, may come out a little above the whole number that it is.
_ROUNDING = 1e-9


class Entropy(ImportanceEstimator):
    """Scores a unit by the entropy of the distributions that its tokens were predicted with; the objective is not used.

    ``importance(u) = sum over tokens t of u of H_t``, where ``H_t = -sum over v of p(v) log p(v)``, in nats, is the
    entropy of the model's distribution at the position that predicts token t (the row before it), at temperature 1. A
    unit whose tokens were settled beforehand goes first. The whole takes one pass over the full chain; the answer plays
    no part. No importance is below 0.

    This is *step entropy* (arXiv 2508.03346), whose authors prune 80 % of the steps, those of lowest entropy. Versions
    of that paper conflict on whether the sum is divided by the number of tokens, so both are here. A sum mostly
    measures length: see the rank correlation with a unit's length before reading anything into it. What the authors'
    repository computes is ``terms=sampled, aggregate=mean``.

    With `forking`, only the tokens of highest entropy count (Wang et al. 2025, "Beyond the 80/20 rule", arXiv
    2506.01939, who call the highest 20 % *forking tokens*). They take the share over a batch of responses; an estimator
    sees one chain, so here the share is one of this chain's reasoning tokens. The paper's is
    ``forking=0.2, aggregate=mean`` with tokens as units.

    Parameters
    ----------
    aggregate
        ``sum``, ``mean`` or ``max`` over the tokens of a unit.
    terms
        ``all``: the entropy, over the whole vocabulary. ``sampled``: only the term ``-p log p`` of the token that
        stands there.
    forking
        The share of reasoning tokens that count, those of highest entropy, rounded up; all others count as 0. Ties
        resolve from left to right. ``None``: all count.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 0.5}, reasoning_logprob=-0.25)  # "a" makes what follows it less certain
    >>> Entropy().estimate(toy_chain("abc"), scorer, Joint()).scores.tolist()
    [0.25, 0.75, 0.25]
    >>> Entropy(forking=0.3).estimate(toy_chain("abc"), scorer, Joint()).scores.tolist()
    [0.0, 0.75, 0.0]
    """

    name = "entropy"
    requires = frozenset({Capability.ENTROPY})
    constraints = {
        "aggregate": OneOf("sum", "mean", "max"),
        "terms": OneOf("all", "sampled"),
        "forking": Optional(Number(above=0, most=1)),
    }

    def __init__(
        self,
        aggregate: Literal["sum", "mean", "max"] = "sum",
        terms: Literal["all", "sampled"] = "all",
        forking: float | None = None,
    ) -> None:
        self.aggregate = aggregate
        self.terms = terms
        self.forking = forking

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's entropy, [unit], nats; `objective` is not used.

        The diagnostic ``mean_entropy`` is that of the reasoning tokens, nats; ``forking_entropy``, with `forking`, is
        the lowest of those that count.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        spans = scorer.entropies([chain])[0]
        scores = spans.reasoning.astype(np.float64)
        if self.terms == "sampled":
            logprobs = np.minimum(spans.logprobs.reasoning.astype(np.float64), 0)
            scores = -np.exp(logprobs) * logprobs
        diagnostics = {"mean_entropy": float(spans.reasoning.mean(dtype=np.float64))}
        if self.forking is not None:
            count = math.ceil(self.forking * len(scores) - _ROUNDING)
            highest = np.argsort(-scores, kind="stable")[:count]
            diagnostics["forking_entropy"] = float(scores[highest].min())
            counted = np.zeros_like(scores)
            counted[highest] = scores[highest]
            scores = counted
        return Importance(_over_units(chain, scores, self.aggregate), diagnostics=diagnostics)


def _over_units(chain: TokenizedChain, scores: FloatArray, aggregate: str) -> FloatArray:
    """Return the sum, the mean or the highest of the tokens' scores in each unit, [unit]."""
    reduce = {"sum": np.add, "mean": np.add, "max": np.maximum}[aggregate].reduce
    divided = aggregate == "mean"
    parts = [scores[list(unit)] for unit in chain.units]
    return np.array([reduce(part) / (len(part) if divided else 1) for part in parts], dtype=np.float64)
