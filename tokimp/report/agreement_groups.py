"""Agreement in groups of tokens or chains, and between two results, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.report.curves import analysis_node
from tokimp.report.tables import followers_of_position, followers_text
from tokimp.report.terminal import interval_text, keep_words_whole, new_table


def agreement_within_table(result: xr.DataTree, *, partial: bool = False) -> Table:
    """Return the mean correlation of every two estimators, one column a group.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement_within``.
    partial
        Whether position is partialled out.
    """
    node = analysis_node(result, "agreement_within")
    what = "position partialled out" if partial else "as it is"
    table = new_table(f"Spearman correlation by {node.attrs['by']}, {what}")
    table.add_column("pair")
    groups = node["group"].to_numpy().tolist()
    for group in groups:
        table.add_column(escape(str(group)), justify="right")
    for one, other in combinations(node["estimator"].to_numpy().tolist(), 2):
        pair = node.sel(estimator=one, other=other, partial=partial)
        table.add_row(f"{escape(one)} / {escape(other)}", *(_interval(pair.sel(group=group)) for group in groups))
    table.add_section()
    counts = node["chains_used"].max(("partial", "estimator", "other"))
    table.add_row("[dim]chains[/]", *(str(int(counts.sel(group=group))) for group in groups))
    used = node["chains_used"].max("group")
    itself = {str(label): used.sel(estimator=label, other=label) for label in node["estimator"].to_numpy()}
    table.caption = _foot(node, itself if partial else {}, "undefined with")
    return keep_words_whole(table)


def agreement_between_table(result: xr.DataTree) -> Table:
    """Return each estimator's mean correlation with itself in the other result, as it is and given position."""
    node = analysis_node(result, "agreement_between")
    table = new_table(f"Spearman correlation with {node.attrs['other']}: {node.attrs['difference']}")
    table.add_column("estimator")
    for heading in ("as it is", "position partialled out", "chains"):
        table.add_column(heading, justify="right")
    labels = node["common"].to_numpy().tolist()
    for label in labels:
        row = node.sel(common=label)
        cells = [_interval(row.sel(partial=partial)) for partial in (False, True)]
        table.add_row(escape(label), *cells, str(int(row["chains_used"].max())))
    itself = {str(label): node["chains_used"].sel(common=label) for label in labels}
    table.caption = _foot(node, itself, "a dash for")
    return keep_words_whole(table)


def _foot(node: xr.Dataset, itself: Mapping[str, xr.DataArray], undefined: str) -> str:
    """Return what the numbers are, and of which estimators (`followers_of_position`) none is left given position."""
    what = f"mean, {node.attrs['confidence']:.0%} interval over chains"
    return "; ".join([what, *followers_text(followers_of_position(itself), undefined)])


def _interval(cell: xr.Dataset) -> str:
    mean, low, high = (float(cell[name]) for name in ("mean", "low", "high"))
    return interval_text(mean, low, high, int(cell["chains_used"]))
