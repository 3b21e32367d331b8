"""Ties: importances below a threshold are made equal where a result is read, not where it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.constraints import Constraint, ListOf, Number, Text
from tokimp.errors import SchemaError
from tokimp.results.by_chain import chain_ids, iterate, token_slice, unit_scores
from tokimp.results.selection import estimator_label

TIES: Mapping[str, Constraint] = MappingProxyType(
    {"tie_threshold": Number(0), "tie_estimators": ListOf(Text("the label or name of an estimator"))}
)
"""Which values the parameters of ties may have, for `Analysis.constraints`."""


def tie(result: xr.DataTree, threshold: float, estimators: Sequence[str]) -> xr.DataTree:
    """Return a result in which units that matter less than a threshold tie.

    A likelihood that a deletion moves by a thousandth of a nat was not moved. So importances are cut to whole multiples
    of the threshold, towards 0: all units that matter less than it, in either direction, tie at 0, and so do units of
    which both matter once to twice as much, and so on. Whether two units tie depends on no other unit.

    ``importance`` and ``rank`` are changed, in a copy. Units that tie are ranked in random order, from a seed made of
    the chain's id and the estimator's label. (A stored result ranks ties from left to right, so the copy is to be read,
    not saved.)

    Parameters
    ----------
    result
        A result. It is not changed.
    threshold
        In the unit of the importances: nats for methods that measure what a likelihood loses. 0 changes nothing.
    estimators
        Labels or names of the estimators whose importances are in that unit. Others stay as they are.

    Raises
    ------
    SchemaError
        If there is a threshold and no estimator is named, or one that deleted in sequence, whose importances are steps.
    EstimatorError
        If there is no estimator of a name.
    """
    if not threshold:
        return result
    labels = [str(label) for label in result["estimator"].to_numpy()]
    rows = [labels.index(label) for label in tied_labels(result, threshold, estimators)]
    dataset = result.to_dataset()
    for row in rows:
        if not np.isnan(dataset["loglik_joint"].to_numpy()[row]).all():
            raise SchemaError(
                f"tie_threshold={threshold:g}: the importances of {labels[row]!r} are the steps at which it deleted, "
                "which no threshold in nats can tie"
            )
    importance, rank = (dataset[name].to_numpy().copy() for name in ("importance", "rank"))
    for row in rows:
        importance[row] = cut(importance[row], threshold)
    for index, chain_id in enumerate(chain_ids(result)):
        span = token_slice(result, index)
        units = dataset["unit"].to_numpy()[span]
        _, firsts = np.unique(units, return_index=True)
        for row in rows:
            scores = importance[row, span][firsts]
            if not np.isnan(scores).any():
                rank[row, span] = _places(scores, f"{chain_id}\n{labels[row]}")[units]
    changed = dataset.assign(
        importance=dataset["importance"].copy(data=importance), rank=dataset["rank"].copy(data=rank)
    )
    tree = xr.DataTree(changed)
    tree.attrs = result.attrs
    for name, node in result.children.items():
        tree[name] = node
    return tree


def tied_labels(result: xr.DataTree, threshold: float, estimators: Sequence[str]) -> list[str]:
    """Return the labels of the estimators whose numbers are cut; none where there is no threshold.

    Raises
    ------
    SchemaError
        If there is a threshold and no estimator is named.
    EstimatorError
        If there is no estimator of a name.
    """
    if not threshold:
        return []
    if not estimators:
        labels = ", ".join(str(label) for label in result["estimator"].to_numpy())
        raise SchemaError(
            f"tie_threshold={threshold:g}: name with tie_estimators the estimators whose importances are in nats; the "
            f"result has {labels}"
        )
    return [estimator_label(result, name) for name in estimators]


def cut(values: FloatArray, threshold: float) -> FloatArray:
    """Return values cut to whole multiples of a threshold, towards 0.

    >>> cut(np.array([0.9, -0.9, 2.5]), 1.0).tolist()
    [0.0, 0.0, 2.0]
    """
    # Adding 0 turns a negative zero into zero.
    multiples: FloatArray = np.trunc(values / threshold) * threshold + 0.0
    return multiples


def tie_variables(result: xr.DataTree) -> dict[str, Any]:
    """Return how many units tie, as a variable of a node over estimator and chain."""
    return {"tied": (("estimator", "chain"), tied_shares(result), {"long_name": "share of units that tie"})}


def tie_attributes(threshold: float, estimators: Sequence[str]) -> dict[str, Any]:
    """Return the threshold below which units tie, and whose units do, as attributes of a node."""
    return {"tie_threshold": threshold, "tie_estimators": ", ".join(estimators)}


def tied_shares(result: xr.DataTree) -> FloatArray:
    """Return the share of units that tie with another, [estimator, chain]; NaN where a score is missing."""
    shares = [[tied_share(row) for row in unit_scores(chain)] for _, chain in iterate(result)]
    return np.array(shares, dtype=np.float64).reshape(-1, result.sizes["estimator"]).T


def tied_share(scores: FloatArray) -> float:
    """Return the share of units whose score another unit has too; NaN where a score is missing, or there is none."""
    if not len(scores) or np.isnan(scores).any():
        return np.nan
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    return float((size[group] > 1).mean())


def _places(scores: FloatArray, seed: str) -> IntArray:
    """Return the rank of each unit, [unit], the least important first, and units that tie in random order."""
    digest = hashlib.sha256(seed.encode()).digest()
    shuffled = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(len(scores))
    places = np.empty(len(scores), dtype=np.int64)
    places[shuffled[np.argsort(scores[shuffled], kind="stable")]] = np.arange(len(scores))
    return places
