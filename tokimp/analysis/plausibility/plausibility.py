"""Whether an estimator's important units are those that are marked; says nothing of what the model rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tokimp.analysis.against_chance.analysis import AgainstChance, Texts
from tokimp.analysis.against_chance.comparison import Comparison
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.orders import REFERENCES, ChainOrders, chain_orders
from tokimp.analysis.deletion_orders import DeletionOrder
from tokimp.analysis.planted.levels import majority
from tokimp.analysis.plausibility.scores import expected_hits, f1, iou_f1, spans, trapezoid_auprc
from tokimp.analysis.statistics.average_precision import average_precision
from tokimp.analysis.statistics.intervals import INTERVAL_OF_MEANS, SHARE
from tokimp.analysis.statistics.pooled import INTERVAL_OF_POOLED, pooled_ratio
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import AnalysisInput
from tokimp.contracts.constraints import ListOf, OneOf, Text
from tokimp.errors import AnalysisError
from tokimp.report.number_texts import number_text
from tokimp.results.by_chain import iterate, unit_scores

SCORES = ("average_precision", "trapezoid_auprc", "f1", "iou_f1", "recovery")
RECOVERY_SHARE = 0.1
UNMARKED = "it is not known which of its units are marked"
ALIKE = "all of its units are marked, or none is"


class Plausibility(AgainstChance):
    """Whether important units are those that are marked: by planted filler, or by categories.

    Marked units are those that are no filler (``marks=filler``), or those of some categories (``marks=category``). A
    unit is marked if more than half of its tokens are (of filler: if no more than half are). Each chain has these
    scores, all from 0 to 1, high is good:

    - ``average_precision`` of the list of units, the most important first, as an expectation over the orders of ties;
    - ``trapezoid_auprc``: the area under the curve of precision and recall by trapezoids. Average precision is to be
      preferred; this is there to compare with ERASER's tables (DeYoung et al. 2020);
    - ``f1`` of as many units as `predicted` says; over all chains together it is ``pooled_f1`` (micro average);
    - ``iou_f1``: F1 of runs of neighbouring units, which count as found if they share half of their union or more;
    - ``recovery``: the share of the marked units that are among the tenth of units that is most important.

    Plausibility is not faithfulness. An estimator can find what people mark while the model does something else, and
    the other way round.

    Parameters
    ----------
    marks
        ``filler`` or ``category``: which spans of the chain file mark units.
    categories
        For ``category``: the categories that are marked.
    predicted
        How many units ``f1`` and ``iou_f1`` take: ``marked``, as many as are marked in the chain, or ``mean_share``,
        the mean share of marked units over all chains, at least one.
    n_uniform
        Number of random orders of each chain; at least 1.
    confidence
        Confidence of the intervals over chains.
    seed
        Seed of random orders, and of ties in ``iou_f1``.
    tie_threshold, tie_estimators
        Importances of these estimators are cut to whole multiples of so many nats towards 0 first; see
        `tokimp.results.ties.tie`. 0 cuts nothing.
    """

    name = "plausibility"
    constraints = {
        "marks": OneOf("filler", "category"),
        "categories": ListOf(Text("the name of a category"), fewest=1, distinct=True),
        "predicted": OneOf("marked", "mean_share"),
        **REFERENCES,
    }
    panels = (
        Panel("average precision", {"score": "average_precision"}),
        Panel("F1", {"score": "f1"}),
        Panel("F1 of spans", {"score": "iou_f1"}),
    )

    def __init__(
        self,
        *,
        marks: str = "filler",
        categories: Sequence[str] = ("symbolic_math",),
        predicted: str = "marked",
        n_uniform: int = 20,
        confidence: float = 0.95,
        seed: int = 0,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
    ) -> None:
        super().__init__(n_uniform, confidence, seed, tie_threshold, tie_estimators)
        self.marks = marks
        self.categories = categories
        self.predicted = predicted

    def _compute(self, inputs: AnalysisInput, result: xr.DataTree) -> xr.Dataset:
        """Return the node ``/analysis/plausibility``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If no chain has both marked units and others.
        """
        chains = [chain for _, chain in iterate(result)]
        marked = [self._marked(chain) for chain in chains]
        shares = [row.mean() for row in marked if 0 < row.mean() < 1]
        if not shares:
            raise AnalysisError(
                f"no chain has both units that are marked and others, by its {self.marks}; give the chain file "
                f"'{self.marks}' spans, or other marks (plausibility:marks=category,categories=[...])"
            )
        n_estimators = result.sizes["estimator"]
        n_rows = n_estimators + 1 + self.n_uniform
        scores = np.full((len(SCORES), n_rows, len(chains)), np.nan)
        hits = np.full((3, len(chains), n_rows), np.nan)  # found, predicted, marked
        for index, (chain, is_marked) in enumerate(zip(chains, marked, strict=True)):
            if not 0 < is_marked.mean() < 1:
                continue
            count = int(is_marked.sum())
            if self.predicted == "mean_share":
                count = max(1, round(float(np.mean(shares)) * len(is_marked)))
            orders = chain_orders(chain, self.n_uniform, self.seed)
            for row, importance in enumerate(_importances(unit_scores(chain), orders)):
                if not np.isnan(importance).any():
                    hits[:, index, row] = expected_hits(importance, is_marked, count), count, is_marked.sum()
                    scores[:, row, index] = _scores(importance, orders.rows[row], is_marked, count)
        return self._node(result, scores, hits, marked)

    def _marked(self, chain: xr.Dataset) -> FloatArray:
        """Return 1 for each marked unit of a chain, 0 for another, [unit]; NaN if it is not known."""
        units = chain["unit"].to_numpy()
        if self.marks == "filler":
            filler = chain["filler"].to_numpy() if "filler" in chain else np.full(len(units), np.nan)
            return 1 - majority(filler, units)
        labels = chain["category"].to_numpy()
        marks = np.isin(labels.astype(str), list(self.categories)).astype(np.float64)
        return majority(marks if any(labels) else np.full(len(units), np.nan), units)

    def _node(
        self, result: xr.DataTree, scores: FloatArray, hits: FloatArray, marked: Sequence[FloatArray]
    ) -> xr.Dataset:
        """Return the node from scores [score, row, chain] and counts [kind, chain, row]."""
        n_estimators = result.sizes["estimator"]
        found, predicted, there = hits
        pooled = pooled_ratio(2 * found, predicted + there, self.confidence, SHARE)
        return self._compared_node(
            result,
            Comparison.of_rows(scores, n_estimators),
            {"score": SCORES},
            ("score", ["high"] * len(SCORES)),
            is_silent=np.array([np.isnan(unit_scores(chain)).any(axis=1) for _, chain in iterate(result)]).T,
            reasons={
                UNMARKED: np.array([bool(np.isnan(row).any()) for row in marked]),
                ALIKE: np.array([not 0 < row.mean() < 1 for row in marked]),
            },
            bounds=SHARE,
            variables={
                **{
                    f"pooled_f1{end}": ("estimator", part[:n_estimators])
                    for end, part in zip(("", "_low", "_high"), pooled, strict=True)
                },
                "position_pooled_f1": pooled[0][n_estimators],
                "uniform_pooled_f1": ("draw", pooled[0][n_estimators + 1 :]),
                "prevalence": ("chain", np.array([row.mean() for row in marked])),
            },
            attrs={
                "interval": f"{INTERVAL_OF_MEANS}; pooled_f1: {INTERVAL_OF_POOLED}",
                "marks": self.marks,
                **({"categories": ", ".join(self.categories)} if self.marks == "category" else {}),
            },
        )

    def texts(self, node: xr.Dataset) -> Texts:
        """Name what is marked, and how much of it there is."""
        is_filler = node.attrs["marks"] == "filler"
        marks = "units that are no planted filler" if is_filler else f"units of the category {node.attrs['categories']}"
        share = number_text(float(node["prevalence"].mean()))
        return Texts(
            title=f"Plausibility against {marks}",
            note=f"plausibility against {marks}",
            foot=f"On average {share} of a chain's units are marked. This is plausibility, which is not faithfulness.",
        )


def _importances(scores: FloatArray, orders: ChainOrders) -> FloatArray:
    """Return the importance of each unit by every row of the orders, [row, unit]; of references it is the place."""
    references = np.empty((len(orders.references), scores.shape[1]))
    for row, order in zip(references, orders.references, strict=True):
        row[order.units] = np.arange(scores.shape[1])
    return np.concatenate([scores, references])


def _scores(importance: FloatArray, order: DeletionOrder | None, is_marked: FloatArray, count: int) -> list[float]:
    """Return the scores of one chain, in the order of `SCORES`; whoever has an importance has an order too."""
    predicted = np.zeros(0, dtype=np.int64) if order is None else order.units[::-1][:count]
    n_marked, n_top = int(is_marked.sum()), max(1, int(len(is_marked) * RECOVERY_SHARE))
    return [
        average_precision(importance, is_marked),
        trapezoid_auprc(importance, is_marked),
        f1(expected_hits(importance, is_marked, count), count, n_marked),
        iou_f1(spans(predicted), spans(np.flatnonzero(is_marked))),
        expected_hits(importance, is_marked, n_top) / n_marked,
    ]
