"""Value zeroing: a reasoning unit is important when other positions change direction once its values are zero."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import cosine_similarity

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import ListOf, OneOf, Optional, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["ValueZeroing"]

# Distances below this are the rounding of a cosine.
_SMALLEST = 1e-5
# The patched versions of a block's output that are computed together hold at most this many numbers.
_NUMBERS_AT_ONCE = 2**24


class ValueZeroing(ImportanceEstimator):
    """Scores a unit by how far it turns the vectors that the answer is predicted from; the objective is not used.

    In each layer, the block is computed again on its own input with the value vectors of one unit set to zero for all
    queries. ``s[i, u] = 1 - cos(output at i, output at i without u)``; what is below 1e-5 counts as 0. Each row i is
    divided by its sum over the units and the rest of the sequence (prompt and answer, zeroed as one further unit
    each), and a unit's importance is the mean over the positions that answer tokens are predicted from and over
    layers. Layers are independent of each other: each reads the stream of the unchanged chain. No importance is below
    0.

    The method is that of Mohebbi et al. 2023 ("Quantifying context mixing in transformers", arXiv 2301.12971), for
    single tokens and all positions. Here all tokens of a unit are zeroed together, which is not the sum of their own
    scores, and the rows are the positions that predict the answer. Their last layer is read after the model's final
    norm; here every layer is read as it leaves the block. Cosines are dominated by the few coordinates of a residual
    stream that are very large. A row in which nothing changes stays 0.

    One pass over the full chain, and for each layer n + 2 times what follows attention in the block, the MLP; together
    about n passes less their attention. The count of token positions has the one pass alone.

    Parameters
    ----------
    layers
        Indices of the layers that count; all by default, negative ones count from the end.
    normalise
        ``rows``: as above. ``none``: rows are left as they are.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> attends_to_a = AdditiveScorer({"a": 2.0})
    >>> scores = ValueZeroing().estimate(toy_chain("bab"), attends_to_a, Joint()).scores
    >>> int(scores.argmax())
    1
    """

    name = "value_zeroing"
    requires = frozenset({Capability.STATES})
    constraints = {
        "layers": Optional(ListOf(WholeNumber(), fewest=1, distinct=True)),
        "normalise": OneOf("rows", "none"),
    }

    def __init__(self, layers: list[int] | None = None, normalise: Literal["rows", "none"] = "rows") -> None:
        self.layers = layers
        self.normalise = normalise

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return how far each unit turns what predicts the answer, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        start, stop = chain.reasoning_span
        groups = [[start + position for position in unit] for unit in chain.units]
        groups += [list(range(start)), list(range(stop, len(chain)))]

        def reduce(states: LayerStates) -> torch.Tensor:
            turned = turning(states, groups, slice(stop - 1, len(chain) - 1))
            if self.normalise == "rows":
                total = turned.sum(dim=0)
                turned = torch.where(total > 0, turned / total, torch.zeros_like(turned))
            return turned[: len(chain.units)].mean(dim=1)

        return Importance(scorer.states(chain, reduce, layers=self.layers).mean(axis=0, dtype=float))


def turning(states: LayerStates, groups: list[list[int]], rows: slice) -> torch.Tensor:
    """Return 1 - cosine of the block's output with and without the values of each group, [group, row].

    Parameters
    ----------
    states
        The layer's states.
    groups
        Positions whose values are zeroed together.
    rows
        The positions whose output is read.
    """
    at_once = max(1, _NUMBERS_AT_ONCE // max(states.after.numel(), states.values.numel()))
    parts = []
    for first in range(0, len(groups), at_once):
        chosen = groups[first : first + at_once]
        values = states.values.expand(len(chosen), -1, -1, -1).clone()
        for version, positions in zip(values, chosen, strict=True):
            version[:, positions] = 0
        without = states.after_with_values(values)
        distance = 1 - cosine_similarity(without[:, rows].double(), states.after[rows].double(), dim=-1)
        parts.append(torch.where(distance < _SMALLEST, 0.0, distance))
    return torch.cat(parts)
