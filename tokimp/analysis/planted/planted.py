"""Whether an estimator ranks tokens that are known to be useless below the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

from tokimp.analysis.planted.report import draw_planted, planted_table
from tokimp.analysis.statistics.intervals import RESAMPLING, mean_intervals
from tokimp.analysis.statistics.pooled import Resampling, pooled_ratio
from tokimp.analysis.statistics.rank_measures import mean_ranks
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.units import sentence_starts
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import WholeNumber
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import iterate, unit_scores

LEVELS = ("unit", "sentence")
MEASURES = ("auroc", "average_precision")


class Planted(Analysis):
    """How well each estimator ranks planted filler lowest, on chains whose useless text is known.

    Chains say where their filler is (``filler`` spans of the chain file; `tokimp.chains.datasets.word_problems` writes them).
    A unit is filler if more than half of its tokens are. On each chain:

    - ``auroc``: the probability that a unit of filler is less important than another unit, ties counting half. 0.5 is
      chance, 1 a perfect separation;
    - ``average_precision``: of a list with the least important first; ``prevalence`` is what chance gives.

    Both by unit, and by sentence, each standing at the mean rank of its units. Chains with none or nothing but filler
    have no value.

    Position is a confound: filler may stand where a method puts low importances for reasons of its own.
    ``within_bands`` is the AUROC of pairs of units in the same of `bands` equal stretches of a chain, pairs added up
    over chains.

    Parameters
    ----------
    bands
        Stretches of a chain that count as one position.
    confidence, n_resamples, seed
        Of the bootstrap intervals (BCa over chains' values; percentile, chains resampled, for ``within_bands``).
    """

    name = "planted"
    constraints = {"bands": WholeNumber(1), **RESAMPLING}

    def __init__(self, *, bands: int = 5, confidence: float = 0.95, n_resamples: int = 2000, seed: int = 0) -> None:
        self.bands = bands
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes.

        Raises
        ------
        AnalysisError
            If nothing is known of any chain's filler, or no chain holds any.
        """
        result = given.result
        if "filler" not in result or not (result["filler"] == 1).any():
            raise AnalysisError(
                "no chain of the result holds filler that is known; give the chain file 'filler' spans "
                "(examples/08_word_problems.py writes such chains)"
            )
        n_chains, n_estimators = result.sizes["chain"], result.sizes["estimator"]
        values = np.full((len(MEASURES), len(LEVELS), n_estimators, n_chains), np.nan)
        prevalence = np.full((len(LEVELS), n_chains), np.nan)
        right, pairs = np.full((2, n_chains, n_estimators), np.nan)
        for index, (_, chain) in enumerate(iterate(result)):
            marks = _majority(chain["filler"].to_numpy(), chain["unit"].to_numpy())
            if np.isnan(marks).any():
                continue
            sentences = _sentences(chain)
            band = np.arange(len(marks), dtype=np.int64) * self.bands // len(marks)
            for row, scores in enumerate(unit_scores(chain)):
                if np.isnan(scores).any():
                    continue
                ranks = mean_ranks(scores)
                right[index, row], pairs[index, row] = _pairs_within(ranks, marks, band)
                by_level = ((ranks, marks), (_means(ranks, sentences), _majority(marks, sentences)))
                for level, (standing, useless) in enumerate(by_level):
                    if 0 < useless.sum() < len(useless):
                        prevalence[level, index] = useless.mean()
                        values[0, level, row, index] = roc_auc_score(useless, -standing)
                        values[1, level, row, index] = average_precision_score(useless, -standing)
        mean, low, high = mean_intervals(
            values, confidence=self.confidence, n_resamples=self.n_resamples, seed=self.seed
        )
        within = pooled_ratio(right, pairs, Resampling(self.confidence, self.n_resamples, self.seed))
        dims = ("measure", "level", "estimator")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "of a chain"}),
                "mean": (dims, mean, {"long_name": "mean over the chains used"}),
                "low": (dims, low, {"long_name": "lower end of the mean's interval"}),
                "high": (dims, high, {"long_name": "upper end of the mean's interval"}),
                "chains_used": (dims, (~np.isnan(values)).sum(-1), {"long_name": "chains that have a value"}),
                "prevalence": (
                    "level",
                    [row[~np.isnan(row)].mean() if not np.isnan(row).all() else np.nan for row in prevalence],
                    {"long_name": "mean share of filler: the average precision of chance"},
                ),
                **{
                    f"within_bands{end}": ("estimator", part, {"long_name": "AUROC of pairs in one stretch"})
                    for end, part in zip(("", "_low", "_high"), within, strict=True)
                },
                "pairs_within_bands": ("estimator", np.nansum(pairs, axis=0).astype(np.int64)),
            },
            coords={
                "measure": np.array(MEASURES, dtype=object),
                "level": np.array(LEVELS, dtype=object),
                "estimator": result["estimator"].variable,
            },
            attrs={
                "bands": self.bands,
                "confidence": self.confidence,
                "n_resamples": self.n_resamples,
                "seed": self.seed,
                "interval": "BCa bootstrap of the mean, chains resampled; within_bands: percentile",
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return AUROC and average precision of every estimator."""
        return [planted_table(result)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the AUROC of every estimator, by unit, by sentence, and within stretches."""
        return draw_planted(result)


def _majority(marks: FloatArray, groups: IntArray) -> FloatArray:
    """Return 1 for each group of which more than half is marked, else 0; NaN where a mark is."""
    means = _means(marks, groups)
    found: FloatArray = np.where(np.isnan(means), np.nan, (means > 0.5).astype(float))
    return found


def _means(values: FloatArray, groups: IntArray) -> FloatArray:
    means: FloatArray = np.bincount(groups, weights=values) / np.bincount(groups)
    return means


def _sentences(chain: xr.Dataset) -> IntArray:
    """Return the sentence in which each unit of a chain begins, numbered from 0 without gaps, [unit]."""
    _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
    starts = sentence_starts(str(chain["reasoning"].item()))
    # A token may cover the space before its word, and so begin where the sentence before it ends.
    ends = chain["token_end"].to_numpy()[firsts] - 1
    _, numbers = np.unique(np.searchsorted(starts, ends, side="right"), return_inverse=True)
    return numbers.astype(np.int64)


def _pairs_within(ranks: FloatArray, marks: FloatArray, band: IntArray) -> tuple[float, float]:
    """Return how many pairs of filler and other in one band are in the right order (ties half), and all such pairs."""
    right = total = 0.0
    for useless, other in _split(ranks, marks, band):
        below = useless[:, None] - other[None, :]
        right += float((below < 0).sum() + 0.5 * (below == 0).sum())
        total += below.size
    return right, total


def _split(ranks: FloatArray, marks: FloatArray, band: IntArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    for number in np.unique(band):
        inside = band == number
        yield ranks[inside & (marks == 1)], ranks[inside & (marks == 0)]
