"""Leave-one-out: what a chain loses when one unit is taken away from it."""

from __future__ import annotations

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import TrueOrFalse
from tokimp.contracts.effects import unit_effects
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.operators import EMBEDDINGS, OPERATOR_CONSTRAINTS, RequiredByOperator, make_operator
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetScores, single_deletions
from tokimp.errors import EstimatorError

__all__ = ["LeaveOneOut"]


class LeaveOneOut(ImportanceEstimator):
    """Scores a unit by the drop in the objective when it alone is taken away from the full chain.

    ``importance(u) = objective(chain) - objective(chain without u)``, in the objective's unit (nats for the built-in
    ones). A negative score says that the chain is better preserved without the unit. Words and sentences are deleted
    as a whole, so their scores are not the sums of their tokens' scores.

    A deletion leaves no gap: the ids are removed, and those after them move up (erasure in the sense of Li, Monroe and
    Jurafsky 2016, "Understanding neural networks through representation erasure", section 3). With the objective
    ``joint``, a deleted unit's own log-probability leaves the sum as well. Greedy pruning begins the same way: it first
    deletes the unit that this estimator scores lowest.

    With the objective ``answer``, the ranking is that of PIR (perplexity-based importance refinement, Xiao et al. 2025,
    arXiv 2505.19187, section 2.2), whose score is this one divided by the number of answer tokens.

    Parameters
    ----------
    operator
        ``delete`` takes the ids out. ``knockout`` hides the unit from all later tokens, and ``mask`` puts another token
        in the place of each of its tokens; both keep the position of every token, so that what deletion moves can be
        told from what it removes. With ``knockout`` a unit's own log-probability stays in the sum of ``joint``.
    replacement
        For ``mask``: what stands in place of a token; see `tokimp.contracts.operators`.
    effects
        Whether to give also what each unit does to each later one and to the answer (`tokimp.effects`, the analysis
        ``effects``). It takes as many passes again.

    Examples
    --------
    >>> from tokimp.contracts.objective import Answer
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0})
    >>> LeaveOneOut().estimate(toy_chain("abc"), scorer, Answer()).scores.tolist()
    [0.5, -0.25, 2.0]
    """

    name = "leave_one_out"
    requires = RequiredByOperator()
    constraints = {**OPERATOR_CONSTRAINTS, "effects": TrueOrFalse()}

    def __init__(self, operator: str = "delete", *, replacement: str | int = "eos", effects: bool = False) -> None:
        self.operator = operator
        self.replacement = replacement
        self.effects = effects

    @property
    def gives_effects(self) -> bool:
        """Whether effects were asked for."""
        return self.effects

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed, or effects are to be those of a masking embedding."""
        super().validate_parameters()
        if self.effects and self.operator == "mask" and self.replacement in EMBEDDINGS:
            raise self.invalid_parameter("replacement", "a token, of which effects are known, or effects=false")

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the drop in `objective` for each unit, [unit].

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or the objective of the full chain, or that without a unit, is not a finite
            number.
        """
        self.validate_parameters()
        objective.check(chain)
        operator = make_operator(self.operator, self.replacement)
        *without, full = SubsetScores(scorer, chain, objective, operator).score(single_deletions(chain)).objective
        with np.errstate(invalid="ignore"):  # inf - inf is met below
            scores = np.float64(full) - np.asarray(without, dtype=np.float64)
        if not np.isfinite(scores).all():
            unit = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise EstimatorError(
                f"{chain.chain.where}: the objective {objective.name!r} is {full} on the full chain and "
                f"{without[unit]} without {chain.unit} {unit}; their difference is no finite importance"
            )
        between, on_answer = unit_effects(scorer, chain, operator) if self.effects else (None, None)
        return Importance(scores, effects=between, effects_on_answer=on_answer)
