"""Which categories of tokens an estimator keeps at every keep ratio, compared with deletion at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from rich.table import Table

from tokimp.analysis.deletion_orders import KEEP_RATIOS, kept_count, ranked_counts
from tokimp.analysis.statistics.intervals import CONFIDENCE, SHARE
from tokimp.analysis.statistics.pooled import INTERVAL_OF_POOLED, pooled_ratio
from tokimp.analysis.statistics.rank_measures import normalised_ranks
from tokimp.analysis.statistics.uniform_deletion import Stratum, pooled_band
from tokimp.analysis.structure.report import UNLABELLED, structure_table
from tokimp.analysis.token_labels import Labels, token_labels
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.categorizer import Categorizer
from tokimp.contracts.constraints import ListOf, Number, WholeNumber
from tokimp.contracts.registry import load_categorizer
from tokimp.errors import AnalysisError
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate, token_slice, unit_scores
from tokimp.results.ties import TIES, tie, tie_attributes, tie_variables

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure


class Structure(Analysis):
    r"""Which categories of tokens stay when an estimator's least important units are deleted.

    At each keep ratio the ``int(n * keep_ratio)`` most important of a chain's n units stay. ``share`` is the number of
    a category's tokens that stay, divided by all of that category's tokens; both are added up over chains. Of units
    that tie across the border, each stays with the same probability. ``uniform`` is the share that deletion at random
    keeps, which differs a little between categories because chains differ. ``uniform_low`` to ``uniform_high`` is the
    band in which it lies with the given confidence; it is exact (hypergeometric), not drawn.

    Position is a confound: an estimator that keeps late units keeps every category that stands late. ``expected`` is
    the share that would be kept if in each of `bands` equal stretches of a chain as many units were kept at random as
    the estimator keeps there. ``excess`` is ``share - expected``: what position does not explain. It can be told only
    where a stretch holds units that differ in how many of the category's tokens they hold, and some units go while
    others stay. Elsewhere ``share`` and ``expected`` are equal whatever the estimator says, as in chains of no more
    units than stretches. So only the category's tokens in such stretches count for ``excess``, and it is NaN if there
    are none.

    ``mean_rank`` is the mean normalised rank of a category's tokens: 0 is deleted first, 1 last, ties share their mean.
    It is the quantity in the figure of functional categories of Singh and Hakkani-Tür (2026).

    If an estimator stopped deleting early, a chain does not count for it at keep ratios that it did not reach there.
    Where it reached a ratio on no chain, ``share`` and ``excess`` are NaN. For ``mean_rank``, the units that it left
    share their mean rank.

    Intervals are those of a jackknife over chains (`tokimp.analysis.statistics.intervals.jackknife_interval`). A chain
    about which an estimator says nothing does not count for that estimator.

    Parameters
    ----------
    categorizer
        Specification of a categorizer, such as ``rules``, that labels the reasoning; if empty, the categories of the
        chain file are used.
    keep_ratios
        Shares of the units that stay, each above 0 and at most 1.
    bands
        Number of stretches of a chain within which position counts as the same.
    tie_threshold
        Units that matter less than this tie (`tokimp.results.ties.tie`); nats. 0 leaves importances as they are.
    tie_estimators
        Labels or names of the estimators whose importances are in nats, and so have the threshold.
    confidence
        Confidence of the intervals, between 0 and 1.
    """

    name = "structure"
    constraints = {
        "keep_ratios": ListOf(Number(above=0, most=1), fewest=1),
        "bands": WholeNumber(1),
        **TIES,
        **CONFIDENCE,
    }

    def __init__(
        self,
        *,
        categorizer: str = "",
        keep_ratios: Sequence[float] = KEEP_RATIOS,
        bands: int = 5,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
    ) -> None:
        self.categorizer = categorizer
        self.keep_ratios = keep_ratios
        self.bands = bands
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence
        self._loaded: tuple[str, Categorizer] | None = None

    @property
    def takes_long(self) -> bool:
        """Whether a categorizer is asked: it may be a model."""
        return bool(self.categorizer)

    def _categorizer(self) -> Categorizer | None:
        """Return the categorizer, loaded once: a worker is asked about one chain after the other."""
        if not self.categorizer:
            return None
        if self._loaded is None or self._loaded[0] != self.categorizer:
            self._loaded = self.categorizer, load_categorizer(self.categorizer)
        return self._loaded[1]

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, and `PluginError` for an unknown categorizer."""
        super().validate_parameters()
        if self.categorizer:
            load_categorizer(self.categorizer).validate_parameters()

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/structure``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If no token has a category, or a category has the name that stands for none.
        """
        result = tie(inputs.result, self.tie_threshold, self.tie_estimators)
        labels = token_labels(result, self._categorizer(), self.name, inputs.keep)
        if UNLABELLED in labels:
            raise AnalysisError(
                f"{self.name}: a category is called {UNLABELLED!r}, which stands for tokens without any; "
                "give it another name"
            )
        labels[labels == ""] = UNLABELLED
        categories = sorted(set(labels.tolist()) - {UNLABELLED}) + [UNLABELLED] * (UNLABELLED in labels)
        ratios = sorted({float(ratio) for ratio in self.keep_ratios})
        shape = (result.sizes["chain"], result.sizes["estimator"], len(ratios), len(categories))
        kept, expected = np.full(shape, np.nan), np.full(shape, np.nan)
        rank_sums = np.full((*shape[:2], len(categories)), np.nan)
        totals = np.zeros((shape[0], len(categories)))
        told = np.full((shape[0], len(ratios), len(categories)), np.nan)
        strata: list[list[list[Stratum]]] = [[[] for _ in categories] for _ in ratios]
        for index, (_, chain) in enumerate(iterate(result)):
            counts = _counts(chain["unit"].to_numpy(), labels[token_slice(result, index)], categories)
            totals[index] = counts.sum(0)
            n_units = len(counts)
            band = np.arange(n_units) * self.bands // n_units
            in_mixed = _tokens_in_mixed_stretches(counts, band)
            for at, ratio in enumerate(ratios):
                if 0 < kept_count(n_units, ratio) < n_units:
                    told[index, at] = in_mixed
                for column in range(len(categories)):
                    units = tuple(counts[:, column].astype(int).tolist())
                    strata[at][column].append((units, kept_count(n_units, ratio)))
            for row, (scores, ranked) in enumerate(zip(unit_scores(chain), ranked_counts(chain), strict=True)):
                if np.isnan(scores).any():
                    continue
                rank_sums[index, row] = normalised_ranks(scores) @ counts
                for at, ratio in enumerate(ratios):
                    count = kept_count(n_units, ratio)
                    # Units that the estimator left when it stopped all tie, so which of them would stay is not known.
                    # A single unit that is left needs no order.
                    if ranked < min(n_units - count, n_units - 1):
                        continue
                    stays = kept_probability(scores, count)
                    kept[index, row, at] = stays @ counts
                    expected[index, row, at] = sum(
                        stays[band == b].mean() * counts[band == b].sum(0) for b in np.unique(band)
                    )
        uniform = np.array([[_uniform(stratum, self.confidence) for stratum in row] for row in strata])
        return self._node(
            result,
            {"keep_ratio": ratios, "category": np.array(categories, dtype=object)},
            kept=kept,
            expected=expected,
            rank_sums=rank_sums,
            totals=totals,
            told=told,
            uniform=uniform,
        )

    def _node(
        self,
        result: xr.DataTree,
        coords: dict[str, Any],
        *,
        kept: FloatArray,
        expected: FloatArray,
        rank_sums: FloatArray,
        totals: FloatArray,
        told: FloatArray,
        uniform: FloatArray,
    ) -> xr.Dataset:
        """Return the node.

        Parameters
        ----------
        result, coords
            The result, and the coordinates of keep ratios and categories.
        kept, expected
            Tokens kept, and those expected given position, [chain, estimator, keep_ratio, category].
        rank_sums
            Sum of the normalised ranks of the tokens, [chain, estimator, category].
        totals
            Tokens, [chain, category].
        told
            Tokens in stretches in which the excess can be told, [chain, keep_ratio, category]; NaN where all units
            stay, or none.
        uniform
            Share kept at random and the ends of its band, [keep_ratio, category, 3].
        """
        tokens = np.broadcast_to(totals[:, None, None, :], kept.shape)
        share = pooled_ratio(kept, tokens, self.confidence, SHARE)
        comparable = np.broadcast_to(told[:, None], kept.shape)
        excess = pooled_ratio(kept - expected, comparable, self.confidence)
        rank = pooled_ratio(rank_sums, np.broadcast_to(totals[:, None, :], rank_sums.shape), self.confidence, SHARE)
        dims = ("estimator", "keep_ratio", "category")
        ends = ("", "_low", "_high")
        parts = {
            **{f"share{end}": (dims, values) for end, values in zip(ends, share, strict=True)},
            **{f"excess{end}": (dims, values) for end, values in zip(ends, excess, strict=True)},
            **{f"mean_rank{end}": (("estimator", "category"), v) for end, v in zip(ends, rank, strict=True)},
            **{f"uniform{end}": (dims[1:], uniform[..., i]) for i, end in enumerate(ends)},
            "excess_chains": (dims, (~np.isnan(kept) & (comparable > 0)).sum(0)),
            "excess_tokens": (dims[1:], np.nansum(told, axis=0).astype(np.int64)),
            "tokens": ("category", totals.sum(0).astype(np.int64)),
            **tie_variables(result),
            "chains_with": ("category", (totals > 0).sum(0)),
            "chains_used": ("estimator", (~np.isnan(rank_sums).all(-1)).sum(0)),
            "chains_reached": (dims[:2], (~np.isnan(kept).all(-1)).sum(0)),
        }
        return xr.Dataset(
            parts,
            coords={**coords, "estimator": result["estimator"].variable},
            attrs={
                "categorizer": self.categorizer or "the chain file's categories",
                "bands": self.bands,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
                "confidence": self.confidence,
                "interval": INTERVAL_OF_POOLED,
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the shares kept at the keep ratio nearest to 0.5, and the mean ranks, by category."""
        return [structure_table(result, node_name=stored_name(result, self))]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return how much more of each category is kept than position explains, at half of the units."""
        return plot.root_figure(plot.structure(result, node_name=stored_name(result, self)))


def kept_probability(scores: FloatArray, count: int) -> FloatArray:
    """Return the probability with which each unit is among the `count` most important, ties broken at random, [unit].

    >>> kept_probability(np.array([3.0, 1.0, 1.0, 0.0]), 2).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    if not count:
        return np.zeros(len(scores))
    border = np.sort(scores)[len(scores) - count]
    above, tied = scores > border, scores == border
    chances: FloatArray = above + tied * (count - above.sum()) / tied.sum()
    return chances


