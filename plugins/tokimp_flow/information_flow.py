"""Information flow: a reasoning unit is important when attention brings much of it to the answer, over several hops."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import ListOf, Optional, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp_flow.proximity import flow_into

__all__ = ["InformationFlow"]

# A flow that is no more than this brings nothing.
_NOTHING = 1e-30


class InformationFlow(ImportanceEstimator):
    """Scores a unit by its share of what attention adds to the residual stream of the answer; no objective is used.

    In a layer, the residual stream x of a position after attention is the sum of parts: the stream before it, and one
    part for each key and head. The proximity of a part is ``max(0, |x| - |x - part|)`` with L1 norms, and its share is
    its proximity divided by the sum of all (information-flow routes, Ferrando and Voita 2024, arXiv 2403.00824). For
    several sinks their vectors are added first. A token's score is the sum of its shares over heads and layers: no
    product along paths, and nothing for the MLP (FlashTrace, arXiv 2602.01914).

    Hops: scores with the answer as sinks are s0. Hop k takes the reasoning positions as sinks, weighted by the scores
    that the hop before gave them, which gives s_k. ``importance = s0 + sum over k of rho_k s_k``, where rho_k is the
    share of its scores, of the prompt's and the reasoning's, that each hop so far has given to the reasoning. A unit
    has the sum over its tokens. No importance is below 0.

    The sinks are the positions that answer tokens are predicted from; FlashTrace has the answer's own, one later, and
    keeps the scores of the prompt, where those of the reasoning are kept here. It also leaves out stop tokens among the
    sinks, and traces from reasoning and output together, which is not done here. L1 norms depend on the basis, which is
    that of the residual stream. Summing layers counts early ones as much as late ones.

    Each hop takes one pass over the full chain, and so does the first; besides, each computes layers * heads * tokens
    norms of the model's width.

    Parameters
    ----------
    hops
        How often scores are passed on; 0 for information-flow routes into the answer alone.
    layers
        Indices of the layers that count; all by default, negative ones count from the end.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> attends_to_a = AdditiveScorer({"a": 2.0})
    >>> scores = InformationFlow(hops=0).estimate(toy_chain("bab"), attends_to_a, Joint()).scores
    >>> int(scores.argmax())
    1
    """

    name = "information_flow"
    requires = frozenset({Capability.STATES})
    constraints = {
        "hops": WholeNumber(0),
        "layers": Optional(ListOf(WholeNumber(), fewest=1, distinct=True)),
    }

    def __init__(self, hops: int = 1, layers: list[int] | None = None) -> None:
        self.hops = hops
        self.layers = layers

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's share of the flow, [unit]; `objective` is not used.

        The diagnostic ``reasoning_share`` is the share of the first scores that goes to the reasoning.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        start, stop = chain.reasoning_span
        sinks = np.zeros(len(chain), dtype=np.float64)
        sinks[stop - 1 : len(chain) - 1] = 1
        scores = self._scores(chain, scorer, sinks)
        total, reaches = scores.copy(), 1.0
        diagnostics = {"reasoning_share": float(scores[start:stop].sum() / max(scores.sum(), _NOTHING))}
        for _ in range(self.hops):
            passed_on = np.zeros_like(sinks)
            passed_on[start:stop] = scores[start:stop]
            if passed_on.sum() <= _NOTHING:
                break
            reaches *= float(passed_on.sum() / scores.sum())
            scores = self._scores(chain, scorer, passed_on)
            total += reaches * scores
        return Importance(sum_over_units(chain, total[start:stop]), diagnostics=diagnostics)

    def _scores(self, chain: TokenizedChain, scorer: Scorer, sinks: FloatArray) -> FloatArray:
        """Return the flow from each position into the sinks, summed over layers, [position], float64."""
        # Shares do not change with the scale of the sinks' weights; a sum of 1 keeps numbers of one size.
        weights = torch.from_numpy(sinks / sinks.sum()).float()
        found: FloatArray = scorer.states(chain, partial(_into, weights), layers=self.layers).astype(np.float64)
        return np.asarray(found.sum(axis=0))


def _into(weights: torch.Tensor, states: LayerStates) -> torch.Tensor:
    return flow_into(states, weights.to(states.middle.device))
