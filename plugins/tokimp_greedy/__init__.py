"""Greedy pruning: delete, again and again, the unit whose loss hurts least."""

from __future__ import annotations

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, Optional, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory
from tokimp.contracts.objective import Objective, Span
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.unit_deletions import score_kept
from tokimp.errors import EstimatorError
from tokimp_greedy.predicted import PredictedCandidates
from tokimp_greedy.search_width import Looks, expected_positions
from tokimp_greedy.strategies import AllCandidates, Audit, Candidates, NearAndBestCandidates, audited_steps

EXACT_BELOW = 200
"""Units of a chain below which ``strategy="auto"`` is exact."""

__all__ = ["EXACT_BELOW", "GreedyPruning"]


class GreedyPruning(ImportanceEstimator):
    """Scores a unit by the step at which greedy pruning deletes it.

    Each step scores what would be left without each unit still kept, deletes the unit that leaves the highest
    objective, and records the likelihoods after it. A tie, which is an exact one of float64 numbers, goes to the
    leftmost unit. Words and sentences are deleted as a whole. The procedure is that of Singh and Hakkani-Tür (2026),
    "Do LLMs encode functional importance of reasoning tokens?" (arXiv 2601.03066), greedy pruning.

    A deleted unit's score is its step, from 0. Units that stay all score the number of steps made, which is above
    every deleted unit; nothing is known of their order, so ranks break the tie from the left.

    Parameters
    ----------
    keep_ratio
        Share of units at which to stop, from 0 up to, not including, 1: ``int(n * keep_ratio)`` of n units stay, as
        in the paper. The product is one of binary floating-point numbers and is cut, not rounded: of 100 units a
        keep ratio of 0.29 keeps 28, because ``100 * 0.29`` is 28.999999999999996. 0 deletes every unit, the last
        one included.
    strategy
        ``exact`` scores every unit at every step. ``fast`` does so at the first step; later, where the objective reads
        the reasoning (``joint``), it predicts all scores from what each deletion did to each later token, and scores
        the best exactly (`PredictedCandidates`). Other objectives (``answer``) can be read at the very end only: units
        near the last deletion and those that cost least when last scored are scored (`NearAndBestCandidates`).
        ``auto`` is exact for chains of fewer than 200 units and fast for longer ones. What was done is stored:
        ``diagnostic_fast`` is 1 or 0.
    window
        Of ``fast``: units looked at on either side of the last deletion. By default 24 in a chain of fewer than 100
        units, which affords more, and 16 in others; 4 where the objective does not read the reasoning.
    beam
        Of ``fast``: units scored exactly because they seem best. By default 10 and 6; 24 and 12 where the objective
        does not read the reasoning.
    horizon
        Of ``fast``, where the objective reads the reasoning: tokens read beyond the last deletion to see what it
        changed near itself. By default 8 in a chain of fewer than 200 units, and 4 in others.
    audit
        Of ``fast``: the number of steps, spread evenly, at which all units are scored, and the best one goes.
        ``diagnostic_audit_agreement`` is the share of them at which ``fast`` would have chosen the same,
        ``diagnostic_audit_loss`` the mean of the nats (of the objective) that its choices would have lost, and
        ``diagnostic_audited_steps`` their number.

    Examples
    --------
    >>> from tokimp.contracts.objective import Answer
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0})
    >>> importance = GreedyPruning().estimate(toy_chain("abc"), scorer, Answer())
    >>> importance.order.tolist()
    [1, 0, 2]
    >>> GreedyPruning(keep_ratio=0.7).estimate(toy_chain("abc"), scorer, Answer()).scores.tolist()
    [1.0, 0.0, 1.0]
    """

    name = "greedy"
    requires = frozenset({Capability.DELETIONS})
    constraints = {
        "keep_ratio": Number(0, below=1),
        "strategy": OneOf("auto", "exact", "fast"),
        "window": Optional(WholeNumber(0)),
        "beam": Optional(WholeNumber(1)),
        "horizon": Optional(WholeNumber(0)),
        "audit": WholeNumber(0),
    }

    def __init__(
        self,
        keep_ratio: float = 0.0,
        strategy: str = "auto",
        *,
        window: int | None = None,
        beam: int | None = None,
        horizon: int | None = None,
        audit: int = 4,
    ) -> None:
        self.keep_ratio = keep_ratio
        self.strategy = strategy
        self.window = window
        self.beam = beam
        self.horizon = horizon
        self.audit = audit

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the step at which each unit goes, [unit], with order and trajectory.

        Raises
        ------
        EstimatorError
            If the keep ratio is not allowed, or the objective is not a number (NaN) at some step.
        """
        nothing = np.zeros(0)
        unpruned = Importance(
            scores=np.zeros(len(chain.units)),
            order=np.full(len(chain.units), -1),
            trajectory=Trajectory(joint=nothing, answer=nothing, reasoning=nothing),
        )
        return self.continue_from(unpruned, chain, scorer, objective)

    def continue_from(
        self, importance: Importance, chain: TokenizedChain, scorer: Scorer, objective: Objective
    ) -> Importance:
        """Carry a run that stopped at a higher keep ratio on to this one's.

        An exact run goes on as if it had never stopped. A fast one scores all units first, as at its beginning.

        Parameters
        ----------
        importance
            What the earlier run returned, for the same chain, scorer and objective.
        chain, scorer, objective
            As for `estimate`.

        Returns
        -------
        Importance
            Scores, order and trajectory are those of the whole run, the earlier steps included. Diagnostics are of
            the steps made here alone: ``fast``, and what the audit found, say nothing of how the earlier ones were
            chosen; ``importance.diagnostics`` does.

        Raises
        ------
        EstimatorError
            If `importance` is not one of greedy pruning of this chain, or had fewer units left than are to be kept.
        """
        self.validate_parameters()
        objective.check(chain)
        n_units = len(chain.units)
        past = importance.trajectory
        if importance.order is None or past is None or len(importance.order) != n_units:
            raise EstimatorError(
                f"{chain.chain.where}: only an importance with order and trajectory of this chain's {n_units} units "
                "can be continued; give what GreedyPruning returned for it"
            )
        order = np.array(importance.order, dtype=np.int64)
        kept = np.flatnonzero(order < 0).tolist()
        target = int(n_units * self.keep_ratio)
        if len(kept) < target:
            raise EstimatorError(
                f"{chain.chain.where}: {len(kept)} units are left of a run that is to be continued until {target} are; "
                "give a lower keep_ratio"
            )
        reasoning, answer = past.reasoning.tolist(), past.answer.tolist()
        candidates = self._candidates(chain, scorer, objective, len(kept) - target, len(reasoning))
        while len(kept) > target:
            best = candidates.best(kept, len(reasoning))
            kept.remove(best.unit)
            order[best.unit] = len(reasoning)
            reads_reasoning = Span.REASONING in objective.spans
            left = (best.reasoning, best.answer) if reads_reasoning else score_kept(scorer, chain, kept)
            reasoning.append(left[0])
            answer.append(left[1])
        trajectory = Trajectory(
            joint=np.add(reasoning, answer, dtype=np.float64), answer=np.array(answer), reasoning=np.array(reasoning)
        )
        scores = np.where(order < 0, len(reasoning), order).astype(np.float64)
        diagnostics = {"fast": float(self._is_fast(chain)), **candidates.diagnostics()}
        return Importance(scores, order, trajectory, diagnostics)

    def expected_positions(self, chain: TokenizedChain, objective: Objective) -> float | None:
        """Return about how many token positions a fast run will read of a scorer that shares; ``None`` if exact."""
        if not self._is_fast(chain):
            return None
        steps = len(chain.units) - int(len(chain.units) * self.keep_ratio)
        audited = audited_steps(steps, self.audit) if self.audit else frozenset()
        return expected_positions(chain, self._looks(chain, objective), steps, audited)

    def _is_fast(self, chain: TokenizedChain) -> bool:
        return self.strategy == "fast" or (self.strategy == "auto" and len(chain.units) >= EXACT_BELOW)

    def _looks(self, chain: TokenizedChain, objective: Objective) -> Looks:
        return Looks.of(chain, objective, window=self.window, beam=self.beam, horizon=self.horizon)

    def _candidates(
        self, chain: TokenizedChain, scorer: Scorer, objective: Objective, steps: int, made: int
    ) -> Candidates:
        if not self._is_fast(chain):
            return AllCandidates(chain, scorer, objective)
        audit = Audit(
            frozenset(made + step for step in audited_steps(steps, self.audit)) if self.audit else frozenset()
        )
        looks = self._looks(chain, objective)
        choose = PredictedCandidates if looks.predicts else NearAndBestCandidates
        return choose(chain, scorer, objective, looks, audit)
