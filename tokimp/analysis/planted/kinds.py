"""How well each kind of planted text is ranked below the rest, and whether that depends on where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.metrics import roc_auc_score

from tokimp.analysis.planted.levels import group_means, majority, sentences
from tokimp.analysis.statistics.average_precision import average_precision, chance_average_precision
from tokimp.analysis.statistics.intervals import SHARE, mean_variables
from tokimp.analysis.statistics.rank_measures import mean_ranks
from tokimp.chains.arrays import FloatArray
from tokimp.results.by_chain import iterate, unit_scores

UNNAMED = "filler"
"""The kind of filler whose chain does not say of what kind it is."""


def kind_variables(result: xr.DataTree, n_bands: int, confidence: float) -> dict[str, Any]:
    """Return what the node ``planted`` says of each kind of planted text.

    The units of one kind are compared with those that are no planted text at all; units of other kinds are left out. So
    are chains that hold nothing of the kind. A chain's text of a kind stands in the band of the chain in which the
    middle of its units lies, and ``kind_band_mean`` are means over the chains where it stands in that band.

    Parameters
    ----------
    result
        A result whose chains have filler.
    n_bands
        How many stretches of equal numbers of units a chain is divided into.
    confidence
        Confidence of the intervals of means over chains.
    """
    chains = [chain for _, chain in iterate(result)]
    kinds = [_token_kinds(chain) for chain in chains]
    names = sorted({str(kind) for of_chain in kinds for kind in of_chain if kind})
    shape = (2, 2, len(names), result.sizes["estimator"], len(chains))
    values, chance = np.full(shape, np.nan), np.full((2, 2, len(names), len(chains)), np.nan)
    bands = np.full((len(names), len(chains)), -1, dtype=np.int64)
    for index, (chain, of_tokens) in enumerate(zip(chains, kinds, strict=True)):
        units = chain["unit"].to_numpy()
        useless = majority(chain["filler"].to_numpy(), units)
        if np.isnan(useless).any():
            continue
        in_sentence = sentences(chain)
        scores = unit_scores(chain)
        for place, name in enumerate(names):
            planted = majority((of_tokens == name).astype(float), units)
            if not planted.any():
                continue
            bands[place, index] = int(np.median(np.flatnonzero(planted)) * n_bands // len(planted))
            for row, of_estimator in enumerate(scores):
                if np.isnan(of_estimator).any():
                    continue
                ranks = mean_ranks(of_estimator)
                values[:, 0, place, row, index], chance[:, 0, place, index] = _measures(ranks, planted, useless)
                values[:, 1, place, row, index], chance[:, 1, place, index] = _measures(
                    group_means(ranks, in_sentence), majority(planted, in_sentence), majority(useless, in_sentence)
                )
    by_band = np.stack(
        [np.where(bands[None, None, :, None] == band, values, np.nan) for band in range(n_bands)], axis=3
    )
    dims = ("measure", "level", "kind", "estimator")
    return {
        "kind": ("kind", np.array(names, dtype=object)),
        "kind_value": ((*dims, "chain"), values, {"long_name": "measure of a chain, for text of one kind"}),
        **mean_variables(dims, values, confidence, "kind_", bounds=SHARE),
        "kind_chance": (
            (*dims[:3], "chain"),
            chance,
            {"long_name": "expectation of the measure for a random order"},
        ),
        "kind_chains_used": (dims, (~np.isnan(values)).sum(-1), {"long_name": "chains that have a value"}),
        "kind_band": (("kind", "chain"), bands, {"long_name": "band that the text of a kind stands in; -1: none"}),
        **mean_variables(
            ("measure", "level", "kind", "band", "estimator"), by_band, confidence, "kind_band_", bounds=SHARE
        ),
        "kind_band_chains": (("kind", "band"), np.stack([(bands == band).sum(-1) for band in range(n_bands)], axis=1)),
    }


def _token_kinds(chain: xr.Dataset) -> npt.NDArray[Any]:
    """Return the kind of each token of a chain, [token]; empty where it is not planted, or nothing is known of it."""
    marked = chain["filler"].to_numpy() == 1
    named = chain["filler_kind"].to_numpy() if "filler_kind" in chain else np.full(len(marked), "", dtype=object)
    return np.where(marked & (named == ""), UNNAMED, np.where(marked, named, ""))


def _measures(ranks: FloatArray, planted: FloatArray, useless: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return AUROC and average precision of planted units against those that are no planted text, and their chances."""
    compared = (planted == 1) | (useless == 0)
    marks, order = planted[compared], -ranks[compared]
    n_planted = int(marks.sum())
    if not 0 < n_planted < len(marks):
        return np.full(2, np.nan), np.full(2, np.nan)
    measures = np.array([roc_auc_score(marks, order), average_precision(order, marks)])
    return measures, np.array([0.5, chance_average_precision(len(marks), n_planted)])
