"""Which categories of tokens an estimator keeps: share retained at every keep ratio, beside deletion at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.deletion_orders import KEEP_RATIOS, kept_count, ranked_counts
from tokimp.analysis.statistics.intervals import RESAMPLING
from tokimp.analysis.statistics.pooled import Resampling, pooled_ratio
from tokimp.analysis.statistics.rank_measures import mean_ranks
from tokimp.analysis.statistics.uniform_deletion import Stratum, pooled_band
from tokimp.analysis.structure.report import UNLABELLED, draw_structure, structure_table
from tokimp.analysis.token_labels import Labels, token_labels
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, WholeNumber
from tokimp.contracts.registry import load_categorizer
from tokimp.results.by_chain import iterate, unit_scores


class Structure(Analysis):
    r"""Which kinds of tokens stay as an estimator's least important units go.

    At each keep ratio ``int(n * keep_ratio)`` of a chain's n units stay, the most important ones. ``share`` is the
    number of a category's tokens that stay, over that category's tokens, both added up over chains; of units that tie
    across the border each stays with the same probability. ``uniform`` is what deletion at random keeps, which differs
    between categories a little, since chains do, and ``uniform_low`` to ``uniform_high`` the counts that it keeps with
    the confidence asked for: exact (hypergeometric), not drawn.

    Position is a confound: a category that stands late is kept by whatever keeps what is late. ``expected`` is what is
    kept at random if each of `bands` equal stretches of every chain keeps as many units as the estimator keeps there,
    and ``excess`` the difference ``share - expected``: what position does not explain.

    ``mean_rank`` is the mean normalised rank of a category's tokens (0 the first to go, 1 the last; ties share their
    mean), the quantity of Singh and Hakkani-Tür (2026), figure of functional categories.

    An estimator that stopped deleting early says nothing of what it left: a chain counts nothing for it at a keep ratio
    that it did not reach there, and where it reached it on no chain, ``share`` and ``excess`` are NaN. ``mean_rank``
    has what was left at its mean rank.

    Intervals are percentile bootstrap intervals, chains resampled. A chain of which an estimator says nothing counts
    nothing for that estimator.

    Parameters
    ----------
    categorizer
        Specification of a categorizer (``rules``), which labels the reasoning anew; empty: the chain file's categories.
    keep_ratios
        Shares of the units that stay, each above 0 and at most 1.
    bands
        Stretches of a chain that count as one position.
    confidence, n_resamples, seed
        Of the intervals.
    """

    name = "structure"
    constraints = {
        "keep_ratios": ListOf(Number(above=0, most=1), fewest=1),
        "bands": WholeNumber(1),
        **RESAMPLING,
    }

    def __init__(
        self,
        *,
        categorizer: str = "",
        keep_ratios: Sequence[float] = KEEP_RATIOS,
        bands: int = 5,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        seed: int = 0,
    ) -> None:
        self.categorizer = categorizer
        self.keep_ratios = keep_ratios
        self.bands = bands
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, and `PluginError` for an unknown categorizer."""
        super().validate_parameters()
        if self.categorizer:
            load_categorizer(self.categorizer).validate_parameters()

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes."""
        result = given.result
        labels = token_labels(result, load_categorizer(self.categorizer) if self.categorizer else None, self.name)
        labels[labels == ""] = UNLABELLED
        categories = sorted(set(labels.tolist()) - {UNLABELLED}) + [UNLABELLED] * (UNLABELLED in labels)
        ratios = sorted({float(ratio) for ratio in self.keep_ratios})
        shape = (result.sizes["chain"], result.sizes["estimator"], len(ratios), len(categories))
        kept, expected = np.full(shape, np.nan), np.full(shape, np.nan)
        rank_sums = np.full((*shape[:2], len(categories)), np.nan)
        totals = np.zeros((shape[0], len(categories)))
        strata: list[list[list[Stratum]]] = [[[] for _ in categories] for _ in ratios]
        first = 0
        for index, (_, chain) in enumerate(iterate(result)):
            last = first + chain.sizes["token"]
            counts = _counts(chain["unit"].to_numpy(), labels[first:last], categories)
            first = last
            totals[index] = counts.sum(0)
            n_units = len(counts)
            band = np.arange(n_units) * self.bands // n_units
            for at, ratio in enumerate(ratios):
                for column in range(len(categories)):
                    units = tuple(counts[:, column].astype(int).tolist())
                    strata[at][column].append((units, kept_count(n_units, ratio)))
            for row, (scores, ranked) in enumerate(zip(unit_scores(chain), ranked_counts(chain), strict=True)):
                if np.isnan(scores).any():
                    continue
                rank_sums[index, row] = _normalised(scores) @ counts
                for at, ratio in enumerate(ratios):
                    count = kept_count(n_units, ratio)
                    # What is left when the estimator stops ties: which of it would stay is not known. The last unit
                    # that is left needs no order.
                    if ranked < min(n_units - count, n_units - 1):
                        continue
                    stays = kept_probability(scores, count)
                    kept[index, row, at] = stays @ counts
                    expected[index, row, at] = sum(
                        stays[band == b].mean() * counts[band == b].sum(0) for b in np.unique(band)
                    )
        resampling = Resampling(self.confidence, self.n_resamples, self.seed)
        tokens = np.broadcast_to(totals[:, None, None, :], shape)
        share = pooled_ratio(kept, tokens, resampling)
        excess = pooled_ratio(kept - expected, tokens, resampling)
        rank = pooled_ratio(rank_sums, np.broadcast_to(totals[:, None, :], rank_sums.shape), resampling)
        uniform = np.array([[_uniform(cell, self.confidence) for cell in row] for row in strata])
        dims = ("estimator", "keep_ratio", "category")
        ends = ("", "_low", "_high")
        parts = {
            **{f"share{end}": (dims, values) for end, values in zip(ends, share, strict=True)},
            **{f"excess{end}": (dims, values) for end, values in zip(ends, excess, strict=True)},
            **{f"mean_rank{end}": (("estimator", "category"), v) for end, v in zip(ends, rank, strict=True)},
            **{f"uniform{end}": (dims[1:], uniform[..., i]) for i, end in enumerate(ends)},
            "tokens": ("category", totals.sum(0).astype(np.int64)),
            "chains_with": ("category", (totals > 0).sum(0)),
            "chains_used": ("estimator", (~np.isnan(rank_sums).all(-1)).sum(0)),
            "chains_reached": (dims[:2], (~np.isnan(kept).all(-1)).sum(0)),
        }
        coords = {"keep_ratio": ratios, "category": np.array(categories, dtype=object)}
        return xr.Dataset(
            parts,
            coords={**coords, "estimator": result["estimator"].variable},
            attrs={
                "categorizer": self.categorizer or "the chain file's categories",
                "bands": self.bands,
                "confidence": self.confidence,
                "n_resamples": self.n_resamples,
                "seed": self.seed,
                "interval": "percentile bootstrap of pooled shares, chains resampled",
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return shares retained at the middle keep ratio, and mean ranks, by category."""
        return [structure_table(result)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return share retained over the keep ratio, one panel a category."""
        return draw_structure(result)


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


def _normalised(scores: FloatArray) -> FloatArray:
    """Return ranks from 0 to 1, ties sharing their mean; one unit alone has no rank."""
    if len(scores) < 2:
        return np.full(len(scores), np.nan)
    normalised: FloatArray = (mean_ranks(scores) - 1) / (len(scores) - 1)
    return normalised


def _counts(units: IntArray, labels: Labels, categories: list[str]) -> FloatArray:
    """Return tokens of each category in each unit, [unit, category]."""
    counts = np.zeros((int(units.max()) + 1, len(categories)))
    place = {category: column for column, category in enumerate(categories)}
    for unit, label in zip(units.tolist(), labels.tolist(), strict=True):
        counts[unit, place[label]] += 1
    return counts


def _uniform(strata: list[Stratum], confidence: float) -> tuple[float, float, float]:
    """Return share expected, and the ends of the band, of deletion at random in each chain."""
    total = sum(sum(counts) for counts, _ in strata)
    if not total:
        return (float("nan"),) * 3
    held = [(counts, kept) for counts, kept in strata if sum(counts)]
    low, high = pooled_band(held, confidence)
    expected = sum(sum(counts) * kept / len(counts) for counts, kept in held)
    return expected / total, low / total, high / total
