"""The words at a table's foot that say how many units tie."""

from __future__ import annotations

import xarray as xr
from rich.markup import escape


def ties_text(node: xr.Dataset) -> list[str]:
    """Return what a node says of ties below a threshold, as a list of one text; empty where there is no threshold.

    Parameters
    ----------
    node
        The node of an analysis with a tie threshold; it holds ``tied``, [estimator, chain].
    """
    threshold = float(node.attrs.get("tie_threshold", 0))
    if not threshold:
        return []
    labels = [str(label) for label in node["tied"]["estimator"].to_numpy()]
    shares = node["tied"].mean("chain").to_numpy().tolist()
    listed = ", ".join(f"{share:.0%} of {escape(label)}" for label, share in zip(labels, shares, strict=True))
    names = " and ".join(escape(name) for name in str(node.attrs["tie_estimators"]).split(", "))
    return [f"units that matter less than {threshold:g} nats by {names} tie; tied units: {listed}"]
