"""Scores of subsets of a chain's units: a subset is scored once, and what was scored already is found again.

Estimators and evaluation ask about subsets: leave-one-out, ContextCite, Shapley values, deletion curves. Two things
keep them from paying twice. `SubsetScores` belongs to one of them, and never asks the scorer about a subset that it
has asked about before. A `SubsetMemory` belongs to a run, and is shared by all that ask in it.

What is read together can change the last bits of a number. If a subset were taken over from whoever scored it before,
among other subsets, last bits would depend on who came first, and on where a run was interrupted. So the memory gives
back whole calls: the same subsets in the same order. They have the bits that asking again would give. From a scorer
whose numbers do not depend on what they are read with (`Scorer.reads_alone`), it gives back single subsets.
``docs/decisions/0020-subsets-are-scored-once.md`` has the reasons.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.operators import Delete, Operator
from tokimp.contracts.scorer import DeletionScores, Scorer
from tokimp.errors import EstimatorError, TokimpError

Subset = tuple[int, ...]
"""Indices of the units of a chain that are kept, ascending."""

_MOST_SCORES = 1_000_000


class SubsetMemory:
    """Scores of subsets that were asked about in a run, as far as they fit.

    Parameters
    ----------
    most_scores
        How many subsets it holds; what was not asked about for the longest time goes first. A score takes about 100
        bytes, and 1 more for every eight units of the chain.
    """

    def __init__(self, most_scores: int = _MOST_SCORES) -> None:
        self._most = most_scores
        self._held = 0
        self._model: str | None = None
        self._scores: OrderedDict[Hashable, DeletionScores] = OrderedDict()

    def of_model(self, fingerprint: str) -> SubsetMemory:
        """Return this memory, emptied first if what it holds was scored by another model, or nobody knows by which."""
        if fingerprint != self._model or not fingerprint:
            self._scores.clear()
            self._held = 0
        self._model = fingerprint
        return self

    def find(self, question: Hashable) -> DeletionScores | None:
        """Return what was answered to a question; ``None`` if it was not asked, or the answer did not fit."""
        scores = self._scores.get(question)
        if scores is not None:
            self._scores.move_to_end(question)
        return scores

    def keep(self, question: Hashable, scores: DeletionScores) -> None:
        """Hold the answer to a question, and let go of the oldest answers if it is too much."""
        if question in self._scores:
            return
        self._scores[question] = scores
        self._held += len(scores.objective)
        while self._held > self._most:
            _, oldest = self._scores.popitem(last=False)
            self._held -= len(oldest.objective)


class SubsetScores:
    """Scores of subsets of one chain's units, each asked for once.

    It is made by an estimator or an analysis for one chain. If the scorer is one that a run gave, it has the run's
    `SubsetMemory`, and a call that was made in the run before costs nothing.

    Parameters
    ----------
    scorer
        The model that scores.
    chain
        The full chain.
    objective
        The number to compute for each subset.
    operator
        How the other units are taken away; by deletion if it is not given.

    Examples
    --------
    >>> from tokimp.contracts.objective import Answer
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 0.5, "b": 2.0}, answer_base=-4.0)
    >>> scores = SubsetScores(scorer, toy_chain("ab"), Answer())
    >>> scores.score([(), (1,), (0, 1), (1,)]).objective.tolist()
    [-4.0, -2.0, -1.5, -2.0]
    """

    def __init__(
        self, scorer: Scorer, chain: TokenizedChain, objective: Objective, operator: Operator | None = None
    ) -> None:
        self._scorer, self._chain, self._objective = scorer, chain, objective
        self._operator = operator or Delete()
        self._memory: SubsetMemory | None = getattr(scorer, "subset_memory", None)
        self._about = _about(chain, objective, self._operator)
        self._column_of: dict[int, int] = {}
        self._columns = np.zeros((3, 0))

    def score(self, subsets: Sequence[Iterable[int]]) -> DeletionScores:
        """Score subsets of the units, each given by the indices of the units that are kept.

        Subsets that were not scored before are scored in one call, in their order.

        Returns
        -------
        DeletionScores
            One entry a subset; ``reasoning`` and ``answer`` as far as the operator and the objective give them.

        Raises
        ------
        EstimatorError
            If a subset names a unit that the chain does not have.
        """
        asked = [self._bits(subset) for subset in subsets]
        new = [bits for bits in dict.fromkeys(asked) if bits not in self._column_of]
        if new:
            scores = self._find_or_score(new)
            self._column_of |= {bits: self._columns.shape[1] + index for index, bits in enumerate(new)}
            added = np.array([scores.objective, scores.reasoning, scores.answer], dtype=np.float64)
            self._columns = np.concatenate([self._columns, added], axis=1)
        return DeletionScores(*self._columns[:, [self._column_of[bits] for bits in asked]])

    def objective(self, subsets: Sequence[Iterable[int]]) -> FloatArray:
        """Return the objective of each subset, [subset], and refuse what is no finite number.

        Raises
        ------
        EstimatorError
            If the objective of a subset is NaN or infinite.
        """
        values = self.score(subsets).objective
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            kept = sorted(subsets[int(wrong[0])])
            shown = f"{len(kept)} of {len(self._chain.units)} units" if len(kept) > 10 else f"units {kept}"
            raise EstimatorError(
                f"{self._chain.chain.where}: the objective {self._objective.name!r} is {values[wrong[0]]} with {shown} "
                f"kept ({self._operator.name}), which is no finite number"
            )
        return values

    def _find_or_score(self, new: list[int]) -> DeletionScores:
        if self._memory is None or self._about is None:
            return self._score(new)
        if not self._scorer.reads_alone:
            question = (*self._about, tuple(new))
            scores = self._memory.find(question)
            if scores is None:
                scores = self._score(new)
                self._memory.keep(question, scores)
            return scores
        missing = [bits for bits in new if self._memory.find((*self._about, bits)) is None]
        found = {bits: self._memory.find((*self._about, bits)) for bits in new}
        if missing:
            scores = self._score(missing)
            for index, bits in enumerate(missing):
                one = slice(index, index + 1)
                found[bits] = DeletionScores(scores.objective[one], scores.reasoning[one], scores.answer[one])
                self._memory.keep((*self._about, bits), found[bits])  # type: ignore[arg-type] # it was just scored
        parts = [found[bits] for bits in new]
        return DeletionScores(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("objective", "reasoning", "answer"))
        )

    def _score(self, new: list[int]) -> DeletionScores:
        units = self._chain.units
        taken = [
            sorted(position for unit, positions in enumerate(units) if not bits >> unit & 1 for position in positions)
            for bits in new
        ]
        return self._operator.score(self._scorer, self._chain, taken, self._objective)

    def _bits(self, subset: Iterable[int]) -> int:
        """Return a subset as a number whose bits are the units that are kept."""
        bits = 0
        for unit in subset:
            if not 0 <= unit < len(self._chain.units):
                raise EstimatorError(
                    f"{self._chain.chain.where}: there is no unit {unit}; the chain has {len(self._chain.units)}, "
                    "counted from 0"
                )
            bits |= 1 << int(unit)
        return bits


def single_deletions(chain: TokenizedChain) -> list[Subset]:
    """Return the subsets that leave-one-out asks about: all units but one, for each unit in order, then all units."""
    everything = tuple(range(len(chain.units)))
    return [*(everything[:unit] + everything[unit + 1 :] for unit in everything), everything]


def every_subset(chain: TokenizedChain) -> list[Subset]:
    """Return all subsets of a chain's units, the smaller ones first; there are 2 to the power of their number."""
    units = range(len(chain.units))
    return [subset for size in range(len(units) + 1) for subset in combinations(units, size)]


def _about(chain: TokenizedChain, objective: Objective, operator: Operator) -> tuple[Hashable, ...] | None:
    """Return what tells the questions about one chain from others; ``None`` if the objective cannot be told apart."""
    ids = (chain.prompt_ids, chain.reasoning_ids, chain.answer_ids, chain.wrong_answer_ids, chain.answer_value)
    try:
        label = objective.label
    except TokimpError:
        # It does not store its parameters, so two of them may look alike.
        return None
    return (chain.id, *ids, chain.units, type(objective), label, operator)
