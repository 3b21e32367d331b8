"""Whether an estimator ranks text that is known to be useless below the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from rich.table import Table
from sklearn.metrics import roc_auc_score

from tokimp.analysis.planted.kinds import kind_variables
from tokimp.analysis.planted.levels import group_means, majority, sentences
from tokimp.analysis.planted.report import has_kinds, kind_table, planted_table
from tokimp.analysis.statistics.average_precision import average_precision, chance_average_precision
from tokimp.analysis.statistics.intervals import CONFIDENCE, INTERVAL_OF_MEANS, SHARE, mean_variables
from tokimp.analysis.statistics.pooled import INTERVAL_OF_POOLED, pooled_ratio
from tokimp.analysis.statistics.rank_measures import mean_ranks
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import WholeNumber
from tokimp.errors import AnalysisError
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate, unit_scores
from tokimp.results.ties import TIES, tie, tie_attributes, tie_variables

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure

LEVELS = ("unit", "sentence")
MEASURES = ("auroc", "average_precision")


class Planted(Analysis):
    """How well each estimator ranks planted filler lowest, on chains whose useless text is known.

    Chains say where their filler is by the ``filler`` spans of the chain file, which
    `tokimp.chains.datasets.word_problems` writes. A unit is filler if more than half of its tokens are. Each chain has
    two measures:

    - ``auroc``: the probability that a unit of filler is less important than another unit, ties counting half. Chance
      gives 0.5, a perfect separation 1;
    - ``average_precision``: the average precision of the list of units, the least important first, as an expectation
      over random breaking of ties. Chance gives more than the share of filler (``prevalence``), above all in short
      lists: of 2 units of filler in 7, 0.475.

    ``chance`` is the exact expectation of each measure for a random order. Both measures are computed by unit and by
    sentence; a sentence has the mean rank of its units. Chains without filler, or with nothing else, have no value.

    Position is a confound: filler may stand where a method gives low importance for other reasons. ``within_bands`` is
    the AUROC of pairs of units in the same of `bands` equal stretches of a chain, with pairs added up over chains.

    Where spans say of what kind they are (`tokimp.chains.datasets.planted_problems`), ``kind_value`` has both measures
    for each kind: its units against those that are no planted text. ``kind_band_mean`` has them by where the text
    stands in its chain.

    Parameters
    ----------
    bands
        Number of stretches of a chain within which position counts as the same.
    tie_threshold
        Units that matter less than this tie (`tokimp.results.ties.tie`); nats. 0 leaves importances as they are.
    tie_estimators
        Labels or names of the estimators whose importances are in nats, and so have the threshold.
    confidence
        Settings of the intervals: that of a mean over chains, and for ``within_bands`` that of a jackknife over chains.
    """

    name = "planted"
    constraints = {"bands": WholeNumber(1), **TIES, **CONFIDENCE}

    def __init__(
        self,
        *,
        bands: int = 5,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
    ) -> None:
        self.bands = bands
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/planted``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If no chain says where its filler is, or no chain holds any.
        """
        result = tie(inputs.result, self.tie_threshold, self.tie_estimators)
        if "filler" not in result or not (result["filler"] == 1).any():
            raise AnalysisError(
                "no chain of the result holds filler that is known; give the chain file 'filler' spans "
                "(examples/08_word_problems.py writes such chains)"
            )
        n_chains, n_estimators = result.sizes["chain"], result.sizes["estimator"]
        values = np.full((len(MEASURES), len(LEVELS), n_estimators, n_chains), np.nan)
        prevalence = np.full((len(LEVELS), n_chains), np.nan)
        chance = np.full((len(MEASURES), len(LEVELS), n_chains), np.nan)
        right, pairs = np.full((2, n_chains, n_estimators), np.nan)
        for index, (_, chain) in enumerate(iterate(result)):
            is_filler = majority(chain["filler"].to_numpy(), chain["unit"].to_numpy())
            if np.isnan(is_filler).any():
                continue
            in_sentence = sentences(chain)
            band = np.arange(len(is_filler), dtype=np.int64) * self.bands // len(is_filler)
            for row, scores in enumerate(unit_scores(chain)):
                if np.isnan(scores).any():
                    continue
                ranks = mean_ranks(scores)
                right[index, row], pairs[index, row] = _pairs_within(ranks, is_filler, band)
                by_level = ((ranks, is_filler), (group_means(ranks, in_sentence), majority(is_filler, in_sentence)))
                for level, (level_ranks, useless) in enumerate(by_level):
                    if 0 < useless.sum() < len(useless):
                        prevalence[level, index] = useless.mean()
                        values[0, level, row, index] = roc_auc_score(useless, -level_ranks)
                        values[1, level, row, index] = average_precision(-level_ranks, useless)
                        chance[:, level, index] = 0.5, chance_average_precision(len(useless), int(useless.sum()))
        within = pooled_ratio(right, pairs, self.confidence, SHARE)
        dims = ("measure", "level", "estimator")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "measure of a chain"}),
                **mean_variables(dims, values, self.confidence, bounds=SHARE),
                "chains_used": (dims, (~np.isnan(values)).sum(-1), {"long_name": "chains that have a value"}),
                "prevalence": ("level", _mean_of_known(prevalence), {"long_name": "mean share of filler"}),
                "chance": (
                    ("measure", "level", "chain"),
                    chance,
                    {"long_name": "expectation of the measure for a random order"},
                ),
                "chance_mean": (
                    dims,
                    # Estimators that cover different chains are measured against different chances.
                    _mean_of_known(np.where(np.isnan(values), np.nan, chance[:, :, None])),
                    {"long_name": "mean of chance over the chains used"},
                ),
                **{
                    f"within_bands{end}": ("estimator", part, {"long_name": "AUROC of pairs in one stretch"})
                    for end, part in zip(("", "_low", "_high"), within, strict=True)
                },
                **tie_variables(result),
                "pairs_within_bands": ("estimator", np.nansum(pairs, axis=0).astype(np.int64)),
                **kind_variables(result, self.bands, self.confidence),
            },
            coords={
                "measure": np.array(MEASURES, dtype=object),
                "level": np.array(LEVELS, dtype=object),
                "estimator": result["estimator"].variable,
            },
            attrs={
                "bands": self.bands,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
                "confidence": self.confidence,
                "interval": f"{INTERVAL_OF_MEANS}; within_bands: {INTERVAL_OF_POOLED}",
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return AUROC and average precision of every estimator, and AUROC by kind where there are several."""
        name = stored_name(result, self)
        tables = [planted_table(result, node_name=name)]
        return tables + ([kind_table(result, node_name=name)] if has_kinds(result, node_name=name) else [])

    def figure(self, result: xr.DataTree) -> Figure:
        """Return each estimator's AUROC by unit, by sentence, within stretches, and by kind if there are several."""
        return plot.planted_figure(result, node_name=stored_name(result, self))


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Return the mean over the chains that have a value, [...], of values, [..., chain]; NaN where none has."""
    count = (~np.isnan(values)).sum(-1)
    means: FloatArray = np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)
    return means


def _pairs_within(ranks: FloatArray, marks: FloatArray, band: IntArray) -> tuple[float, float]:
    """Return the number of pairs of filler and other unit in one band in the right order (ties half), and of all."""
    right = total = 0.0
    for filler, other in _split(ranks, marks, band):
        difference = filler[:, None] - other[None, :]
        right += float((difference < 0).sum() + 0.5 * (difference == 0).sum())
        total += difference.size
    return right, total


def _split(ranks: FloatArray, marks: FloatArray, band: IntArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield for each band the ranks of its filler and of its other units."""
    for number in np.unique(band):
        inside = band == number
        yield ranks[inside & (marks == 1)], ranks[inside & (marks == 0)]
