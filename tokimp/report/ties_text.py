"""The words at a table's foot that say how many units tie."""

from __future__ import annotations

import xarray as xr
from rich.markup import escape


def ties_text(node: xr.Dataset) -> list[str]:
    """Return `ties_of` as a list of one text, with rich's markup escaped; empty where there is no threshold."""
    text = ties_of(node)
    return [escape(text)] if text else []


def ties_of(node: xr.Dataset) -> str:
    """Return what a node says of ties below a threshold; empty where there is no threshold.

    Parameters
    ----------
    node
        The node of an analysis with a tie threshold; it holds ``tied``, [estimator, chain], or
        [effect_estimator, chain].
    """
    threshold = float(node.attrs.get("tie_threshold", 0))
    if not threshold:
        return ""
    (dimension,) = (name for name in node["tied"].dims if name != "chain")
    labels = [str(label) for label in node[dimension].to_numpy()]
    shares = node["tied"].mean("chain").to_numpy().tolist()
    listed = ", ".join(f"{share:.0%} of {label}" for label, share in zip(labels, shares, strict=True))
    names = " and ".join(str(node.attrs["tie_estimators"]).split(", "))
    return f"units that matter less than {threshold:g} nats by {names} tie; tied units: {listed}"
