"""What estimators agree on beyond place, and beyond the units' own surprisal; and what random orders agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from tokimp.analysis.agreement.other_chains import Features, OtherChains, products, ranked_by_both
from tokimp.analysis.agreement.pairs import MEASURES
from tokimp.analysis.deletion_orders import uniform_orders
from tokimp.analysis.statistics.intervals import DIFFERENCE_OF_CORRELATIONS, mean_p_values, mean_variables
from tokimp.analysis.statistics.multiplicity import holm, smallest_found
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks
from tokimp.analysis.statistics.ranking_features import centred, ranking_features
from tokimp.chains.arrays import FloatArray
from tokimp.chains.questions import question_numbers
from tokimp.results.by_chain import chain_ids, iterate

_NOISE_DRAWS = 10  # pairs of random orders of each chain
_UNITS_A_DEGREE = 8  # units for each degree of the regression on surprisal
_DECIMALS = 9  # of residuals, whose rounding errors are no ranking
_UNITS_KEPT = 128  # of chains with more units, features of other chains are not kept: they grow with the square


@dataclass(frozen=True, slots=True)
class PlaceSettings:
    """How agreement beyond place is computed.

    Attributes
    ----------
    top_k, rbo_p, minimum_units
        As of `tokimp.analysis.agreement.agreement.Agreement`.
    others
        The most other chains that each chain is compared with.
    confidence
        Confidence of the intervals, between 0 and 1.
    seed
        Seed of random orders.
    """

    top_k: float
    rbo_p: float
    minimum_units: int
    others: int
    confidence: float
    seed: int

    def k_of(self, n_units: int) -> int:
        """Return how many units of a chain are its top."""
        return self.top_k if isinstance(self.top_k, int) else max(1, int(n_units * self.top_k))


def beyond_place_variables(
    result: xr.DataTree, scores: Sequence[FloatArray], value: FloatArray, settings: PlaceSettings
) -> dict[str, Any]:
    """Return the variables of a node that say what is left of agreement beyond place and surprisal.

    Parameters
    ----------
    result
        The result.
    scores
        The scores of each chain, [estimator, unit].
    value
        Agreement as it is, [measure, estimator, other, chain].
    settings
        How it is computed.
    """
    chance = place_chance(result, scores, settings)
    dims = ("measure", "estimator", "other")
    beyond = value - chance
    p_values = mean_p_values(beyond)
    without = without_surprisal(result, scores, settings)
    noise = noise_floor(result, settings)
    confidence = settings.confidence
    return {
        "place_chance": ((*dims, "chain"), chance, {"long_name": "agreement with scores of other chains, same places"}),
        "place_chance_mean": (dims, _mean_of_known(chance), {"long_name": "mean of place_chance over chains"}),
        "beyond_place": ((*dims, "chain"), beyond, {"long_name": "value minus place_chance"}),
        **mean_variables(dims, beyond, confidence, "beyond_place_", DIFFERENCE_OF_CORRELATIONS),
        "beyond_place_chains": (dims, (~np.isnan(beyond)).sum(-1), {"long_name": "chains that have a value"}),
        "p_value": (dims, p_values, {"long_name": "two-sided, of no agreement beyond place"}),
        "p_corrected": (dims, _corrected(p_values), {"long_name": "p_value, Holm over the pairs of a measure"}),
        "smallest_found": (
            dims,
            np.apply_along_axis(smallest_found, -1, beyond),
            {"long_name": "agreement beyond place that as many chains show with probability 0.8, uncorrected"},
        ),
        "noise": ("measure", noise, {"long_name": "how far from chance the mean of random orders stays"}),
        "without_surprisal": (
            (*dims[1:], "chain"),
            without,
            {"long_name": "Spearman beyond place, the units' own surprisal taken out"},
        ),
        **mean_variables(dims[1:], without, confidence, "without_surprisal_", DIFFERENCE_OF_CORRELATIONS),
    }


def place_chance(result: xr.DataTree, scores: Sequence[FloatArray], settings: PlaceSettings) -> FloatArray:
    """Return the agreement that place alone makes, [measure, estimator, other, chain]; NaN without other questions.

    It is the mean agreement of one estimator's scores of a chain with the other's scores of other chains at the same
    relative places, and the other way round (`tokimp.analysis.agreement.other_chains.OtherChains`).
    """

    def features_for(n_units: int) -> Callable[[FloatArray], Features]:
        k = settings.k_of(n_units)
        return lambda row: ranking_features(row, k, settings.rbo_p)

    return _by_place(result, scores, features_for, len(MEASURES), settings)


def without_surprisal(result: xr.DataTree, scores: Sequence[FloatArray], settings: PlaceSettings) -> FloatArray:
    """Return Spearman's agreement beyond place with the units' own surprisal taken out, [estimator, other, chain].

    What a unit costs by itself, minus log P(unit | what precedes it), is part of many importances: two methods agree
    because both hold it. So the ranks of importances are regressed on those of surprisals within each chain, and the
    residuals are correlated: a partial Spearman correlation given surprisal. Chains of 24 units or more have a cubic
    regression, since a line leaves much of what both hold; shorter ones have no room for it. Their chance by place, of
    residuals of other chains, is subtracted.
    """
    residuals = [
        np.stack([_surprisal_residuals(row, surprisal) for row in rows])
        for rows, surprisal in zip(scores, unit_surprisals(result), strict=True)
    ]
    chance = _by_place(result, residuals, lambda _: _centred_or_none, 1, settings)[0]
    found = np.full(chance.shape, np.nan)
    for index, rows in enumerate(residuals):
        if rows.shape[1] < settings.minimum_units:
            continue
        vectors = [None if np.isnan(row).any() else _centred_or_none(row) for row in rows]
        found[..., index] = products(vectors, vectors, 1)[0]
    beyond: FloatArray = found - chance
    return beyond


def unit_surprisals(result: xr.DataTree) -> list[FloatArray]:
    """Return the surprisal of each unit of each chain, nats, [chain][unit]: minus the sum of its log-probabilities."""
    return [
        np.bincount(chain["unit"].to_numpy(), weights=-chain["logprob"].to_numpy().astype(np.float64)).astype(
            np.float64
        )
        for _, chain in iterate(result)
    ]


def noise_floor(result: xr.DataTree, settings: PlaceSettings) -> FloatArray:
    """Return how far from chance the mean agreement of two random orders stays, [measure].

    Each chain has several pairs of random orders, which the estimator ``uniform`` would give under two seeds. Their
    agreement varies on each chain, and its mean over chains varies less: with the confidence asked for, by this much.
    """
    variances, counts = np.zeros((2, len(MEASURES)))
    for chain_id, chain in iterate(result):
        n_units = int(chain["unit"].max()) + 1
        k = settings.k_of(n_units)
        if n_units < settings.minimum_units:
            continue
        orders = uniform_orders(chain_id, n_units, 2 * _NOISE_DRAWS, settings.seed)
        features = [ranking_features(order.units.astype(np.float64), k, settings.rbo_p) for order in orders]
        drawn = [
            [float(a @ b) for a, b in zip(one, other, strict=True)]
            for one, other in zip(features[::2], features[1::2], strict=True)
            if one is not None and other is not None
        ]
        # All units of a chain always agree, which says nothing of the overlap of the top.
        is_known = np.array([measure != "top_k_overlap" or k < n_units for measure in MEASURES])
        variances += np.where(is_known, np.var(drawn, axis=0, ddof=1), 0.0)
        counts += is_known
    quantile = float(stats.norm.ppf(0.5 + settings.confidence / 2))
    noise: FloatArray = np.where(counts > 0, quantile * np.sqrt(variances) / np.maximum(counts, 1), np.nan)
    return noise


def _by_place(
    result: xr.DataTree,
    scores: Sequence[FloatArray],
    features_for: Callable[[int], Callable[[FloatArray], Features]],
    n_measures: int,
    settings: PlaceSettings,
) -> FloatArray:
    """Return the agreement of scores with those of other chains at the same places, [measure, row, row, chain]."""
    texts = [str(text) for text in result["question"].to_numpy()]
    questions = question_numbers(texts, chain_ids(result))
    n_rows = len(scores[0])
    chance = np.full((n_measures, n_rows, n_rows, len(scores)), np.nan)
    sets = [
        (pairs, OtherChains(scores, questions.tolist(), settings.others, settings.minimum_units, among=chains), chains)
        for chains, pairs in ranked_by_both(scores)
    ]
    for chain, rows in enumerate(scores):
        if rows.shape[1] < settings.minimum_units:
            continue
        features = features_for(rows.shape[1])
        own = [None if np.isnan(row).any() else features(row) for row in rows]
        of_chain = [(pairs, others) for pairs, others, chains in sets if chain in chains]
        # What one set of chains makes of others is of use to another one only.
        known: dict[tuple[int, int], Features] | None = None
        if len(of_chain) > 1 and rows.shape[1] <= _UNITS_KEPT:
            known = {}
        for pairs, others in of_chain:
            means = [
                None if vectors is None or not of_row.any() else others.mean_features(chain, row, features, known)
                for row, (vectors, of_row) in enumerate(zip(own, pairs, strict=True))
            ]
            chance[:, pairs, chain] = products(own, means, n_measures)[:, pairs]
    return chance


def _surprisal_residuals(scores: FloatArray, surprisal: FloatArray) -> FloatArray:
    """Return what is left of the ranks of scores after a regression on the ranks of surprisals, [unit]."""
    if np.isnan(scores).any():
        return scores
    n_units = len(scores)
    cost = 2 * (mean_ranks(surprisal) - 1) / max(1, n_units - 1) - 1
    degree = min(3, max(1, n_units // _UNITS_A_DEGREE))
    design = np.polynomial.legendre.legvander(cost, degree)
    ranks = mean_ranks(scores)
    fitted = design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    residuals: FloatArray = np.round(ranks - fitted, _DECIMALS) + 0.0
    return residuals


def _centred_or_none(values: FloatArray) -> Features:
    return None if is_constant(values) else [centred(values)]


def _corrected(p_values: FloatArray) -> FloatArray:
    """Return p-values, [measure, estimator, other], corrected for all pairs of a measure; NaN on the diagonal."""
    corrected = np.full(p_values.shape, np.nan)
    pairs = list(combinations(range(p_values.shape[1]), 2))
    for of_measure, row in zip(p_values, corrected, strict=True):
        for (one, other), value in zip(pairs, holm([float(of_measure[pair]) for pair in pairs]), strict=True):
            row[one, other] = row[other, one] = value
    return corrected


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Return the mean along the last dimension, NaN left out; NaN where there is nothing else."""
    count = (~np.isnan(values)).sum(-1)
    means: FloatArray = np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)
    return means
