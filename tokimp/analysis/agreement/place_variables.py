"""Variables of a node that say what is left of correlations beyond place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from tokimp.analysis.agreement.other_chains import Features, OtherChains
from tokimp.analysis.statistics.intervals import DIFFERENCE_OF_CORRELATIONS, mean_p_values, mean_variables
from tokimp.analysis.statistics.multiplicity import holm
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks
from tokimp.analysis.statistics.ranking_features import centred
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.questions import question_numbers
from tokimp.results.by_chain import chain_ids


def place_variables(
    dims: tuple[str, ...], value: FloatArray, chance: FloatArray, compared: FloatArray, confidence: float
) -> dict[str, Any]:
    """Return chance by place, what is left beyond it, its interval and p-values, as variables of a node.

    Parameters
    ----------
    dims
        Names of the dimensions before the last one, the chains.
    value, chance
        The correlation as it is, and by place alone, [..., chain].
    compared
        Which entries of [...] are comparisons of their own, for the correction. Of pairs, [..., estimator, other], only
        those above the diagonal are; those below it repeat them, and have the same p-value.
    confidence
        Confidence of the intervals, between 0 and 1.
    """
    beyond = value - chance
    p_values = mean_p_values(beyond)
    corrected = np.full(p_values.shape, np.nan)
    corrected[compared.astype(bool)] = holm(p_values[compared.astype(bool)])
    if dims[-2:] == ("estimator", "other"):
        mirrored = corrected.swapaxes(-1, -2)
        corrected = np.where(np.isnan(corrected), mirrored, corrected)
    return {
        "place_chance": ((*dims, "chain"), chance, {"long_name": "correlation with other chains, same places"}),
        "beyond_place": ((*dims, "chain"), beyond, {"long_name": "value minus place_chance"}),
        **mean_variables(dims, beyond, confidence, "beyond_place_", DIFFERENCE_OF_CORRELATIONS),
        "beyond_place_chains": (dims, (~np.isnan(beyond)).sum(-1), {"long_name": "chains that have a value"}),
        "p_value": (dims, p_values, {"long_name": "two-sided, of no correlation beyond place"}),
        "p_corrected": (dims, corrected, {"long_name": "p_value, Holm over all comparisons of the node"}),
    }


def other_chains(
    result: xr.DataTree,
    scores: Sequence[FloatArray] | Mapping[int, FloatArray],
    others: int,
    minimum_units: int,
    chains: IntArray,
) -> OtherChains:
    """Return the scores of other chains of a result at the same places.

    Parameters
    ----------
    result
        The result, whose questions say which chains are others.
    scores
        Those of a chain, [row, unit], by its index in the result.
    others
        The most other chains of each chain.
    minimum_units
        Chains with fewer units do not count.
    chains
        The indices of the chains that are there, numbered in this order.
    """
    texts = [str(text) for text in result["question"].to_numpy()]
    questions = question_numbers(texts, chain_ids(result)).tolist()
    kept: list[int] = chains.tolist()
    return OtherChains([scores[chain] for chain in kept], [questions[chain] for chain in kept], others, minimum_units)


def rank_features(scores: FloatArray, units: IntArray | slice) -> Features:
    """Return the centred ranks of some units' scores, products of which are Spearman's correlation."""
    part = scores[units]
    return None if not len(part) or np.isnan(part).any() or is_constant(part) else [centred(mean_ranks(part))]
