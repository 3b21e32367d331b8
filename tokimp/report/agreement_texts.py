"""The words that tables and figures of agreement share."""

from __future__ import annotations

import xarray as xr

MEASURES = {
    "spearman": "Spearman correlation",
    "kendall": "Kendall's tau-b",
    "top_k_overlap": "share of the top k in common",
    "rbo": "rank-biased overlap",
}
CORRELATIONS = ("spearman", "kendall")
WITH_POSITION = {False: "as it is", True: "position partialled out"}
"""What the coordinate ``partial`` means."""


def other_result_text(node: xr.Dataset) -> str:
    """Return the name of the other result, and the recorded differences from it.

    Parameters
    ----------
    node
        The node of an agreement between two results.
    """
    difference = str(node.attrs["difference"])
    if difference == "none":
        return f"{node.attrs['other']}, from which nothing that is recorded differs"
    return f"{node.attrs['other']}, which differs in {difference}"
