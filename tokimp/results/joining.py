"""Putting results together: other chains, other estimators of the same chains, or both, become one result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.chains.arrays import IntArray
from tokimp.errors import SchemaError
from tokimp.results.by_chain import chain_ids
from tokimp.results.effects_node import add_effects, join_effects
from tokimp.results.joined_attributes import by_shard, check_same_run, joined_attributes
from tokimp.results.provenance import logprob_tolerance
from tokimp.results.schema import validate

_COSTS = {"seconds", "tokens_forwarded", "full_seconds", "full_tokens_forwarded"}
# What stands where nothing is known, for whole numbers. Numbers that are not whole have NaN, texts the empty text.
_MISSING: dict[str, int] = {"rank": -1, "tokens_forwarded": -1}
_CELL_NUMBERS = ("importance", "rank", "loglik_joint", "loglik_answer", "loglik_reasoning")


def concat(results: Sequence[xr.DataTree]) -> xr.DataTree:
    """Return one result with the chains and estimators of several.

    Chains and estimators stand in the order in which they first occur; shards of one run (``compare --shard I/N``)
    stand in the order of their numbers. Where no result has an estimator's cell of a chain, importance is NaN, and rank
    and ``tokens_forwarded`` are -1. Two results may both have a cell if its numbers are the same.

    Analyses are left out, because they are about all chains and estimators of a result.

    Parameters
    ----------
    results
        The results; at least one. They are not changed.

    Raises
    ------
    SchemaError
        If the results differ in what their numbers depend on: model, precision, objective, prompt format, unit, seed
        or a version; if an estimator has other parameters, or a chain other texts, tokens or log-probabilities; or if
        two have one cell with different numbers. The message names the difference.

    Examples
    --------
    >>> from tokimp.testing.toy_result import toy_result
    >>> joined = concat([toy_result({"a": [[1, 2]]}), toy_result({"b": [[2, 1]]})])
    >>> joined["rank"].values.tolist()
    [[0, 1], [1, 0]]
    """
    if isinstance(results, xr.DataTree) or not results:
        raise SchemaError("there is nothing to join; give a list of results, such as [tokimp.load(...), ...]")
    ordered = by_shard(results)
    check_same_run([result.attrs for result in ordered])
    joined = _Joined(ordered)
    dataset = joined.dataset()
    dataset.attrs = joined_attributes([result.attrs for result in ordered])
    tree = xr.DataTree(dataset)
    add_effects(tree, join_effects(ordered))
    validate(tree)
    return tree


class _Part:
    """A result, and where its chains and estimators stand among those of the joined one."""

    def __init__(self, dataset: xr.Dataset, chains: IntArray, estimators: IntArray) -> None:
        self.chains, self.estimators = chains, estimators
        self.dtype = str(dataset.attrs["dtype"])
        # Looked up once: xarray takes its time for each look.
        self.variables = {str(name): variable.variable for name, variable in dataset.data_vars.items()}
        self.values = {name: variable.to_numpy() for name, variable in self.variables.items()}
        self.lengths = self.values["reasoning_length"]
        self.ends = np.cumsum(self.lengths)

    def tokens(self, chain: int) -> slice:
        """Return where the tokens of a chain lie, by its index in this part."""
        return slice(int(self.ends[chain] - self.lengths[chain]), int(self.ends[chain]))

    @property
    def has_cell(self) -> npt.NDArray[np.bool_]:
        """Whether each estimator says something about each chain, [estimator, chain]."""
        firsts = self.ends - self.lengths
        has: npt.NDArray[np.bool_] = self.values["rank"][:, firsts] >= 0
        return has


class _Joined:
    """The chains and estimators of several results, and which result each chain and each cell is taken from."""

    def __init__(self, results: Sequence[xr.DataTree]) -> None:
        ids = [chain_ids(result) for result in results]
        labels = [result["estimator"].to_numpy().tolist() for result in results]
        self._ids, self._labels = _union(ids), _union(labels)
        chain_at = {chain_id: index for index, chain_id in enumerate(self._ids)}
        row_at = {label: index for index, label in enumerate(self._labels)}
        self._parts = [
            _Part(
                result.to_dataset(),
                np.array([chain_at[chain_id] for chain_id in of_ids]),
                np.array([row_at[label] for label in of_labels]),
            )
            for result, of_ids, of_labels in zip(results, ids, labels, strict=True)
        ]
        self._owners = np.full(len(self._ids), -1)
        self._lengths = np.zeros(len(self._ids), dtype=np.int64)
        self._cell_owners = np.full((len(self._labels), len(self._ids)), -1)
        self._own_chains()
        self._ends = np.cumsum(self._lengths)
        self._own_cells()

    def dataset(self) -> xr.Dataset:
        """Return the joined dataset, without attributes."""
        names = _union([list(part.variables) for part in self._parts])
        variables = {name: self._variable(name) for name in names}
        variables["chain_index"] = xr.Variable(
            ("token",), np.repeat(np.arange(len(self._ids)), self._lengths), variables["chain_index"].attrs
        )
        labels = np.empty(len(self._labels), dtype=object)
        labels[:] = self._labels
        return xr.Dataset(variables, coords={"estimator": ("estimator", labels)})

    def _own_chains(self) -> None:
        for number, part in enumerate(self._parts):
            for own, chain in enumerate(part.chains):
                if self._owners[chain] < 0:
                    self._owners[chain] = number
                    self._lengths[chain] = part.lengths[own]
            shared = np.flatnonzero(self._owners[part.chains] != number)
            for own in shared.tolist():
                self._check_same_chain(self._parts[self._owners[part.chains[own]]], part, own)

    def _own_cells(self) -> None:
        # A result that says something about a chain goes before one in which the estimator says nothing.
        for must_have in (True, False):
            for number, part in enumerate(self._parts):
                place = np.ix_(part.estimators, part.chains)
                counts = part.has_cell if must_have else ~part.has_cell
                owners = self._cell_owners[place]
                if must_have:
                    for row, own in np.argwhere(counts & (owners >= 0)):
                        self._check_same_cell(self._parts[owners[row, own]], part, int(row), int(own))
                self._cell_owners[place] = np.where(counts & (owners < 0), number, owners)

    def _check_same_chain(self, first: _Part, part: _Part, own: int) -> None:
        chain_id = self._ids[part.chains[own]]
        (other,) = np.flatnonzero(first.chains == part.chains[own])
        for name, variable in part.variables.items():
            dims = variable.dims
            if name in _COSTS | {"chain_index"} or name not in first.values or dims not in {("chain",), ("token",)}:
                continue
            one, two = (
                each.values[name][at : at + 1] if dims == ("chain",) else each.values[name][each.tokens(at)]
                for each, at in ((first, int(other)), (part, own))
            )
            if not _agree(name, one, two, part.dtype):
                raise SchemaError(
                    f"chain {chain_id!r} differs in {name!r} between the results ({_shown(one)} and {_shown(two)}), so "
                    "they cannot be joined; give chains that differ other ids"
                )

    def _check_same_cell(self, first: _Part, part: _Part, row: int, own: int) -> None:
        (other,) = np.flatnonzero(first.chains == part.chains[own])
        (other_row,) = np.flatnonzero(first.estimators == part.estimators[row])
        one, two = first.tokens(int(other)), part.tokens(own)
        for name in _CELL_NUMBERS:
            numbers = first.values[name][int(other_row), one], part.values[name][row, two]
            if not np.array_equal(*numbers, equal_nan=True):
                raise SchemaError(
                    f"two results have {self._labels[part.estimators[row]]!r} on chain "
                    f"{self._ids[part.chains[own]]!r}, with different numbers ({name!r}), so they cannot be joined; "
                    "leave it out of one"
                )

    def _variable(self, name: str) -> xr.Variable:
        parts = [part for part in self._parts if name in part.variables]
        example = parts[0].variables[name]
        dims = example.dims
        sizes = {"chain": len(self._ids), "token": int(self._lengths.sum()), "estimator": len(self._labels)}
        if not {"chain", "token", "estimator"} & set(dims):
            return example
        shape = [sizes.get(str(dimension), example.sizes[dimension]) for dimension in dims]
        values = np.full(shape, _missing(name, example, all_have_it=len(parts) == len(self._parts)), example.dtype)
        for part in parts:
            source = part.variables[name]
            if source.dims != dims or source.dtype != example.dtype:
                raise SchemaError(
                    f"variable {name!r} has other dimensions or another type in one of the results "
                    f"({dims}, {example.dtype} and {source.dims}, {source.dtype}), so they cannot be joined"
                )
            self._fill(values, source, part)
        return xr.Variable(dims, values, example.attrs)

    def _fill(self, values: npt.NDArray[Any], source: xr.Variable, part: _Part) -> None:
        """Copy what is taken from a part into its place in a joined variable."""
        number = self._parts.index(part)
        along = next((name for name in ("token", "chain") if name in source.dims), None)
        # The estimator's dimension first, then that of chains or tokens, as views of the same numbers.
        first = [source.dims.index(name) for name in ("estimator", along) if name in source.dims]
        to, of = (np.moveaxis(array, first, range(len(first))) for array in (values, source.to_numpy()))
        if along is None:
            to[part.estimators] = of
        elif "estimator" not in source.dims:
            own = np.flatnonzero(self._owners[part.chains] == number)
            to[self._places(part.chains[own], along)] = of[_places(part, own, along)]
        else:
            for row, estimator in enumerate(part.estimators):
                own = np.flatnonzero(self._cell_owners[estimator, part.chains] == number)
                to[estimator, self._places(part.chains[own], along)] = of[row, _places(part, own, along)]

    def _places(self, chains: IntArray, along: str) -> IntArray:
        return chains if along == "chain" else _spans(self._ends[chains], self._lengths[chains])


def _agree(name: str, one: npt.NDArray[Any], two: npt.NDArray[Any], dtype: str) -> bool:
    if one.shape != two.shape or one.dtype.kind != "f":
        return np.array_equal(one, two)
    # Rounding differs between devices. What a chain's sums are of is compared token by token.
    return name != "logprob" or bool(np.abs(one.astype(np.float64) - two).mean() <= logprob_tolerance(dtype))


def _places(part: _Part, chains: IntArray, along: str) -> IntArray:
    """Return where chains, by their indices in a part, or their tokens lie in it."""
    return chains if along == "chain" else _spans(part.ends[chains], part.lengths[chains])


def _spans(ends: IntArray, lengths: IntArray) -> IntArray:
    """Return the whole numbers of several spans, one after the other, from where each ends and how long it is."""
    shifts = ends - np.cumsum(lengths)
    spans: IntArray = np.arange(lengths.sum()) + np.repeat(shifts, lengths)
    return spans


def _missing(name: str, example: xr.Variable, *, all_have_it: bool) -> Any:
    kind = example.dtype.kind
    if kind == "f":
        return np.nan
    if kind == "O":
        return ""
    if name in _MISSING or (all_have_it and "estimator" not in example.dims):
        return _MISSING.get(name, 0)
    raise SchemaError(f"variable {name!r} is not in every result, and its {example.dtype} has no 'missing'")


def _union(lists: Sequence[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(entry for entries in lists for entry in entries))


def _shown(values: npt.NDArray[Any]) -> str:
    listed = values.tolist()
    text = repr(listed[0] if len(listed) == 1 else listed)
    return text if len(text) <= 60 else f"{text[:57]}..."
