"""The references of the answer recovery: their names, and which of them give the same numbers."""

from __future__ import annotations

import xarray as xr

REFERENCES = {"chain": "the chain's answer", "unpruned": "the model's answer unpruned", "gold": "the right answer"}


def coinciding_references(node: xr.Dataset) -> list[list[str]]:
    """Return the references that any chain has, in groups of those that give the same numbers on all chains."""
    shares = node[["recovered", "uniform_recovered"]]
    groups: list[list[str]] = []
    for name in map(str, node["reference"].to_numpy()):
        if not int(node["chains_used"].sel(reference=name).max()):
            continue
        own = shares.sel(reference=name, drop=True)
        for group in groups:
            if own.equals(shares.sel(reference=group[0], drop=True)):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups
