"""Whether the sizes of importances fit what taking units away does, beside their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tokimp.analysis.against_chance.analysis import AgainstChance, ComparedChain, Texts
from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURE, ANSWER_MEASURES, AnswerScores
from tokimp.analysis.against_chance.comparison import BoolArray, Comparison
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.operators import (
    SEVERAL_OPERATORS,
    USUAL_OPERATORS,
    RequiredByOperators,
    make_operators,
)
from tokimp.analysis.against_chance.orders import REFERENCES, STOPPED, ChainOrders, silent_cells, stopped_cells
from tokimp.analysis.deletion_orders import DeletionOrder
from tokimp.analysis.faithfulness.versions import VersionTables
from tokimp.analysis.magnitude.scores import (
    Responses,
    deletion_areas,
    insertion_areas,
    monotonicity,
    monotonicity_correlation,
)
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import AnalysisInput
from tokimp.contracts.constraints import Number, WholeNumber
from tokimp.contracts.subset_scores import single_deletions
from tokimp.results.by_chain import iterate, unit_scores

BETTER = {
    "deletion_response": "low",
    "deletion_mas": "low",
    "insertion_response": "high",
    "insertion_mas": "high",
    "monotonicity": "high",
    "monotonicity_correlation": "high",
}
_AREAS, _MAS = 4, (1, 3)
NO_HELP = "the reasoning does not raise the measure enough"
NO_SIZE = "no unit has a positive importance"
NO_CORRELATION = "it has fewer than three units, or its sizes or changes are all the same"


class Magnitude(AgainstChance):
    """Whether importances have the right sizes: magnitude aligned scores, monotonicity and its correlation.

    Units are taken away, or put back, in about `steps` steps of equally many units. The scores are:

    - ``deletion_response``: the area below the response of the measure, the most important units taken away first (that
      of RISE, with a running minimum); low is good;
    - ``deletion_mas``: the same, with the distance of the response from the share of importance that is still
      there added: an estimator that gives one unit nearly all of its importance should see nearly all of the response
      there; low is good;
    - ``insertion_response``, ``insertion_mas``: units are put back, the most important first, and the distance is
      subtracted; high is good;
    - ``monotonicity``: units are put back in ascending importance; the share of steps that do not lower the measure;
      high is good;
    - ``monotonicity_correlation``: Spearman's correlation of absolute importance with the squared change that the
      deletion of each unit alone makes; high is good. Leave-one-out has 1 by construction.

    Shares of importance count negative importance as 0. An estimator that gives steps or ranks as importance, such as
    greedy pruning, is scored by these. Position and random orders are given the estimator's own importances, put on the
    units in another order. So a difference from them is of the order, and the sizes of both are the same.

    Parameters
    ----------
    operators
        How units are taken away: some of ``delete``, ``knockout`` and ``mask``.
    replacement
        For ``mask``: what stands in place of a token; see `tokimp.contracts.operators`.
    measure
        What of the answer is measured: ``answer`` (nats), ``answer_per_token``, ``answer_probability`` or
        ``answer_token_probability`` (the geometric mean over its tokens).
    steps
        The largest number of steps; a chain of fewer units has one unit a step.
    negligible
        Differences smaller than this count as none, in the measure's unit: between all reasoning and none (the chain
        then has no areas), and of a step in monotonicity, which would otherwise count rounding errors.
    n_uniform
        Number of random orders of each chain; at least 1.
    confidence
        Confidence of the intervals over chains.
    seed
        Seed of random orders and ties.
    tie_threshold, tie_estimators
        Importances of these estimators are cut to whole multiples of so many nats towards 0 first; see
        `tokimp.results.ties.tie`. 0 cuts nothing.
    """

    name = "magnitude"
    requires = RequiredByOperators(*USUAL_OPERATORS)
    constraints = {
        **SEVERAL_OPERATORS,
        "measure": ANSWER_MEASURE,
        "steps": WholeNumber(1),
        "negligible": Number(0),
        **REFERENCES,
    }
    panels = (
        Panel("MAS of deletion", {"score": "deletion_mas"}, "low"),
        Panel("MAS of insertion", {"score": "insertion_mas"}, "high"),
        Panel("monotonicity", {"score": "monotonicity"}, "high"),
        Panel("monotonicity correlation", {"score": "monotonicity_correlation"}, "high"),
    )

    def __init__(
        self,
        *,
        operators: Sequence[str] = USUAL_OPERATORS,
        replacement: str | int = "eos",
        measure: str = "answer",
        steps: int = 20,
        negligible: float = 0.01,
        n_uniform: int = 5,
        confidence: float = 0.95,
        seed: int = 0,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
    ) -> None:
        super().__init__(n_uniform, confidence, seed, tie_threshold, tie_estimators)
        self.operators = operators
        self.replacement = replacement
        self.measure = measure
        self.steps = steps
        self.negligible = negligible

    def _compute(self, inputs: AnalysisInput, result: xr.DataTree) -> xr.Dataset:
        """Return the node ``/analysis/magnitude``, as ``docs/schema.md`` describes it."""
        found, all_orders = self._ask(inputs, result, self._numbers)
        return self._node(result, found["number"], found["there"], all_orders)

    def _numbers(self, compared: ComparedChain) -> dict[str, FloatArray]:
        """Return the numbers of one chain, [operator, score, estimator, own and others], and what there is to lose.

        Others are position and the random orders, with the estimator's sizes. What there is to lose is the measure of
        the full chain minus that without reasoning, [operator].
        """
        chain, orders, scores = compared.chain, compared.orders, unit_scores(compared.stored)
        n_units = len(chain.units)
        counts = np.unique(np.rint(np.linspace(0, n_units, min(n_units, self.steps) + 1)).astype(np.int64))
        rows, n_estimators = orders.whole_rows, len(orders.estimators)
        tables = VersionTables()
        for name, part in (("ascending", DeletionOrder.least_important), ("descending", DeletionOrder.most_important)):
            tables.add(name, [[order and part(order, int(count)) for count in counts] for order in rows])
        shape = (len(self.operators), len(BETTER), n_estimators, len(rows) - n_estimators + 1)
        numbers, there = np.full(shape, np.nan), np.zeros(len(self.operators))
        for index, operator in enumerate(make_operators(self.operators, self.replacement)):
            asked = AnswerScores(compared.scorer, chain, operator, self.measure)
            # The call that leave-one-out makes: found again if it was made, with the same bits.
            *single, full = asked.score(single_deletions(chain))
            measured = tables.fill(asked.score(list(tables.versions))[None])
            responses = [
                Responses(counts, measured["ascending"][0, row], measured["descending"][0, row], np.array(single), full)
                for row in range(len(rows))
            ]
            # The ends of position's order are those of every order, and it is always known.
            there[index] = full - responses[n_estimators].ascending[0]
            for row in np.flatnonzero([order is not None for order in rows[:n_estimators]]):
                numbers[index, :, row, 0] = self._scores(scores[row], responses[row])
                for column, other in enumerate(orders.references):
                    moved = np.empty(n_units)
                    moved[other.units] = np.sort(scores[row])
                    numbers[index, :, row, 1 + column] = self._scores(moved, responses[n_estimators + column])
        return {"number": numbers, "there": there}

    def _scores(self, importance: FloatArray, responses: Responses) -> list[float]:
        """Return the scores, in the order of `BETTER`, of an importance, [unit], and of the responses of its order."""
        numbers = [np.nan] * _AREAS
        if self._is_there(responses.full - responses.ascending[0]):
            sizes = np.sort(np.maximum(importance, 0))
            deletion, insertion = deletion_areas(responses, sizes), insertion_areas(responses, sizes)
            numbers = [deletion.response, deletion.mas, insertion.response, insertion.mas]
        steps = monotonicity(responses.ascending, self.negligible)
        return [*numbers, steps, monotonicity_correlation(np.abs(importance), responses.single, responses.full)]

    def _is_there(self, there: FloatArray) -> BoolArray:
        """Return whether the reasoning raises the measure enough for areas."""
        return np.asarray((there >= self.negligible) & (there > 0))

    def _node(
        self, result: xr.DataTree, numbers: FloatArray, there: FloatArray, all_orders: Sequence[ChainOrders]
    ) -> xr.Dataset:
        """Return the node from the arrays of `_numbers`, stacked along a last dimension, the chains."""
        score = np.arange(len(BETTER))[:, None, None]
        has_size = np.array([[row.max() > 0 for row in unit_scores(stored)] for _, stored in iterate(result)]).T
        return self._compared_node(
            result,
            Comparison(numbers[..., 0, :], numbers[..., 1, :], numbers[..., 2:, :]),
            {"operator": self.operators, "score": list(BETTER)},
            ("score", list(BETTER.values())),
            is_silent=silent_cells(all_orders),
            reasons={
                STOPPED: stopped_cells(all_orders),
                NO_HELP: (score < _AREAS) & ~self._is_there(there)[:, None, None],
                NO_SIZE: np.isin(score, _MAS) & ~has_size,
                NO_CORRELATION: score == len(BETTER) - 1,
            },
            bounds=(-1, 1),
            variables={"there": (("operator", "chain"), there)},
            attrs={"measure": self.measure},
        )

    def texts(self, node: xr.Dataset) -> Texts:
        """Name the measure, and what is in another order."""
        return Texts(
            title=f"Sizes of importance, {ANSWER_MEASURES[node.attrs['measure']]}",
            note="sizes of importance",
            foot="Random orders and position have the estimator's own importances, in another order.",
        )
