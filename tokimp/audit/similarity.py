"""How alike an estimator ranks the units of the same chains under two conditions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.analysis.statistics.intervals import CORRELATION, SHARE, mean_interval
from tokimp.analysis.statistics.rank_measures import (
    is_constant,
    mean_ranks,
    overlap_shares,
    pearson,
    position_residuals,
)
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import chain_ids, one_chain, unit_scores, unit_texts

MEASURES = ("spearman", "spearman_absolute", "spearman_beyond_position", "top_overlap")
TOP_SHARE = 0.2

BoolArray = npt.NDArray[np.bool_]


def similarity(
    reference: xr.DataTree,
    others: Mapping[str, xr.DataTree],
    *,
    top_share: float = TOP_SHARE,
    confidence: float = 0.95,
    fewest_units: int = 5,
) -> xr.Dataset:
    """Compare each estimator with itself, chain by chain, under other conditions.

    - ``spearman``: the rank correlation of the units' importance; 1 where nothing changed, 0 by chance;
    - ``spearman_absolute``: the same of the importance's size, whatever its sign;
    - ``spearman_beyond_position``: with the linear trend over position taken out of both rankings. Methods that favour
      the end of a chain do so under every condition;
    - ``top_overlap``: the share of the `top_share` most important units that both have; by chance `top_share`.

    Parameters
    ----------
    reference
        The run as it is.
    others
        The runs under changed conditions, by the condition's name: some of the reference's chains, in the same units,
        and its estimators in the same order (their labels may differ, by their seed). Units whose text differs are left
        out on both sides.
    top_share
        Share of units that count as the most important.
    confidence
        Confidence of the intervals of means over chains.
    fewest_units
        Chains with fewer units in common have no value.

    Returns
    -------
    xarray.Dataset
        ``value`` (condition, measure, estimator, chain): NaN where a chain is not in the condition, a cell failed, the
        chain is too short, or one ranking ties all units, which ``undefined`` counts. ``mean``, ``low``, ``high`` over
        the ``chains_used``. ``compared`` (condition, estimator): chains with both rankings; ``unchanged``: those on
        which the two are the very same.
        ``top_overlap_chance`` (condition): the mean overlap of random rankings.

    Raises
    ------
    AnalysisError
        If a result has other chains, units or estimators than the reference.
    """
    conditions, ids = list(others), chain_ids(reference)
    labels = [str(label) for label in reference["estimator"].to_numpy()]
    values = np.full((len(conditions), len(MEASURES), len(labels), len(ids)), np.nan)
    asked, compared, unchanged = np.zeros((3, len(conditions), len(labels)), dtype=np.int64)
    chance = np.full((len(conditions), len(ids)), np.nan)
    for number, (name, other) in enumerate(others.items()):
        _check_comparable(name, other, ids, len(labels))
        for chain_id in chain_ids(other):
            index = ids.index(chain_id)
            before, after = one_chain(reference, chain_id), one_chain(other, chain_id)
            same = _units_in_common(name, before, after)
            top = max(1, round(top_share * same.sum()))
            if same.any():
                chance[number, index] = top / same.sum()
            scores = zip(unit_scores(before)[:, same], unit_scores(after)[:, same], strict=True)
            for row, (one, two) in enumerate(scores):
                asked[number, row] += 1
                if np.isnan(one).any() or np.isnan(two).any() or same.sum() < fewest_units:
                    continue
                compared[number, row] += 1
                values[number, :, row, index] = _compare(one, two, top)
                unchanged[number, row] += bool((mean_ranks(one) == mean_ranks(two)).all())
    return _summarised(conditions, labels, ids, values, (asked, compared, unchanged), chance, confidence)


def _check_comparable(name: str, other: xr.DataTree, ids: list[str], n_estimators: int) -> None:
    if other.sizes["estimator"] != n_estimators:
        raise AnalysisError(
            f"the result {name!r} has {other.sizes['estimator']} estimators, and the reference {n_estimators}; both "
            "must have the same ones, in the same order"
        )
    unknown = [chain_id for chain_id in chain_ids(other) if chain_id not in ids]
    if unknown:
        raise AnalysisError(f"the chain {unknown[0]!r} of the result {name!r} is not in the reference")


def _units_in_common(name: str, before: xr.Dataset, after: xr.Dataset) -> BoolArray:
    """Return for each unit of a chain whether it has the same text in both results, [unit]."""
    texts = unit_texts(before), unit_texts(after)
    if len(texts[0]) != len(texts[1]):
        raise AnalysisError(
            f"chain {before['chain_id'].item()!r} has {len(texts[0])} units in the reference and {len(texts[1])} in "
            f"the result {name!r}; compare runs of the same unit"
        )
    return np.array([one == other for one, other in zip(*texts, strict=True)])


def _compare(one: FloatArray, two: FloatArray, top: int) -> list[float]:
    """Return `MEASURES` of two importances of the same units, [unit] each."""
    return [
        _correlation(mean_ranks(one), mean_ranks(two)),
        _correlation(mean_ranks(np.abs(one)), mean_ranks(np.abs(two))),
        _correlation(position_residuals(one), position_residuals(two)),
        float(overlap_shares(one, two)[top - 1]),
    ]


def _correlation(one: FloatArray, two: FloatArray) -> float:
    return np.nan if is_constant(one) or is_constant(two) else pearson(one, two)


def _summarised(  # noqa: PLR0917 - the tables of one function, named as there
    conditions: list[str],
    labels: list[str],
    ids: list[str],
    values: FloatArray,
    counts: tuple[IntArray, IntArray, IntArray],
    chance: FloatArray,
    confidence: float,
) -> xr.Dataset:
    means = np.full((3, *values.shape[:-1]), np.nan)
    for where in np.ndindex(*values.shape[:-1]):
        bounds = SHARE if MEASURES[where[1]] == "top_overlap" else CORRELATION
        interval = mean_interval(values[where], confidence=confidence, bounds=bounds)
        means[(slice(None), *where)] = interval.mean, interval.low, interval.high
    used, (asked, compared, unchanged) = (~np.isnan(values)).sum(-1), counts
    dims = ("condition", "measure", "estimator")
    return xr.Dataset(
        {
            "value": ((*dims, "chain"), values),
            **{name: (dims, part) for name, part in zip(("mean", "low", "high"), means, strict=True)},
            "chains_used": (dims, used),
            "undefined": (dims, asked[:, None] - used),
            "compared": (("condition", "estimator"), compared),
            "unchanged": (("condition", "estimator"), unchanged),
            "top_overlap_chance": (
                "condition",
                [float(row[~np.isnan(row)].mean()) if (~np.isnan(row)).any() else np.nan for row in chance],
            ),
        },
        coords={
            "condition": np.array(conditions, dtype=object),
            "measure": np.array(MEASURES, dtype=object),
            "estimator": np.array(labels, dtype=object),
            "chain_id": ("chain", np.array(ids, dtype=object)),
        },
        attrs={"confidence": confidence},
    )
