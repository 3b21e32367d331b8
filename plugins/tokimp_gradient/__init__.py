"""Gradients: a reasoning token is important when the objective changes with its embedding."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError

__all__ = ["Gradient"]

METHODS = ("input_x_gradient", "absolute_input_x_gradient", "l2_norm", "integrated_gradients")
BASELINES = ("mean", "zero")


class Gradient(ImportanceEstimator):
    """Scores a unit by the objective's gradient with respect to the input embeddings of its tokens.

    Below, x is a token's embedding and g is the gradient of the objective with respect to it. A unit is one input: the
    embeddings of its tokens are joined into one vector. Each definition therefore holds for words and sentences as it
    does for tokens: inner products are summed over the tokens, the absolute value is taken of the sum, and the norm is
    that of the joined gradient. The tokens to be predicted stay the chain's; only inputs vary.

    Parameters
    ----------
    method
        - ``input_x_gradient``: g · x, the first-order estimate of the drop in the objective when the embedding is set
          to zero (Shrikumar et al. 2016, arXiv 1605.01713); negative if that would raise the objective.
        - ``absolute_input_x_gradient``: the size of g · x, so a token that lowers the objective counts as much as one
          that raises it.
        - ``l2_norm``: the L2 norm of g, how fast the objective can change with the embedding in any direction.
        - ``integrated_gradients``: (x - b) · the mean of g on the straight line from a baseline b to x, all tokens
          moving together (Sundararajan et al. 2017, section 3). The scores add up to the objective's change from the
          baseline to the chain (completeness); how far they miss it is reported.
    steps
        Points on that line, placed by Gauss-Legendre quadrature. Each takes one forward and one backward pass.
    baseline
        Where the line of integrated gradients starts. ``mean``: every token starts at the mean embedding of the chain's
        reasoning tokens. A chain of a single token then is its own baseline and scores 0. ``zero``: every token starts
        at an embedding of zeros, as is usual for text. Nearly every model normalises its inputs (RMSNorm, LayerNorm)
        and sees little but their direction, which does not change on the way from zero; so much of the objective's
        change can happen in a short stretch of the line.

    Notes
    -----
    Integrated gradients have two diagnostics. ``completeness_gap`` is the sum of the scores minus the change of the
    objective (in its unit; nats for the built-in ones). ``completeness_gap_relative`` is the size of the gap as a
    share of the size of that change. If the gap is large, take more steps, or do not trust the scores: along the line
    the objective can swing so sharply that hundreds of steps miss it, with either baseline. `tokimp compare` prints the
    gaps.

    Examples
    --------
    >>> from tokimp.contracts.objective import Answer
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0})
    >>> Gradient().estimate(toy_chain("abc"), scorer, Answer()).scores.tolist()
    [0.5, -0.25, 2.0]
    """

    name = "gradient"
    requires = frozenset({Capability.GRADIENTS})
    constraints = {
        "method": OneOf(*METHODS),
        "steps": WholeNumber(1),
        "baseline": OneOf(*BASELINES),
    }

    def __init__(
        self,
        method: Literal[
            "input_x_gradient", "absolute_input_x_gradient", "l2_norm", "integrated_gradients"
        ] = "input_x_gradient",
        steps: int = 32,
        baseline: Literal["mean", "zero"] = "mean",
    ) -> None:
        self.method = method
        self.steps = steps
        self.baseline = baseline

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's importance by the gradient of `objective`, [unit].

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or a gradient is not finite.
        """
        self.validate_parameters()
        if self.method == "integrated_gradients":
            return self._integrated_gradients(chain, scorer, objective)
        embeddings, gradients = _embeddings_and_gradients(chain, scorer, objective)
        if self.method == "l2_norm":
            return Importance(np.sqrt(sum_over_units(chain, (gradients**2).sum(axis=-1))))
        scores = sum_over_units(chain, (embeddings * gradients).sum(axis=-1))
        return Importance(np.abs(scores) if self.method == "absolute_input_x_gradient" else scores)

    def _integrated_gradients(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        # The baseline ``mean`` needs the embeddings before the line is known. A scorer gives them only together with
        # the gradient at the chain itself, which is no point of this quadrature: one more pass.
        embeddings, _ = _embeddings_and_gradients(chain, scorer, objective)
        start = np.zeros_like(embeddings)
        if self.baseline == "mean":
            start = start + embeddings.mean(axis=0)
        way = embeddings - start
        points, point_weights = np.polynomial.legendre.leggauss(self.steps)
        mean_gradient = np.zeros_like(embeddings)
        for point, weight in zip((points + 1) / 2, point_weights / 2, strict=True):
            _, gradients = _embeddings_and_gradients(chain, scorer, objective, start + point * way)
            mean_gradient += weight * gradients
        scores = sum_over_units(chain, (way * mean_gradient).sum(axis=-1))
        change = scorer.objective_value(chain, objective) - scorer.objective_value(
            chain, objective, start.astype(np.float32)
        )
        gap = float(scores.sum()) - change
        relative = abs(gap / change) if change else (np.inf if gap else 0.0)
        return Importance(scores, diagnostics={"completeness_gap": gap, "completeness_gap_relative": float(relative)})


def _embeddings_and_gradients(
    chain: TokenizedChain, scorer: Scorer, objective: Objective, embeddings: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the reasoning tokens' embeddings and the gradient there, [reasoning token, d_model] each, float64."""
    stand_ins = None if embeddings is None else embeddings.astype(np.float32)
    at, gradients = scorer.embedding_gradients(chain, objective, stand_ins)
    broken = np.flatnonzero(~np.isfinite(gradients).all(axis=-1))
    if len(broken):
        raise EstimatorError(
            f"{chain.chain.where}: the gradient of {objective.name!r} is not finite at reasoning token {broken[0]}; "
            f"check the model's numbers in this precision ({scorer.dtype})"
        )
    return at.astype(np.float64), gradients.astype(np.float64)
