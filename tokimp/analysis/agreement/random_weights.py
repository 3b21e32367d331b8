"""Agreement of the same estimators on the same chains where the model has random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tokimp.analysis.agreement.beyond_place import PlaceSettings, place_chance
from tokimp.analysis.agreement.pairs import MEASURES, pair_agreements
from tokimp.analysis.statistics.intervals import DIFFERENCE_OF_CORRELATIONS, mean_variables
from tokimp.chains.arrays import FloatArray
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import chain_ids, iterate, select, unit_scores
from tokimp.results.io import load
from tokimp.results.ties import tie, tied_labels


def random_weights_variables(
    result: xr.DataTree,
    path: Path,
    settings: PlaceSettings,
    tie_threshold: float = 0.0,
    tie_estimators: Sequence[str] = (),
) -> dict[str, Any]:
    """Return agreement beyond place by a model with random weights, of each pair, as variables of a node.

    Parameters
    ----------
    result
        The result of the trained model.
    path
        The file of the other result.
    settings
        How agreement is computed.
    tie_threshold, tie_estimators
        How importances of the trained model were tied (`tokimp.results.ties.tie`). Those of the other model are tied
        alike, so that both agreements are of the same quantity.

    Raises
    ------
    AnalysisError
        If the results have no chain, or fewer than two estimators, in common; or if both are of the same weights.
    """
    other = load(path)
    labels = [str(label) for label in result["estimator"].to_numpy()]
    theirs = [str(label) for label in other["estimator"].to_numpy()]
    common = [label for label in labels if label in theirs]
    ids = [chain_id for chain_id in chain_ids(result) if chain_id in set(chain_ids(other))]
    if not ids or len(common) < 2:
        missing = "chain" if not ids else "two estimators"
        raise AnalysisError(f"random={path}: it has no {missing} in common with the result; run the same command on it")
    if other.attrs["model_fingerprint"] == result.attrs["model_fingerprint"]:
        raise AnalysisError(
            f"random={path}: its model has the same weights as the result's; make it with tokimp compare "
            "--random-weights all"
        )
    labels_tied = [label for label in tied_labels(result, tie_threshold, tie_estimators) if label in common]
    tree = tie(select(other, ids), tie_threshold if labels_tied else 0.0, labels_tied)
    rows = [theirs.index(label) for label in common]
    scores = [unit_scores(chain)[rows] for _, chain in iterate(tree)]
    settings = replace(settings, others=min(settings.others, len(ids)))
    beyond = _values(scores, settings) - place_chance(tree, scores, settings)
    all_pairs = np.full((len(MEASURES), len(labels), len(labels), len(ids)), np.nan)
    places = [labels.index(label) for label in common]
    all_pairs[np.ix_(range(len(MEASURES)), places, places)] = beyond
    dims = ("measure", "estimator", "other")
    return {
        **mean_variables(dims, all_pairs, settings.confidence, "random_weights_", DIFFERENCE_OF_CORRELATIONS),
        "random_weights_chains": (dims, (~np.isnan(all_pairs)).sum(-1), {"long_name": "chains that have a value"}),
    }


def _values(scores: list[FloatArray], settings: PlaceSettings) -> FloatArray:
    """Return the agreement of every two rows as it is, [measure, row, row, chain]."""
    n_rows = len(scores[0])
    values = np.full((len(MEASURES), n_rows, n_rows, len(scores)), np.nan)
    for index, rows in enumerate(scores):
        n_units = rows.shape[1]
        if n_units < settings.minimum_units:
            continue
        values[..., index] = pair_agreements(rows, settings.k_of(n_units), settings.rbo_p)
    return values
