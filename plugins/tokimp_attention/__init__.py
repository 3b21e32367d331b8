"""Attention: a reasoning token is important when what comes after it attends to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import ListOf, OneOf, Optional, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError

__all__ = ["Attention"]

QUERIES = ("answer", "value", "last", "later")
WEIGHTS = ("pattern", "value_norm", "rollout")
AGGREGATES = ("mean", "max")


class Attention(ImportanceEstimator):
    """Scores a unit by the attention it receives; the objective is not used.

    In each layer and head, a token's score is the mean weight that some query positions give it. A unit's score there
    is the sum over its tokens: the attention that goes to the unit. Layers and heads are then aggregated. The whole
    takes one pass over the full chain.

    Parameters
    ----------
    query
        The positions whose attention counts. A causal model predicts a token from the position before it. So the rows
        that log P(answer) is made of begin at the last reasoning token and end before the last answer token. The row of
        the last answer token predicts nothing of the chain.

        - ``answer``: the positions that answer tokens are predicted from. The first is the last reasoning token
          itself, so that token's attention to itself counts.
        - ``value``: those of them that the value is predicted from, such as ``18`` of ``#### 18``
          (`TokenizedChain.answer_value`): the counterpart of the objective ``answer_value``. What is predicted from the
          others is how the answer is set and where it ends.
        - ``last``: the last of these, from which the last answer token is predicted. If the prompt format closes the
          turn, that token belongs to the closing, and the query has seen the whole answer.
        - ``later``: every later position that can see the token, also in its own unit and in the answer. The mean is
          over these positions only. An early token therefore gains nothing from having many of them, and a token
          outside a sliding window loses nothing. What a position can see is what the layer's mask allows. A weight that
          is too small for float32 counts as 0.
    weights
        - ``pattern``: the softmax weights.
        - ``value_norm``: each weight times the norm of the vector it moves (Kobayashi et al. 2020, "Attention is not
          only a weight", section 3). A unit's sum of norms is an upper bound of the norm of its tokens' sum.
        - ``rollout``: attention followed through the layers (Abnar and Zuidema 2020, "Quantifying attention flow in
          transformers", section 3): in each layer, half the mean over heads plus half the identity (for the residual
          stream), with rows scaled to sum to 1; these matrices are multiplied from the first layer to the last.
    layers, heads
        Indices of the layers and heads that count; all by default, negative ones count from the end. The same heads are
        taken from every layer; rollout multiplies the layers in the order given.
    aggregate
        ``mean`` or ``max`` over the chosen layers and heads. Rollout gives one matrix and allows ``mean`` only.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> evenly = Attention(layers=[0], heads=[0])  # the head of this scorer that attends evenly to all it can see
    >>> evenly.estimate(toy_chain("ab"), AdditiveScorer(), Joint()).scores.round(3).tolist()
    [0.333, 0.333]
    """

    name = "attention"
    requires = frozenset({Capability.ATTENTION})
    constraints = {
        "query": OneOf(*QUERIES),
        "weights": OneOf(*WEIGHTS),
        "layers": Optional(ListOf(WholeNumber(), fewest=1, distinct=True)),
        "heads": Optional(ListOf(WholeNumber(), fewest=1, distinct=True)),
        "aggregate": OneOf(*AGGREGATES),
    }

    def __init__(
        self,
        query: Literal["answer", "value", "last", "later"] = "answer",
        weights: Literal["pattern", "value_norm", "rollout"] = "pattern",
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        aggregate: Literal["mean", "max"] = "mean",
    ) -> None:
        self.query = query
        self.weights = weights
        self.layers = layers
        self.heads = heads
        self.aggregate = aggregate

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed, or two do not go together."""
        super().validate_parameters()
        if self.weights == "rollout" and self.aggregate != "mean":
            raise self.invalid_parameter("aggregate", "mean: rollout is defined on the mean over heads")

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the attention each unit receives, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or names a head that the model does not have; or, for ``value``, if the
            chain's answer gives no value.
        """
        self.validate_parameters()
        if self.query == "value" and chain.answer_value is None:
            raise EstimatorError(
                f"{chain.chain.where}: attention:query=value needs an answer that gives a value, and "
                f"{chain.chain.answer[:40]!r} gives none; mend it, or use query=answer"
            )
        # Only the mean over later positions has to know what each of them can see.
        read = partial(scorer.attention, hidden=math.nan) if self.query == "later" else scorer.attention
        if self.weights == "rollout":
            mixed = read(chain, layers=self.layers, reduce=lambda layer: self._heads(layer).mean(dim=0))
            rollout = torch.from_numpy(roll_out(mixed))
            received: FloatArray = attention_received(rollout[None], chain, self.query).numpy()[None]
        else:
            received = read(
                chain,
                weights=self.weights,
                layers=self.layers,
                reduce=lambda layer: attention_received(self._heads(layer), chain, self.query),
            )
        per_unit = sum_over_units(chain, received)
        return Importance(per_unit.max(axis=(0, 1)) if self.aggregate == "max" else per_unit.mean(axis=(0, 1)))

    def _heads(self, layer: torch.Tensor) -> torch.Tensor:
        """Return the chosen heads of one layer's [head, ...], in float32."""
        if self.heads is None:
            return layer.float()
        if not all(-len(layer) <= head < len(layer) for head in self.heads):
            raise self.invalid_parameter("heads", f"indices of heads of a model that has {len(layer)} a layer")
        return layer[list(self.heads)].float()


def attention_received(weights: torch.Tensor, chain: TokenizedChain, query: str) -> torch.Tensor:
    """Return the mean weight that each reasoning token gets from some positions, [head, reasoning token].

    Parameters
    ----------
    weights
        The attention weights of one layer over the whole sequence, [head, query, key]; for ``later``, NaN where a
        position cannot see another.
    chain
        The chain that the sequence belongs to.
    query
        The positions, as for `Attention`.
    """
    start, stop = chain.reasoning_span
    columns = weights[:, :, start:stop]
    if query == "answer":
        return columns[:, stop - 1 : len(chain) - 1].mean(dim=1)
    if query == "value" and chain.answer_value is not None:
        # Each token is predicted from the position before it.
        begin, end = (stop + index - 1 for index in chain.answer_value)
        return columns[:, begin:end].mean(dim=1)
    if query == "last":
        return columns[:, len(chain) - 2]
    rows = torch.arange(len(chain), device=weights.device)
    later = rows[:, None] > rows[start:stop]
    can_see = ~columns.isnan() & later
    return columns.where(can_see, 0).sum(dim=1) / can_see.sum(dim=1).clamp(min=1)


def roll_out(attention: FloatArray) -> FloatArray:
    """Follow attention through the layers: [layer, query, key] to [query, key], float64 (Abnar and Zuidema, eq. 1).

    NaN stands for a pair that a layer hides. It stays NaN where no layer leads from the one position to the other.
    """
    identity = np.eye(attention.shape[-1])
    rollout, reached = identity, identity > 0
    for layer in attention.astype(np.float64):
        mixed = 0.5 * np.nan_to_num(layer) + 0.5 * identity
        rollout = mixed / mixed.sum(axis=-1, keepdims=True) @ rollout
        # Each position reaches itself, through the residual stream.
        reached = ((~np.isnan(layer)).astype(np.float64) + identity) @ reached > 0
    return np.where(reached, rollout, np.nan) if np.isnan(attention).any() else rollout
