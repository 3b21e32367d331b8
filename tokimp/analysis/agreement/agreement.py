"""Whether the estimators of a result rank the same units high."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.agreement.report import agreement_table, draw_agreement
from tokimp.analysis.statistics.intervals import mean_intervals
from tokimp.analysis.statistics.rank_measures import (
    chance_overlap_shares,
    is_constant,
    kendall,
    mean_ranks,
    overlap_shares,
    pearson,
    position_residuals,
    rank_biased_overlap,
)
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.results.by_chain import iterate, unit_scores

MEASURES = ("spearman", "kendall", "top_k_overlap", "rbo")
# Why a pair of estimators has no value on a chain.
USED, SHORT, ABSENT, UNDEFINED = range(4)


class Agreement(Analysis):
    r"""How far every two estimators agree.

    Everything counts units, not tokens: a word of five tokens is one thing that is ranked. Per chain and pair there
    are four measures:

    - ``spearman``: rank correlation, ties sharing their mean rank;
    - ``kendall``: tau-b;
    - ``top_k_overlap``: the share the k most important units have in common;
    - ``rbo``: rank-biased overlap, extrapolated (Webber et al. 2010), the most important unit first.

    All of them know ties. The last two are expectations over random breaking of ties: the rule by which ``rank`` breaks
    them goes by place, and would make two estimators agree that leave many units tied (greedy pruning stopped early,
    say) where they know nothing.

    Position is a strong confound: two methods that both favour what comes late agree for that reason alone. So every
    measure is given twice. With ``partial`` true, each estimator's unit ranks (ties sharing their mean rank) are
    regressed on the unit's index, and the residuals take the importances' place: ``spearman`` is their Pearson
    correlation (the partial Spearman correlation given position), and the others are computed on the order of the
    residuals. What follows position exactly, the estimator ``position`` above all, then has nothing left, and its
    pairs are undefined. Units that tie are told apart by their residuals, the earlier ones above or below the later
    ones as the slope has it: with many ties, trust ``spearman`` alone.

    A chain is left out of a pair, and counted, where it has fewer units than `minimum_units`, where one of the two
    says nothing about it, and where a value is undefined: importances (or residuals) are constant, or k covers
    all units. The means are over the chains that are left, with BCa bootstrap intervals, chains resampled; with fewer
    than two chains, or values that are all the same, the interval is NaN.

    Parameters
    ----------
    top_k
        A share of a chain's units (a float below 1; ``int(n * top_k)`` units, at least one), or their number (an int).
    rbo_p
        Persistence of the rank-biased overlap, between 0 and 1: the lower, the more the top counts.
    confidence, n_resamples, seed
        Of the bootstrap.
    minimum_units
        Chains with fewer units are too short to rank; at least 2.
    """

    name = "agreement"

    def __init__(
        self,
        *,
        top_k: float = 0.2,
        rbo_p: float = 0.9,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        seed: int = 0,
        minimum_units: int = 5,
    ) -> None:
        self.top_k = top_k
        self.rbo_p = rbo_p
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed
        self.minimum_units = minimum_units

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a share, probability or number out of its range."""
        if not (self.top_k >= 1 if isinstance(self.top_k, int) else 0 < self.top_k < 1):
            raise self.invalid_parameter("top_k", "a share between 0 and 1, or an int")
        for name in ("rbo_p", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise self.invalid_parameter(name, "a number between 0 and 1")
        if self.n_resamples < 1:
            raise self.invalid_parameter("n_resamples", "a positive number")
        if self.minimum_units < 2:
            raise self.invalid_parameter("minimum_units", "at least 2")

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes."""
        result = given.result
        labels = result["estimator"].to_numpy().tolist()
        n_chains = result.sizes["chain"]
        tied = np.full((len(labels), n_chains), np.nan)
        shape = (len(MEASURES), 2, len(labels), len(labels), n_chains)
        values = np.full(shape, np.nan)
        status = np.full(shape, ABSENT)
        chance = np.full((len(MEASURES), n_chains), np.nan)
        for index, (_, chain) in enumerate(iterate(result)):
            scores = unit_scores(chain)
            n_units = scores.shape[1]
            tied[:, index] = [_tied_share(row) for row in scores]
            if n_units < self.minimum_units:
                status[..., index] = SHORT
                continue
            k = self.top_k if isinstance(self.top_k, int) else max(1, int(n_units * self.top_k))
            by_chance = chance_overlap_shares(n_units)
            chance[:, index] = 0, 0, _at_depth(by_chance, k), rank_biased_overlap(by_chance, self.rbo_p)
            said = [row for row in range(len(labels)) if not np.isnan(scores[row]).any()]
            for partial, standing in enumerate((mean_ranks, position_residuals)):
                rows = {row: standing(scores[row]) for row in said}
                for (one, other), found in _pairs(rows, k, self.rbo_p):
                    for a, b in ((one, other), (other, one)):
                        values[:, partial, a, b, index] = found
                        status[:, partial, a, b, index] = np.where(np.isnan(found), UNDEFINED, USED)
        mean, low, high = mean_intervals(
            values, confidence=self.confidence, n_resamples=self.n_resamples, seed=self.seed
        )
        dims = ("measure", "partial", "estimator", "other")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "agreement of two estimators on a chain"}),
                "mean": (dims, mean, {"long_name": "mean over the chains used"}),
                "low": (dims, low, {"long_name": "lower end of the mean's interval"}),
                "high": (dims, high, {"long_name": "upper end of the mean's interval"}),
                "chains_used": (dims, (status == USED).sum(axis=-1), {"long_name": "chains that have a value"}),
                "chains_short": (dims, (status == SHORT).sum(axis=-1), {"long_name": "chains too short to rank"}),
                "chains_absent": (
                    dims,
                    (status == ABSENT).sum(axis=-1),
                    {"long_name": "chains one says nothing about"},
                ),
                "chains_undefined": (dims, (status == UNDEFINED).sum(axis=-1), {"long_name": "chains without a value"}),
                "tied": (
                    ("estimator", "chain"),
                    tied,
                    {"long_name": "share of the units that tie with another"},
                ),
                "chance": (("measure", "chain"), chance, {"long_name": "expected of two random rankings"}),
                "chance_mean": (
                    "measure",
                    _mean_of_known(chance),
                    {"long_name": "mean of chance over the chains ranked"},
                ),
            },
            coords={
                "measure": np.array(MEASURES, dtype=object),
                "partial": [False, True],
                "estimator": result["estimator"].variable,
                "other": ("other", np.array(labels, dtype=object)),
            },
            attrs={
                "top_k": self.top_k,
                "rbo_p": self.rbo_p,
                "confidence": self.confidence,
                "n_resamples": self.n_resamples,
                "seed": self.seed,
                "minimum_units": self.minimum_units,
                "interval": "BCa bootstrap of the mean, chains resampled",
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the means of every pair, as they are and with position partialled out; none of a lone estimator."""
        if result.sizes["estimator"] < 2:
            return []
        return [agreement_table(result, partial=partial) for partial in (False, True)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the matrix of mean Spearman correlations, twice."""
        return draw_agreement(result)


def _tied_share(scores: FloatArray) -> float:
    """Return the share of a chain's units whose importance another unit has too; NaN where nothing is said."""
    if np.isnan(scores).any():
        return np.nan
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    return float((size[group] > 1).mean())


def _pairs(rows: Mapping[int, FloatArray], k: int, rbo_p: float) -> Iterator[tuple[tuple[int, int], FloatArray]]:
    """Yield every two of `rows`, each with itself too, and the `MEASURES` of their agreement."""
    for one, other in combinations_with_replacement(rows, 2):
        a, b = rows[one], rows[other]
        if is_constant(a) or is_constant(b):
            yield (one, other), np.full(len(MEASURES), np.nan)
            continue
        shares = overlap_shares(a, b)
        found = [pearson(a, b), kendall(a, b), _at_depth(shares, k), rank_biased_overlap(shares, rbo_p)]
        yield (one, other), np.array(found)


def _at_depth(shares: FloatArray, k: int) -> float:
    """Return the share among the first `k`; NaN where these are all units, which says nothing."""
    return float(shares[k - 1]) if k < len(shares) else np.nan


def _mean_of_known(chance: FloatArray) -> FloatArray:
    return np.array([row[~np.isnan(row)].mean() if not np.isnan(row).all() else np.nan for row in chance])
