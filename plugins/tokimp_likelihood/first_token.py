"""First-token surprisal: a reasoning unit is important when the model did not expect how it begins."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["FirstToken"]


class FirstToken(ImportanceEstimator):
    """Scores a unit by -log P(its first token | question, reasoning before it), in nats; the objective is not used.

    ``importance(u) = -log P(first token of u | all before it)``: where a step begins in a way that was not to be
    expected, the chain takes a turn. ASAP (arXiv 2508.05988) drops the steps that begin most predictably, until a
    budget of tokens is met. This is its ranking, computed once on the full chain; its other stage, in which a language
    model writes a short chain whose steps must stay, is not part of it. With tokens as units it equals ``surprisal``.
    The whole takes one pass over the full chain; the answer plays no part.

    All depends on where units begin. The first token of a step is often white space, or a word such as *Wait*.

    Parameters
    ----------
    beginning
        ``visible``: the first token of the unit that covers more than white space (the first one, if none does).
        ``first``: the first one, whatever it is, as in ASAP.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer(reasoning_logprob=-0.5)
    >>> FirstToken().estimate(toy_chain("ab cd", unit="word"), scorer, Joint()).scores.tolist()
    [0.5, 0.5]
    """

    name = "first_token"
    requires = frozenset({Capability.LOGPROBS})
    constraints = {"beginning": OneOf("visible", "first")}

    def __init__(self, beginning: Literal["visible", "first"] = "visible") -> None:
        self.beginning = beginning

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the surprisal of each unit's first token, [unit], nats; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        surprisal = -scorer.logprobs([chain])[0].reasoning.astype(np.float64)
        return Importance(surprisal[[self._begin(chain, unit) for unit in chain.units]])

    def _begin(self, chain: TokenizedChain, unit: tuple[int, ...]) -> int:
        """Return the position of the token that a unit begins with."""
        if self.beginning == "first":
            return unit[0]
        offsets = {position: chain.reasoning_offsets[position] for position in unit}
        visible = (at for at, (start, end) in offsets.items() if chain.chain.reasoning[start:end].strip())
        return next(visible, unit[0])
