"""The format of the node ``/effects`` of a result (``docs/schema.md``), and the rules that a valid one follows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from tokimp.chains.arrays import IntArray

NODE = "effects"

_VARIABLES = {
    "pair_count": (("chain",), "int64"),
    "source": (("pair",), "int32"),
    "target": (("pair",), "int32"),
    "effect": (("effect_estimator", "pair"), "float32"),
    "unit_count": (("chain",), "int64"),
    "effect_on_answer": (("effect_estimator", "chain_unit"), "float32"),
}


def effects_problems(result: xr.DataTree) -> Iterator[str]:
    """Yield what is wrong with the node of effects of a result whose root is valid; nothing if it has no such node."""
    if NODE not in result.children:
        return
    node = result[NODE].to_dataset()
    if problems := list(_shape_problems(node)):
        yield from problems
        return
    unknown = sorted(set(effect_labels(result)) - set(result["estimator"].to_numpy().tolist()))
    if unknown:
        yield f"/effects: {unknown[0]!r} is no estimator of the result"
    counts = np.array(unit_counts(result), dtype=np.int64)
    if not np.array_equal(node["unit_count"], counts):
        yield "/effects: 'unit_count' is not the number of each chain's units"
    if not np.array_equal(node["pair_count"], counts * (counts - 1) // 2):
        yield "/effects: 'pair_count' is not the number of each chain's pairs"
    sources, targets = pair_units(counts)
    if not (np.array_equal(node["source"], sources) and np.array_equal(node["target"], targets)):
        yield "/effects: 'source' and 'target' are not all pairs of a unit and a later one, chain by chain"
    if node["effect_on_answer"].shape[1] != counts.sum():
        yield "/effects: 'effect_on_answer' has not one entry for each unit"
    if np.isinf(node["effect"].to_numpy()).any():
        yield "/effects: 'effect' holds infinite numbers"


def effect_labels(result: xr.DataTree) -> list[str]:
    """Return the labels of the estimators of which a result has effects."""
    if NODE not in result.children:
        return []
    labels: list[str] = result[NODE]["effect_estimator"].to_numpy().tolist()
    return labels


def unit_counts(result: xr.DataTree) -> list[int]:
    """Return how many units each chain of a result has, [chain]."""
    ends = np.cumsum(result["reasoning_length"].to_numpy())
    units = result["unit"].to_numpy()
    return [int(part.max()) + 1 for part in np.split(units, ends[:-1])]


def pair_units(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return the units of all pairs, [pair] each, chain by chain."""
    places = [np.triu_indices(int(count), k=1) for count in counts]
    sources, targets = (np.concatenate([place[side] for place in places]).astype(np.int32) for side in (0, 1))
    return sources, targets


def _shape_problems(node: xr.Dataset) -> Iterator[str]:
    if "effect_estimator" not in node.coords:
        yield "/effects: coordinate 'effect_estimator' is missing"
    for name, (dims, dtype) in _VARIABLES.items():
        if name not in node:
            yield f"/effects: variable {name!r} is missing"
        elif node[name].dims != dims or node[name].dtype != dtype:
            yield f"/effects: variable {name!r} is {node[name].dtype} {node[name].dims}, not {dtype} {dims}"
