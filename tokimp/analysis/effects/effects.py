"""Which unit depends on which, whether effects reach the answer through other units, and where methods differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from tokimp.analysis.effects.numbers import DISTANCES, distance_shares, passed_on, spearman_of_pairs
from tokimp.analysis.statistics.intervals import (
    CONFIDENCE,
    CORRELATION,
    INTERVAL_OF_MEANS,
    SHARE,
    mean_variables,
)
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import WholeNumber
from tokimp.errors import AnalysisError
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import chain_ids, iterate
from tokimp.results.effects_node import ChainEffects, read_effects
from tokimp.results.effects_schema import effect_labels
from tokimp.results.ties import TIES, cut, tie_attributes, tied_labels, tied_share

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


class Effects(Analysis):
    r"""What each unit does to each later one and to the answer, by the estimators that say so.

    An effect e(u, v) is the log-probability that unit v loses when u is taken away (nats). Three questions:

    *Which unit depends on which?* ``sent`` and ``received`` add up the absolute effects of a unit on later ones, and of
    earlier ones on it. ``distance_share`` says how much of all absolute effects lies between neighbours, and between
    units further apart, next to the share of the pairs that are so far apart. The table lists the strongest effects
    between units that are at least `apart` units apart, since neighbours depend on each other in any text.

    *Do effects reach the answer directly, or through others?* The effect of u on the answer is the whole one: later
    units are read anew without u. ``through_others`` describes what of it may have passed through them, by one step:

    .. math:: t(u) = \sum_{v > u} \frac{|e(u, v)|}{\sum_{w < v} |e(w, v)|} |e(v, \text{answer})|

    Every later unit passes its own effect on the answer on to the units that it depends on, in proportion.
    ``through_share`` is t(u) / (t(u) + \|e(u, answer)\|). It is a description: a path that deletion cannot tell apart
    from another is not measured. ``path_agreement`` is the Spearman correlation of \|e(u, answer)\| with itself plus
    t(u), over the units of a chain: 1 if the paths change no rank.

    *Where do two methods differ?* ``agreement`` is the Spearman correlation of their effects over all pairs of a chain,
    as it is and with the distance between the units partialled out. The table lists the pairs that differ most.

    Parameters
    ----------
    strongest
        How many pairs tables list for each estimator.
    apart
        How many units apart the units of these pairs are at least.
    minimum_units
        Chains with fewer units have no correlations.
    tie_threshold, tie_estimators
        Effects of these estimators are cut to whole multiples of so many nats towards 0 first, those on the answer too,
        as importances are (`tokimp.results.ties.tie`): effects that are smaller tie. 0 cuts nothing.
    confidence
        Confidence of the intervals, between 0 and 1.
    """

    name = "effects"
    constraints = {
        "strongest": WholeNumber(1),
        "apart": WholeNumber(1),
        "minimum_units": WholeNumber(3),
        **TIES,
        **CONFIDENCE,
    }

    def __init__(
        self,
        *,
        strongest: int = 5,
        apart: int = 2,
        minimum_units: int = 5,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
    ) -> None:
        self.strongest = strongest
        self.apart = apart
        self.minimum_units = minimum_units
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/effects``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If no estimator of the result gives effects, or one whose effects are to tie gives none.
        SchemaError, EstimatorError
            If the estimators whose effects are to tie are missing, or there are none of the name.
        """
        labels, found = effect_labels(inputs.result), read_effects(inputs.result)
        if not labels:
            raise AnalysisError(
                "no estimator of the result says what units do to each other; compare with one that does, such as "
                "leave_one_out:effects=true"
            )
        found = self._cut(inputs.result, found)
        ids = chain_ids(inputs.result)
        by_unit: dict[str, list[FloatArray]] = {
            name: [] for name in ("sent", "received", "on_answer", "through_others", "through_share")
        }
        shares = np.full((len(labels), len(DISTANCES), len(ids)), np.nan)
        path = np.full((len(labels), len(ids)), np.nan)
        mostly = np.full((len(labels), len(ids)), np.nan)
        tied = np.full((len(labels), len(ids)), np.nan)
        for column, (chain_id, chain) in enumerate(iterate(inputs.result)):
            owners = chain["unit"].to_numpy()
            for row, label in enumerate(labels):
                numbers = _of_units(found.get((label, chain_id)), int(owners.max()) + 1)
                for name, values in numbers.items():
                    by_unit[name].append(values[owners])
                if (effects := found.get((label, chain_id))) is not None:
                    shares[row, :, column] = distance_shares(effects.matrix())
                    path[row, column] = self._path_agreement(numbers)
                    tied[row, column] = tied_share(effects.pairs)
                    mostly[row, column] = _share_above_half(numbers["through_share"])
        tokens = {
            name: (("effect_estimator", "token"), _by_label(parts, len(labels))) for name, parts in by_unit.items()
        }
        agreement = self._agreement(labels, ids, found)
        estimator = ("effect_estimator",)
        pairs = ("partial", *estimator, "other")
        return xr.Dataset(
            {
                **tokens,
                "distance_share": ((*estimator, "distance", "chain"), shares),
                **mean_variables((*estimator, "distance"), shares, self.confidence, "distance_share_", SHARE),
                "pair_share": (("distance",), _pair_shares(inputs.result)),
                "mostly_through_others": ((*estimator, "chain"), mostly),
                **mean_variables(estimator, mostly, self.confidence, "mostly_through_others_", SHARE),
                "tied": ((*estimator, "chain"), tied, {"long_name": "share of effects between units that tie"}),
                "path_agreement": ((*estimator, "chain"), path),
                **mean_variables(estimator, path, self.confidence, "path_agreement_", CORRELATION),
                "agreement": ((*pairs, "chain"), agreement),
                **mean_variables(pairs, agreement, self.confidence, "agreement_", CORRELATION),
                "chains_used": (pairs, (~np.isnan(agreement)).sum(axis=-1)),
            },
            coords={
                "effect_estimator": _texts(labels),
                "other": ("other", _texts(labels)),
                "distance": ("distance", _texts([text for text, _, _ in DISTANCES])),
                "partial": [False, True],
            },
            attrs={
                "confidence": self.confidence,
                "interval": INTERVAL_OF_MEANS,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
            },
        )

    def _cut(
        self, result: xr.DataTree, found: Mapping[tuple[str, str], ChainEffects]
    ) -> dict[tuple[str, str], ChainEffects]:
        """Return effects of which those below the threshold tie."""
        named, labels = tied_labels(result, self.tie_threshold, self.tie_estimators), effect_labels(result)
        for label in named:
            if label not in labels:
                raise AnalysisError(
                    f"tie_estimators: {label!r} does not say what units do to each other, so it has no effects that "
                    f"could tie; name any of {', '.join(labels)}"
                )
        return {
            key: ChainEffects(*(cut(part, self.tie_threshold) for part in (effects.pairs, effects.on_answer)))
            if key[0] in named
            else effects
            for key, effects in found.items()
        }

    def _path_agreement(self, numbers: dict[str, FloatArray]) -> float:
        direct = np.abs(numbers["on_answer"])
        whole = direct + numbers["through_others"]
        if len(direct) < self.minimum_units or np.isnan(whole).any() or is_constant(direct) or is_constant(whole):
            return np.nan
        return float(pearson(mean_ranks(direct), mean_ranks(whole)))

    def _agreement(self, labels: list[str], ids: list[str], found: dict[tuple[str, str], ChainEffects]) -> FloatArray:
        """Return the correlations of the effects of every two estimators, [partial, estimator, other, chain]."""
        values = np.full((2, len(labels), len(labels), len(ids)), np.nan)
        for column, chain_id in enumerate(ids):
            effects = [found.get((label, chain_id)) for label in labels]
            for row, one in enumerate(effects):
                for other_row, other in enumerate(effects[: row + 1]):
                    if one is None or other is None or len(one.on_answer) < self.minimum_units:
                        continue
                    pair = spearman_of_pairs(one.matrix(), other.matrix())
                    values[:, row, other_row, column] = values[:, other_row, row, column] = pair
        return values

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the strongest effects, how far they reach, and where methods differ."""
        from tokimp.analysis.effects.report import disagreement_table, reach_table, strongest_table  # noqa: PLC0415 - slow to import

        name = stored_name(result, self)
        tables = [reach_table(result, name), strongest_table(result, self.strongest, self.apart)]
        if len(effect_labels(result)) > 1:
            tables.append(disagreement_table(result, name, self.strongest, self.apart))
        return tables

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the effects of one chain as matrices, and how far effects reach in all."""
        return plot.effects_figure(result, node_name=stored_name(result, self))


