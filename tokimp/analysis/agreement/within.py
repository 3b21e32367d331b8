"""Agreement of estimators within groups: by category of token, by position, on right and on wrong chains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from rich.table import Table

from tokimp.analysis.agreement.other_chains import products, ranked_by_both
from tokimp.analysis.agreement.place_variables import other_chains, place_variables, rank_features
from tokimp.analysis.agreement.within_report import agreement_within_table, within_beyond_place_table
from tokimp.analysis.statistics.intervals import (
    CONFIDENCE,
    CORRELATION,
    INTERVAL_OF_MEANS,
    mean_variables,
)
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson, position_residuals
from tokimp.analysis.token_labels import token_labels
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import OneOf, WholeNumber
from tokimp.contracts.registry import load_categorizer
from tokimp.errors import AnalysisError
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate, unit_scores
from tokimp.results.ties import TIES, tie, tie_attributes, tie_variables
from tokimp.results.views import answer_is_right

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure

KINDS = ("category", "position", "correctness")


class AgreementWithin(Analysis):
    """Spearman correlation of every two estimators within groups of units or of chains.

    - ``by=category``: the units of a chain that have the same category (a unit has that of most of its tokens);
    - ``by=position``: the units in the same of `bands` equal stretches of a chain, named ``0-0.2`` and so on;
    - ``by=correctness``: all units of the chains whose answer is right, of those whose answer is wrong, and of those of
      which this is ``not known``, because answer and right answer can be neither shown to be the same nor told apart
      (`tokimp.chains.datasets.is_right`). Chains without a right answer to compare with are left out.

    A chain's value is the correlation of the ranks of the group's units (ties share their mean), as they are and with
    position partialled out linearly: the ranks within the group are regressed on where the units stand in the chain.
    ``beyond_place`` is the correlation as it is less the one that place alone makes (as in
    `tokimp.analysis.agreement.agreement.Agreement`), seen where units of *other* chains stand at the places of the
    group's. A chain has no value where it has fewer than `minimum_units` units in the group, or where an estimator is
    constant there. Means are over chains, with their intervals; p-values are corrected for all pairs and groups (Holm).

    Parameters
    ----------
    by
        What makes the groups: ``category``, ``position`` or ``correctness``.
    categorizer
        With ``by=category``: specification of a categorizer, such as ``rules``; if empty, the categories of the chain
        file are used.
    bands
        With ``by=position``: number of stretches of a chain.
    others
        The most other chains whose scores are put beside those of each chain.
    tie_threshold
        Units that matter less than this tie (`tokimp.results.ties.tie`); nats. 0 leaves importances as they are.
    tie_estimators
        Labels or names of the estimators whose importances are in nats, and so have the threshold.
    confidence
        Confidence of the intervals, between 0 and 1.
    minimum_units
        Fewest units of a group in a chain; at least 3, since two units can only agree or disagree. For the same reason
        at least 4 count with position partialled out.
    """

    name = "agreement_within"
    constraints = {
        "by": OneOf(*KINDS),
        "bands": WholeNumber(1),
        "others": WholeNumber(1),
        **TIES,
        **CONFIDENCE,
        "minimum_units": WholeNumber(3),
    }

    def __init__(
        self,
        *,
        by: str = "category",
        categorizer: str = "",
        bands: int = 5,
        others: int = 10,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
        minimum_units: int = 5,
    ) -> None:
        self.by = by
        self.categorizer = categorizer
        self.bands = bands
        self.others = others
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence
        self.minimum_units = minimum_units

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, and `PluginError` for an unknown categorizer."""
        super().validate_parameters()
        if self.categorizer:
            load_categorizer(self.categorizer).validate_parameters()

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/agreement_within``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If there are no groups: no token has a category, or no chain has a right answer to compare with.
        """
        result = tie(inputs.result, self.tie_threshold, self.tie_estimators)
        labels = result["estimator"].to_numpy()
        groups_by_chain = [list(self._groups(chain)) for chain in self._chains(result)]
        groups = sorted({group for chain_groups in groups_by_chain for group, _ in chain_groups})
        if not groups:
            raise AnalysisError("no chain has a right answer ('gold') to compare its answer with")
        values = np.full((len(groups), 2, len(labels), len(labels), len(groups_by_chain)), np.nan)
        scores_by_chain = [unit_scores(chain) for _, chain in iterate(result)]
        chance = np.full((len(groups), *values.shape[2:]), np.nan)
        for index, scores in enumerate(scores_by_chain):
            for group, units in groups_by_chain[index]:
                if len(units) < self.minimum_units:
                    continue
                for at in (0, 1):
                    parts = [row[units] for row in scores]
                    ranks = [position_residuals(part, units) if at else mean_ranks(part) for part in parts]
                    values[groups.index(group), at, :, :, index] = _correlations(ranks)
        for chains, pairs in ranked_by_both(scores_by_chain):
            others = other_chains(result, scores_by_chain, self.others, self.minimum_units, chains)
            for place, index in enumerate(chains):
                for group, units in groups_by_chain[index]:
                    if len(units) < self.minimum_units:
                        continue
                    features = partial(rank_features, units=units)
                    own = [features(row) for row in scores_by_chain[index]]
                    means = [others.mean_features(place, row, features) for row in range(len(labels))]
                    chance[groups.index(group), pairs, index] = products(own, means, 1)[0][pairs]
        dims = ("group", "partial", "estimator", "other")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "Spearman correlation in a group of a chain"}),
                **mean_variables(dims, values, self.confidence, bounds=CORRELATION),
                "chains_used": (dims, (~np.isnan(values)).sum(-1), {"long_name": "chains that have a value"}),
                **tie_variables(result),
                **place_variables(
                    ("group", *dims[2:]),
                    values[:, 0],
                    chance,
                    np.broadcast_to(np.triu(np.ones((len(labels), len(labels))), 1), chance.shape[:-1]),
                    self.confidence,
                ),
            },
            coords={
                "group": np.array(groups, dtype=object),
                "partial": [False, True],
                "estimator": result["estimator"].variable,
                "other": ("other", labels),
            },
            attrs={
                "by": self.by,
                "categorizer": self.categorizer,
                "confidence": self.confidence,
                "minimum_units": self.minimum_units,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
                "others": self.others,
                "interval": INTERVAL_OF_MEANS,
            },
        )

    def _chains(self, result: xr.DataTree) -> list[xr.Dataset]:
        """Return the chains; with ``by=category``, each with the category that its tokens are to be grouped by."""
        if self.by != "category":
            return [chain for _, chain in iterate(result)]
        labels = token_labels(result, load_categorizer(self.categorizer) if self.categorizer else None, self.name)
        ends = np.cumsum(result["reasoning_length"].to_numpy())
        parts = np.split(labels, ends[:-1])
        return [chain.assign(category=("token", part)) for (_, chain), part in zip(iterate(result), parts, strict=True)]

    def _groups(self, chain: xr.Dataset) -> Iterator[tuple[str, IntArray]]:
        """Yield the name of each group of a chain, and the indices of its units."""
        token_unit = chain["unit"].to_numpy()
        units = np.arange(int(token_unit.max()) + 1)
        if self.by == "correctness":
            if str(chain["gold"].item()):
                yield {True: "right", False: "wrong", None: "not known"}[answer_is_right(chain)], units
        elif self.by == "position":
            band = units * self.bands // len(units)
            # Enough digits that no two stretches have the same name.
            digits = max(2, len(str(self.bands)))
            for number in range(self.bands):
                ends = (number / self.bands, (number + 1) / self.bands)
                yield "-".join(f"{round(end, digits):g}" for end in ends), np.flatnonzero(band == number)
        else:
            categories = chain["category"].to_numpy().astype(str)
            unit_category = np.array([_commonest(categories[token_unit == unit]) for unit in units])
            for category in sorted(set(unit_category.tolist()) - {""}):
                yield category, np.flatnonzero(unit_category == category)

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the mean correlation of every pair in every group: as it is, position partialled out, beyond place."""
        if result.sizes["estimator"] < 2:
            return []
        name = stored_name(result, self)
        tables = [agreement_within_table(result, partial=at, node_name=name) for at in (False, True)]
        return [*tables, *within_beyond_place_table(result, node_name=name)]

    def figure(self, result: xr.DataTree) -> Figure | None:
        """Return the mean correlation of pairs in every group; nothing for one estimator."""
        if result.sizes["estimator"] < 2:
            return None
        return plot.root_figure(plot.agreement_within(result, node_name=stored_name(result, self)))


def _correlations(ranks: list[FloatArray]) -> FloatArray:
    """Return Pearson's correlation of every two rows, [row, row]; NaN where one is constant or has NaN."""
    correlations = np.full((len(ranks), len(ranks)), np.nan)
    for one, other in combinations_with_replacement(range(len(ranks)), 2):
        a, b = ranks[one], ranks[other]
        if not (np.isnan(a).any() or np.isnan(b).any() or is_constant(a) or is_constant(b)):
            correlations[one, other] = correlations[other, one] = pearson(a, b)
    return correlations


def _commonest(labels: np.ndarray[tuple[int], np.dtype[np.str_]]) -> str:
    """Return the label that most tokens have, [token]; of equally common ones the first."""
    return max(dict.fromkeys(labels.tolist()), key=labels.tolist().count)
