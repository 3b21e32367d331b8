"""Saving into a file that holds a result already: what others added to it stays, also if two processes add at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from tokimp.errors import ResumeError, SchemaError
from tokimp.results.io import load, save
from tokimp.results.joined_attributes import SHARD
from tokimp.results.schema import ATTRIBUTES, DIAGNOSTIC_PREFIX, STATUS, VARIABLES
from tokimp.storage.folder_lock import locked

_ANALYSES = "analysis"
# What a cell cost differs each time it is computed; its numbers do not.
_COSTS = {"seconds", "tokens_forwarded", "full_seconds", "full_tokens_forwarded"}
_ABOUT_CHAINS = ("chain_id", "token_id", "unit", "estimator")
_SAME_ATTRIBUTES = ("model_fingerprint", "objective", "unit")
# Variables and attributes that tokimp itself writes, beside the reserved ones that every result has.
_OWN_VARIABLES = {"filler", "filler_kind", "estimator", STATUS}
_WAIT = 600.0


def add_analysis(analyzed: xr.DataTree, name: str, path: Path) -> xr.DataTree:
    """Put one analysis into the result that a file holds now, and return that result.

    The file is locked, read again and saved, so that analyses that others added in the meantime stay.

    Parameters
    ----------
    analyzed
        The result with the new analysis.
    name
        The node of the analysis, under ``/analysis``.
    path
        The file, or Zarr folder; if it is not there, the result is saved as it is.

    Raises
    ------
    ResumeError
        If the file holds other numbers than those analyzed, or another process is at work in its folder.
    """
    with locked(path.parent, wait=_WAIT):
        if not path.exists():
            save(analyzed, path)
            return analyzed
        stored = load(path)
        if not same_numbers(stored, analyzed):
            raise ResumeError(
                f"{path} holds other numbers than those that were analyzed; it was changed meanwhile, or is another "
                "run's: analyze it again, or write to another file (--out)"
            )
        for node_name, node in analyzed[_ANALYSES].children.items():
            # Beside the new node, one of an earlier version may have got another name.
            if node_name == name or f"/{_ANALYSES}/{node_name}" not in stored.groups:
                stored[f"{_ANALYSES}/{node_name}"] = node.copy()
        save(stored, path)
    return stored


def save_again(result: xr.DataTree, path: Path) -> list[str]:
    """Save a result in the place of an earlier one of the same run, with what was added to that one.

    Analyses stay if they are about the same numbers, and so do variables, attributes and nodes of the user's own, if
    they are about the same chains and estimators. Where `result` has a name itself, its own counts.

    Parameters
    ----------
    result
        The new result; what is kept is added to it.
    path
        The file, or Zarr folder, that may hold the earlier one. A damaged one is replaced.

    Returns
    -------
    list of str
        What was dropped, because it was about other numbers: ``/analysis/faithfulness``, ``variable 'mine'``.
    """
    with locked(path.parent, wait=_WAIT):
        dropped: list[str] = []
        if path.exists():
            try:
                dropped = list(_carry_over(load(path), result))
            except SchemaError:
                # A damaged file is the reason to make it again.
                dropped = [f"all of the earlier {path.name}, which is damaged"]
        save(result, path)
    return dropped


def same_numbers(one: xr.DataTree, other: xr.DataTree) -> bool:
    """Whether two results hold the same chains, model and numbers; what they cost does not count."""
    return all(one.attrs.get(name) == other.attrs.get(name) for name in _SAME_ATTRIBUTES) and _same(
        one, other, [name for name in (*VARIABLES, "estimator") if name not in _COSTS]
    )


def _same(one: xr.DataTree, other: xr.DataTree, names: list[str]) -> bool:
    pairs = [(one.to_dataset()[name].variable, other.to_dataset()[name].variable) for name in names]
    return all(bool(first.equals(second)) for first, second in pairs)  # type: ignore[no-untyped-call] # xarray's own


def _carry_over(replaced: xr.DataTree, result: xr.DataTree) -> Iterator[str]:
    """Add to a result what was added to the one it replaces, and yield what cannot be."""
    is_same = same_numbers(replaced, result)
    if _ANALYSES in replaced.children:
        for name, node in replaced[_ANALYSES].children.items():
            if f"/{_ANALYSES}/{name}" in result.groups:
                continue
            if is_same:
                result[f"{_ANALYSES}/{name}"] = node.copy()
            else:
                yield f"/{_ANALYSES}/{name}"
    about_same_chains = _same(replaced, result, list(_ABOUT_CHAINS))
    for name, node in replaced.children.items():
        if name == _ANALYSES or name in result.children:
            continue
        if about_same_chains:
            result[name] = node.copy()
        else:
            yield f"/{name}"
    yield from _carry_own(replaced, result, about_same_chains=about_same_chains)


def _carry_own(replaced: xr.DataTree, result: xr.DataTree, *, about_same_chains: bool) -> Iterator[str]:
    """Add a user's own variables and attributes of the root to a result, and yield what cannot be added."""
    for key, variable in replaced.to_dataset().variables.items():
        name = str(key)
        if name in {*VARIABLES, *_OWN_VARIABLES} or name.startswith(DIAGNOSTIC_PREFIX) or name in result.variables:
            continue
        if about_same_chains:
            result[name] = variable
        else:
            yield f"variable {name!r}"
    for attribute, value in replaced.attrs.items():
        # A run that was one shard of its chains may have grown to all of them.
        if attribute not in ATTRIBUTES and attribute != SHARD:
            result.attrs.setdefault(attribute, value)