def _of_units(effects: ChainEffects | None, n_units: int) -> dict[str, FloatArray]:
    """Return the numbers of each unit of a chain, [unit] each; NaN where nothing is known."""
    if effects is None:
        unknown = np.full(n_units, np.nan)
        return dict.fromkeys(("sent", "received", "on_answer", "through_others", "through_share"), unknown)
    matrix, on_answer = effects.matrix().astype(np.float64), effects.on_answer.astype(np.float64)
    through = passed_on(matrix, on_answer)
    together = through + np.abs(on_answer)
    share = np.full(n_units, np.nan)
    np.divide(through, together, out=share, where=together > 0)
    return {
        "sent": np.abs(matrix).sum(axis=1),
        "received": np.abs(matrix).sum(axis=0),
        "on_answer": on_answer,
        "through_others": through,
        "through_share": share,
    }


def _by_label(parts: list[FloatArray], n_labels: int) -> FloatArray:
    """Return numbers of tokens, [estimator, token], from parts: all of a chain's, then the next chain's."""
    return np.stack([np.concatenate(parts[row::n_labels]) for row in range(n_labels)])


def _share_above_half(shares: FloatArray) -> float:
    known = shares[~np.isnan(shares)]
    return float((known > 0.5).mean()) if len(known) else np.nan


def _pair_shares(result: xr.DataTree) -> FloatArray:
    """Return which share of all pairs of units lies in each class of distance, mean over chains with pairs."""
    counts = result["effects"]["unit_count"].to_numpy()
    shares = [distance_shares(np.triu(np.ones((count, count)), k=1)) for count in counts if count > 1]
    return np.mean(shares, axis=0) if shares else np.full(len(DISTANCES), np.nan)


def _texts(values: list[str]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
