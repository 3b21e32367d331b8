"""How far the estimators of a result agree on which units are important."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from rich.table import Table

from tokimp.analysis.agreement.beyond_place import PlaceSettings, beyond_place_variables
from tokimp.analysis.agreement.beyond_place_report import agreement_tables
from tokimp.analysis.agreement.pairs import MEASURES, pair_agreements
from tokimp.analysis.agreement.random_weights import random_weights_variables
from tokimp.analysis.agreement.report import FEWEST_TO_RANK, no_agreement_table, no_agreement_text
from tokimp.analysis.agreement.summary_matrix import FEWEST_ESTIMATORS, summary_matrix
from tokimp.analysis.statistics.chance_overlap import chance_overlap_shares, chance_overlap_shares_given_position
from tokimp.analysis.statistics.intervals import CONFIDENCE, INTERVAL_OF_MEANS, mean_variables
from tokimp.analysis.statistics.rank_measures import (
    FEWEST_GIVEN_POSITION,
    mean_ranks,
    position_residuals,
    rank_biased_overlap,
)
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import AnyOf, Number, Text, WholeNumber
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate, unit_scores
from tokimp.results.ties import TIES, tie, tie_attributes, tied_share

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure

# Whether a pair of estimators has a value on a chain, or why it has none.
USED, SHORT, ABSENT, UNDEFINED = range(4)
# What the most important units of two random rankings have in common, by whether position is partialled out.
_LEAST = np.array([-1.0, -1.0, 0.0, 0.0])  # of each measure
_CHANCE: tuple[Callable[[int], FloatArray], ...] = (chance_overlap_shares, chance_overlap_shares_given_position)


class Agreement(Analysis):
    r"""How far every two estimators agree on a chain's units, averaged over chains.

    Units are ranked, not tokens: a word of five tokens counts once. Each pair of estimators has four measures on each
    chain:

    - ``spearman``: rank correlation, ties sharing their mean rank;
    - ``kendall``: tau-b;
    - ``top_k_overlap``: the share that the k most important units have in common;
    - ``rbo``: extrapolated rank-biased overlap (Webber et al. 2010), the most important unit first.

    All measures take account of ties. The last two are expectations over random breaking of ties. ``rank`` breaks ties
    by place, and two estimators that leave many units tied (such as greedy pruning stopped early) would agree because
    of that rule alone.

    Place is a strong confound: two methods that both favour late units agree for that reason alone. ``place_chance`` is
    how much they agree for it: the agreement of one's scores of a chain with the other's scores of *other* chains, of
    other questions, at the same relative places. It has whatever shape the preferences have. ``beyond_place`` is the
    difference, with an interval, a p-value (Student's t test), and one that is corrected for all pairs of a measure
    (Holm). Spearman's is the measure that conclusions rest on; the others are exploratory.

    Other controls stand beside it. ``without_surprisal`` is Spearman's agreement beyond place with the units' own
    surprisal taken out, which many importances hold. ``noise`` is how far from chance random orders stay on average
    over these chains. ``random``, the result of a model with random weights, says how much agreement the methods have
    that owes nothing to what the model learned.

    Every measure is also given with position partialled out linearly. With ``partial`` true, each estimator's unit
    ranks (ties sharing their mean rank) are regressed on the unit's index, and the residuals replace the importances:
    ``spearman`` is their Pearson correlation (the partial Spearman correlation given position), and the other measures
    are computed on the residuals' order. An estimator that follows position exactly, such as ``position``, has constant
    residuals, and its pairs are undefined.
    What is not linear stays: two methods that both favour the last fifth of a chain, and have nothing else in common,
    have a partial correlation of about 0.3, and 0 beyond place. Units that tie get different residuals, which order
    them by place: with many ties, trust ``spearman`` alone.

    A chain is left out of a pair, and counted as left out, in three cases: it has fewer units than `minimum_units`; one
    of the two estimators says nothing about it; or the value is undefined, because importances (or residuals) are
    constant or k covers all units. Means are over the remaining chains, with their intervals
    (`tokimp.analysis.statistics.intervals.mean_interval`). With fewer than two chains, or values that are all the same,
    the interval is NaN. Beyond place, nothing is known of chains that are all of one question.

    Parameters
    ----------
    top_k
        A share of a chain's units (a float below 1; ``int(n * top_k)`` units, at least one), or their number (an int).
    rbo_p
        Persistence of the rank-biased overlap, between 0 and 1. The lower it is, the more the top counts.
    others
        The most other chains whose scores are put beside those of each chain.
    random
        File of a result of the same chains by the same estimators, of the model with random weights
        (``tokimp compare --random-weights all``).
    tie_threshold
        Units that matter less than this tie (`tokimp.results.ties.tie`), in the result of `random` too; nats. 0 leaves
        importances as they are.
    tie_estimators
        Labels or names of the estimators whose importances are in nats, and so have the threshold.
    confidence, seed
        Settings of the intervals; the seed is that of random orders.
    minimum_units
        Chains with fewer units are too short to rank; at least 2. With position partialled out, chains of fewer than 4
        units are undefined: any two rankings of three units have partial correlation 1 or -1.
    """

    name = "agreement"
    constraints = {
        "top_k": AnyOf(Number(above=0, below=1), WholeNumber(1)),
        "rbo_p": Number(above=0, below=1),
        "others": WholeNumber(1),
        "random": Text("the file of a result with random weights", may_be_empty=True),
        **TIES,
        **CONFIDENCE,
        "seed": WholeNumber(0),
        "minimum_units": WholeNumber(FEWEST_TO_RANK),
    }

    def __init__(
        self,
        *,
        top_k: float = 0.2,
        rbo_p: float = 0.9,
        others: int = 10,
        random: str = "",
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
        seed: int = 0,
        minimum_units: int = 5,
    ) -> None:
        self.top_k = top_k
        self.rbo_p = rbo_p
        self.others = others
        self.random = random
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence
        self.seed = seed
        self.minimum_units = minimum_units

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, or if the result with random weights is not there."""
        super().validate_parameters()
        if self.random and not Path(self.random).exists():
            raise self.invalid_parameter("random", "the file of a result, such as runs/random/results.nc")

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/agreement``, as ``docs/schema.md`` describes it."""
        result = tie(inputs.result, self.tie_threshold, self.tie_estimators)
        n_estimators, n_chains = result.sizes["estimator"], result.sizes["chain"]
        tied = np.full((n_estimators, n_chains), np.nan)
        shape = (len(MEASURES), 2, n_estimators, n_estimators, n_chains)
        values = np.full(shape, np.nan)
        status = np.full(shape, ABSENT)
        chance = np.full((len(MEASURES), 2, n_chains), np.nan)
        scores_by_chain = [unit_scores(chain) for _, chain in iterate(result)]
        settings = PlaceSettings(
            top_k=self.top_k,
            rbo_p=self.rbo_p,
            minimum_units=self.minimum_units,
            others=self.others,
            confidence=self.confidence,
            seed=self.seed,
        )
        for index, scores in enumerate(scores_by_chain):
            n_units = scores.shape[1]
            tied[:, index] = [tied_share(row) for row in scores]
            if n_units < self.minimum_units:
                status[..., index] = SHORT
                continue
            k = settings.k_of(n_units)
            for partial, expected in enumerate(_CHANCE):
                if partial and n_units < FEWEST_GIVEN_POSITION:
                    continue
                shares = expected(n_units)
                chance[:, partial, index] = 0, 0, _at_depth(shares, k), rank_biased_overlap(shares, self.rbo_p)
            scored = [row for row in range(n_estimators) if not np.isnan(scores[row]).any()]
            for partial, ranked_by in enumerate((mean_ranks, position_residuals)):
                found = pair_agreements(scores[scored], k, self.rbo_p, ranked_by)[:, None, :, :, None]
                pairs = np.ix_(range(len(MEASURES)), [partial], scored, scored, [index])
                values[pairs] = found
                status[pairs] = np.where(np.isnan(found), UNDEFINED, USED)
        controls = beyond_place_variables(result, scores_by_chain, values[:, 0], settings)
        if self.random:
            controls |= random_weights_variables(
                result, Path(self.random), settings, self.tie_threshold, self.tie_estimators
            )
        return self._node(result, values=values, status=status, tied=tied, chance=chance, controls=controls)

    def _node(
        self,
        result: xr.DataTree,
        *,
        values: FloatArray,
        status: IntArray,
        tied: FloatArray,
        chance: FloatArray,
        controls: dict[str, Any],
    ) -> xr.Dataset:
        """Return the node of values and their status, [measure, partial, estimator, other, chain].

        `tied` is [estimator, chain], `chance` is [measure, partial, chain], and `controls` are further variables.
        """
        dims = ("measure", "partial", "estimator", "other")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "agreement of two estimators on a chain"}),
                **mean_variables(dims, values, self.confidence, bounds=(_LEAST[:, None, None, None], 1.0)),
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
                "chance": (("measure", "partial", "chain"), chance, {"long_name": "expected of two random rankings"}),
                "chance_mean": (
                    ("measure", "partial"),
                    _mean_of_known(chance),
                    {"long_name": "mean of chance over the chains ranked"},
                ),
                **controls,
            },
            coords={
                "measure": np.array(MEASURES, dtype=object),
                "partial": [False, True],
                "estimator": result["estimator"].variable,
                "other": ("other", result["estimator"].to_numpy()),
            },
            attrs={
                "top_k": self.top_k,
                "rbo_p": self.rbo_p,
                "others": self.others,
                "random": self.random,
                "confidence": self.confidence,
                "seed": self.seed,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
                "minimum_units": self.minimum_units,
                "interval": INTERVAL_OF_MEANS,
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the means of every pair, as they are and beyond place, or why there are none.

        Nothing is returned for one estimator.
        """
        if result.sizes["estimator"] < 2:
            return []
        name = stored_name(result, self)
        if no_agreement_text(result, name):
            return [no_agreement_table(result, name)]
        tables = [make_table(result, node_name=name) for make_table in agreement_tables(result, name)]
        if result.sizes["estimator"] >= FEWEST_ESTIMATORS:
            tables.insert(0, summary_matrix(result, node_name=name))
        return tables

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the matrix of mean Spearman correlations: as they are, and beyond position."""
        return plot.root_figure(plot.agreement(result, node_name=stored_name(result, self)))


def _at_depth(shares: FloatArray, k: int) -> float:
    """Return the share that the first `k` units have in common; NaN where k covers all units, which always agree."""
    return float(shares[k - 1]) if k < len(shares) else np.nan


def _mean_of_known(chance: FloatArray) -> FloatArray:
    """Return the mean over the chains that have a value, [measure, partial]; NaN where none has."""
    count = (~np.isnan(chance)).sum(-1)
    means: FloatArray = np.where(count > 0, np.nansum(chance, axis=-1) / np.maximum(count, 1), np.nan)
    return means