def _counts(units: IntArray, labels: Labels, categories: list[str]) -> FloatArray:
    """Return how many tokens of each category each unit holds, [unit, category], from what each token has, [token]."""
    counts = np.zeros((int(units.max()) + 1, len(categories)))
    place = {category: column for column, category in enumerate(categories)}
    for unit, label in zip(units.tolist(), labels.tolist(), strict=True):
        counts[unit, place[label]] += 1
    return counts


def _tokens_in_mixed_stretches(counts: FloatArray, band: IntArray) -> FloatArray:
    """Return the tokens of each category in stretches whose units do not all hold equally many of them, [category].

    Parameters
    ----------
    counts
        Tokens of each category in each unit, [unit, category].
    band
        The stretch of each unit, [unit].
    """
    tokens = np.zeros(counts.shape[1])
    for number in np.unique(band):
        inside = counts[band == number]
        tokens += inside.sum(0) * (inside != inside[0]).any(0)
    return tokens


def _uniform(strata: list[Stratum], confidence: float) -> tuple[float, float, float]:
    """Return the share of one category that deletion at random keeps in all chains, and the ends of its band."""
    total = sum(sum(counts) for counts, _ in strata)
    if not total:
        return (float("nan"),) * 3
    held = [(counts, kept) for counts, kept in strata if sum(counts)]
    low, high = pooled_band(held, confidence)
    expected = sum(sum(counts) * kept / len(counts) for counts, kept in held)
    return expected / total, low / total, high / total
