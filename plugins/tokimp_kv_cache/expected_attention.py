"""Expected Attention: a reasoning token is important when queries to come are expected to attend to it."""

from __future__ import annotations

import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, TrueOrFalse, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp_kv_cache.scales import SCALES, Scale, rescale

__all__ = ["ExpectedAttention"]


class ExpectedAttention(ImportanceEstimator):
    r"""Scores a unit by the attention that queries after the reasoning are expected to give it; no objective is used.

    Queries to come are taken to be normally distributed, with the mean and covariance that the queries of prompt and
    reasoning have before positions are rotated in, both rotated by the mean rotation of the next `future` positions.
    The score of a key k with value v is then ``(softmax(mu k + k' Sigma k / 2) + epsilon) |v|``, over the keys of
    prompt and reasoning; mu and Sigma are scaled as the model scales its products (by ``1 / sqrt(d)``, mostly). It is a
    mean over the queries' heads that share a key. Scores are brought onto one scale within a key-value head and
    averaged over heads and layers; a unit has the sum over its tokens. No importance is below 0. The whole takes one
    pass over the full chain, and two runs more of each attention, which the count of positions leaves out.

    Expected Attention is a press of NVIDIA's kvpress, whose code is followed here: the first `sinks` positions count
    neither as queries nor as keys, and a reasoning token among them has the highest score. The answer plays no part,
    although it stands at the positions that are averaged over.

    Parameters
    ----------
    future
        How many positions after the reasoning are averaged over.
    sinks
        How many first positions are left out.
    covariance
        Whether the covariance counts; without it, only the mean query does.
    value_norm
        Whether scores are multiplied by the norm of the value.
    epsilon
        Added to a weight before it is multiplied by the norm.
    scale
        Within a head: ``share`` of the reasoning's scores, ``rank`` among them (from 0 to 1), or ``none``.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"b": 2.0})  # its queries are 0, and its values 1 and the contribution
    >>> ExpectedAttention(sinks=0).estimate(toy_chain("ab"), scorer, Joint()).scores.tolist()
    [0.25, 0.75]
    """

    name = "expected_attention"
    requires = frozenset({Capability.STATES})
    constraints = {
        "future": WholeNumber(1),
        "sinks": WholeNumber(0),
        "covariance": TrueOrFalse(),
        "value_norm": TrueOrFalse(),
        "epsilon": Number(0),
        "scale": OneOf(*SCALES),
    }

    def __init__(
        self,
        future: int = 512,
        *,
        sinks: int = 4,
        covariance: bool = True,
        value_norm: bool = True,
        epsilon: float = 0.0,
        scale: Scale = "share",
    ) -> None:
        self.future = future
        self.sinks = sinks
        self.covariance = covariance
        self.value_norm = value_norm
        self.epsilon = epsilon
        self.scale = scale

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the attention that each unit is expected to get, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        UnsupportedError
            If how the model's attention makes its queries was not found.
        """
        self.validate_parameters()
        start, stop = chain.reasoning_span
        # At least one query and one key stay.
        first = min(self.sinks, stop - 1)

        def reduce(states: LayerStates) -> torch.Tensor:
            queries = states.queries(range(stop, stop + self.future))[:, first:stop]
            weights = expected_weights(queries, states.keys[:, first:stop], covariance=self.covariance)
            if self.value_norm:
                per_key = len(states.values) // len(states.keys)
                norms = states.values[::per_key, first:stop].norm(dim=-1)
                weights = (weights + self.epsilon) * norms
            highest = weights.max(dim=1, keepdim=True).values.expand(-1, first)
            return rescale(torch.cat([highest, weights], dim=1)[:, start:], self.scale).mean(dim=0)

        return Importance(sum_over_units(chain, scorer.states(chain, reduce).mean(axis=0)))


def expected_weights(queries: torch.Tensor, keys: torch.Tensor, *, covariance: bool = True) -> torch.Tensor:
    """Return the expected weight of each key, a mean over the query heads that share it, [key-value head, key].

    Parameters
    ----------
    queries
        [head, query, dimension], scaled.
    keys
        [key-value head, key, dimension]
    covariance
        Whether the queries' covariance counts.

    Examples
    --------
    >>> queries = torch.tensor([[[1.0 - 0.5**0.5], [1.0 + 0.5**0.5]]])  # mean 1, variance 1/2
    >>> expected_weights(queries, torch.tensor([[[1.0], [2.0]]])).round(decimals=4).tolist()
    [[0.14800000190734863, 0.8519999980926514]]
    """
    shared = keys.repeat_interleave(len(queries) // len(keys), dim=0)
    mean = queries.mean(dim=1, keepdim=True)
    logits = (shared * mean).sum(dim=-1)
    if covariance:
        # k' Sigma k is the variance of the queries' products with k.
        logits = logits + ((queries - mean) @ shared.transpose(1, 2)).square().mean(dim=1) / 2
    weights = logits.softmax(dim=-1)
    return weights.view(len(keys), -1, weights.shape[-1]).mean(dim=1)
