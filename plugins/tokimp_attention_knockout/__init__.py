"""Attention knockout: what a chain loses when nothing later can attend to one unit."""

from __future__ import annotations

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import TrueOrFalse
from tokimp.contracts.effects import unit_effects
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.operators import Knockout, RequiredByOperator
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetScores, single_deletions
from tokimp.errors import EstimatorError

__all__ = ["AttentionKnockout"]


class AttentionKnockout(ImportanceEstimator):
    """Scores a unit by the drop in the objective if no later token can attend to it; every token keeps its position.

    ``importance(u) = objective(chain) - objective(chain, u hidden from all that follows)``, in the objective's unit
    (nats for the built-in ones). A negative score says that the chain is more likely if nothing looks back at the
    unit. In every layer and head, the weights on the unit become zero and the other weights grow in proportion (Geva et
    al. 2023, "Dissecting recall of factual associations in auto-regressive language models", section 4.2). The unit's
    tokens still attend to each other and to what precedes them.

    Compared with `leave_one_out`, this separates what deletion removes from what it moves. No position changes here,
    and with the objective ``joint`` the unit's own log-probability stays in the sum. One thing stays that deletion
    removes: the token right after a unit is predicted from the unit's last position, which still holds its last token.

    Each unit takes one pass over the whole sequence, so n units of a chain of L tokens cost n L positions.
    ``leave_one_out:operator=knockout`` is the same; a run that has both makes the passes once.

    Parameters
    ----------
    effects
        Whether to give also what hiding each unit does to each later one and to the answer (`tokimp.effects`). It takes
        as many passes again.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0})
    >>> AttentionKnockout().estimate(toy_chain("abc"), scorer, Joint()).scores.tolist()
    [0.5, -0.25, 2.0]
    """

    name = "attention_knockout"
    requires = RequiredByOperator(usual="knockout")
    constraints = {"effects": TrueOrFalse()}

    def __init__(self, *, effects: bool = False) -> None:
        self.effects = effects

    @property
    def gives_effects(self) -> bool:
        """Whether effects were asked for."""
        return self.effects

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the drop in `objective` for each unit, [unit].

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or the objective of the full chain, or that after a knockout, is not a
            finite number.
        """
        self.validate_parameters()
        objective.check(chain)
        *hidden, full = SubsetScores(scorer, chain, objective, Knockout()).score(single_deletions(chain)).objective
        with np.errstate(invalid="ignore"):  # inf - inf is met below
            scores = np.float64(full) - np.asarray(hidden, dtype=np.float64)
        if not np.isfinite(scores).all():
            unit = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise EstimatorError(
                f"{chain.chain.where}: the objective {objective.name!r} is {full} on the full chain and "
                f"{hidden[unit]} with {chain.unit} {unit} hidden; their difference is no finite importance"
            )
        between, on_answer = unit_effects(scorer, chain, Knockout()) if self.effects else (None, None)
        return Importance(scores, effects=between, effects_on_answer=on_answer)
