"""Greedy pruning: again and again, delete the unit that is missed least."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, Optional, TrueOrFalse, WholeNumber
from tokimp.contracts.effects import unit_effects
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory
from tokimp.contracts.objective import Objective, Span
from tokimp.contracts.operators import Delete
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.unit_deletions import score_kept
from tokimp.errors import EstimatorError
from tokimp_greedy.predicting import PredictingStrategy
from tokimp_greedy.search_width import DEAR_CALL, SearchWidth, fast_run_positions
from tokimp_greedy.strategies import Audit, ExactStrategy, NearAndBestStrategy, Strategy, audited_steps
from tokimp_greedy.trajectory import loglikelihoods_after

EXACT_BELOW = 200
"""For chains with fewer units than this, ``strategy="auto"`` is exact."""

__all__ = ["EXACT_BELOW", "GreedyPruning"]


class GreedyPruning(ImportanceEstimator):
    """Scores each unit of a reasoning by how long greedy pruning keeps it.

    Greedy pruning shortens the reasoning that a language model wrote between a question and its answer. It deletes one
    unit (a token, a word or a sentence) at a time. Each step tries the deletion of every unit that is still there, and
    asks the model how probable it finds what is left. The `objective` says which probability counts, such as that of
    the reasoning and the answer together. The unit whose deletion leaves the highest objective is deleted for good,
    and the next step begins.

    The units that are deleted first were needed least. So the score of a unit is the number of the step that deletes
    it, counted from 0. Units that are never deleted all score the number of steps, which is above every other score.
    Nothing is known about their order; ranks take them from the left.

    If several deletions leave exactly the same objective (as float64 numbers), the leftmost unit is deleted. The
    procedure is that of Singh and Hakkani-Tür (2026), "Do LLMs encode functional importance of reasoning tokens?"
    (arXiv 2601.03066).

    A chain of n units takes about n * n / 2 trial deletions. The ``fast`` strategy makes far fewer, and may now and
    then delete another unit than the best.

    Parameters
    ----------
    keep_ratio
        Share of the units at which to stop, 0 or more and below 1. Of n units, ``int(n * keep_ratio)`` are kept, as in
        the paper. The product is cut, not rounded, and is one of binary floating-point numbers: of 100 units a keep
        ratio of 0.29 keeps 28, because ``100 * 0.29`` is 28.999999999999996. 0 deletes every unit.
    strategy
        ``exact`` tries every unit at every step. ``fast`` does so at the first step; afterwards it tries only units
        that are likely to be the best. Where the objective reads the reasoning (``joint``), it predicts all scores from
        what each deletion did to each later token, and tries the best predictions (`PredictingStrategy`). On a GPU,
        where a call costs more than many positions, it also tries the units near the last deletion in the same call,
        so its choices there can differ. For other
        objectives (``answer``) it tries the units near the last deletion, and those that cost least when they were last
        tried (`NearAndBestStrategy`). ``auto`` is exact for chains of fewer than 200 units, and fast for longer ones.
        The result stores which it was: ``diagnostic_fast`` is 1 or 0.
    window
        For ``fast``: how many units on either side of the last deletion a step looks at. By default 24 in a chain of
        fewer than 100 units, and 16 in a longer one; 4 if the objective does not read the reasoning.
    beam
        For ``fast``: how many units a step tries because they seem best. By default 10 in a chain of fewer than 100
        units, and 6 in a longer one; on a GPU, 24 in a chain of fewer than 200 units; 24 and 12 if the objective does
        not read the reasoning.
    horizon
        For ``fast``, if the objective reads the reasoning: how many tokens beyond the last deletion a step reads, to
        see what the deletion changed near itself. By default 8 in a chain of fewer than 200 units, and 4 in a longer
        one.
    audit
        For ``fast``: the number of steps, spread evenly, that try all units and delete the best of all. The result
        stores what they show: ``diagnostic_audited_steps`` is their number, ``diagnostic_audit_agreement`` the share of
        them at which ``fast`` would have deleted the same unit, and ``diagnostic_audit_loss`` how much lower, on
        average, the objective would have been after the choice of ``fast`` (nats).
    effects
        Whether to give also what each unit does to each later one and to the answer (`tokimp.effects`) on the full
        chain, which is what the first step looks at: the effects of leave-one-out. It takes a pass for each unit.

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
        "effects": TrueOrFalse(),
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
        effects: bool = False,
    ) -> None:
        self.keep_ratio = keep_ratio
        self.strategy = strategy
        self.window = window
        self.beam = beam
        self.horizon = horizon
        self.audit = audit
        self.effects = effects

    @property
    def gives_effects(self) -> bool:
        """Whether effects were asked for."""
        return self.effects

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the step that deletes each unit, [unit], with the order of deletions and the trajectory.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or the objective is not a number (NaN) at some step.
        """
        nothing = np.zeros(0)
        unpruned = Importance(
            scores=np.zeros(len(chain.units)),
            order=np.full(len(chain.units), -1),
            trajectory=Trajectory(joint=nothing, answer=nothing, reasoning=nothing),
        )
        pruned = self.continue_from(unpruned, chain, scorer, objective)
        if not self.effects:
            return pruned
        between, on_answer = unit_effects(scorer, chain, Delete())
        return replace(pruned, effects=between, effects_on_answer=on_answer)

    def continue_from(
        self, importance: Importance, chain: TokenizedChain, scorer: Scorer, objective: Objective
    ) -> Importance:
        """Continue a run that stopped at a higher keep ratio.

        An exact run continues as if it had never stopped. A fast run first scores all units, as at its beginning.

        Parameters
        ----------
        importance
            What the earlier run returned, for the same chain, scorer and objective.
        chain, scorer, objective
            As for `estimate`.

        Returns
        -------
        Importance
            Scores, order and trajectory of the whole run, the earlier steps included. The diagnostics are those of
            the steps made here; those of the earlier steps are in ``importance.diagnostics``.

        Raises
        ------
        EstimatorError
            If `importance` is not a result of greedy pruning of this chain, fewer units are left in it than are to be
            kept, or the objective is not a number (NaN) at some step.
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
        made, reads_reasoning = len(past.reasoning), Span.REASONING in objective.spans
        reasoning, answer, whole = past.reasoning.tolist(), past.answer.tolist(), list(kept)
        strategy = self._make_strategy(chain, scorer, objective, len(kept) - target, made)
        while len(kept) > target:
            best = strategy.choose(kept, len(reasoning))
            kept.remove(best.unit)
            order[best.unit] = len(reasoning)
            left = best.reasoning, best.answer
            if not reads_reasoning and scorer.call_cost < DEAR_CALL:
                left = score_kept(scorer, chain, kept)
            reasoning.append(left[0])
            answer.append(left[1])
        if not reads_reasoning and scorer.call_cost >= DEAR_CALL:
            deleted = sorted(set(whole) - set(kept), key=lambda unit: int(order[unit]))
            reasoning[made:], answer[made:] = loglikelihoods_after(scorer, chain, whole, deleted)
        trajectory = Trajectory(
            joint=np.add(reasoning, answer, dtype=np.float64), answer=np.array(answer), reasoning=np.array(reasoning)
        )
        scores = np.where(order < 0, len(reasoning), order).astype(np.float64)
        diagnostics = {"fast": float(self._is_fast(chain)), **strategy.diagnostics()}
        return Importance(scores, order, trajectory, diagnostics)

    def expected_positions(self, chain: TokenizedChain, objective: Objective) -> float | None:
        """Estimate how many token positions a fast run reads if the scorer reuses keys and values.

        Returns ``None`` if a run over this chain is exact; `tokimp.bench` estimates that. On a GPU a run makes fewer
        calls and reads more.
        """
        if not self._is_fast(chain):
            return None
        steps = len(chain.units) - int(len(chain.units) * self.keep_ratio)
        audited = audited_steps(steps, self.audit) if self.audit else frozenset()
        return fast_run_positions(chain, self._search_width(chain, objective, call_cost=0), steps, audited)

    def _is_fast(self, chain: TokenizedChain) -> bool:
        return self.strategy == "fast" or (self.strategy == "auto" and len(chain.units) >= EXACT_BELOW)

    def _search_width(self, chain: TokenizedChain, objective: Objective, *, call_cost: float) -> SearchWidth:
        return SearchWidth.for_chain(
            chain, objective, window=self.window, beam=self.beam, horizon=self.horizon, call_cost=call_cost
        )

    def _make_strategy(
        self, chain: TokenizedChain, scorer: Scorer, objective: Objective, steps: int, steps_made: int
    ) -> Strategy:
        if not self._is_fast(chain):
            return ExactStrategy(chain, scorer, objective)
        audited = audited_steps(steps, self.audit) if self.audit else frozenset()
        audit = Audit(frozenset(steps_made + step for step in audited))
        width = self._search_width(chain, objective, call_cost=scorer.call_cost)
        strategy = PredictingStrategy if width.predicts else NearAndBestStrategy
        return strategy(chain, scorer, objective, width, audit)
