"""Tables of the agreement of estimators within groups of units or chains."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.report import followers_of_position, followers_text
from tokimp.report.agreement_texts import WITH_POSITION
from tokimp.report.conclusions import Estimate, conclusion
from tokimp.report.number_texts import interval_of, mean_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node


def agreement_within_table(result: xr.DataTree, *, partial: bool = False, node_name: str = "agreement_within") -> Table:
    """Return a table of every two estimators' mean correlation, one column a group.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement_within``.
    partial
        Whether position is partialled out.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    table = new_table(f"Spearman correlation by {node.attrs['by']}, {WITH_POSITION[partial]}")
    table.add_column("pair")
    groups = node["group"].to_numpy().tolist()
    for group in groups:
        table.add_column(escape(str(group)), justify="right")
    labels = node["estimator"].to_numpy().tolist()
    for one, other in combinations(labels, 2):
        pair = node.sel(estimator=one, other=other, partial=partial)
        table.add_row(f"{escape(one)} / {escape(other)}", *(interval_of(pair.sel(group=group)) for group in groups))
    table.add_section()
    counts = node["chains_used"].max(("partial", "estimator", "other"))
    table.add_row("[dim]chains[/]", *(str(int(counts.sel(group=group))) for group in groups))
    feet = [mean_text(node.attrs["confidence"], int(node["chains_used"].max()))]
    if partial:
        used = node["chains_used"].max("group")
        itself = {str(label): used.sel(estimator=label, other=label) for label in labels}
        feet += followers_text(followers_of_position(itself), "undefined with")
    table.caption = "; ".join([*feet, *ties_text(node)])
    return keep_words_whole(table)


def within_beyond_place_table(result: xr.DataTree, *, node_name: str = "agreement_within") -> list[Table]:
    """Return a table of every two estimators' mean correlation beyond place, one column a group.

    The list is empty where nothing is known beyond place: of chains of one question, and of nodes of older versions.

    Parameters
    ----------
    result, node_name
        As of `agreement_within_table`.
    """
    node = analysis_node(result, node_name)
    if "beyond_place" not in node or not int(node["beyond_place_chains"].max()):
        return []
    table = new_table(f"Spearman correlation by {node.attrs['by']}, beyond place")
    table.add_column("pair")
    groups = [str(group) for group in node["group"].to_numpy()]
    for group in groups:
        table.add_column(escape(group), justify="right")
    estimates = []
    for one, other in combinations(map(str, node["estimator"].to_numpy()), 2):
        cells = [node.sel(estimator=one, other=other, group=group) for group in groups]
        counts = [int(cell["beyond_place_chains"]) for cell in cells]
        name = f"{escape(one)} / {escape(other)}"
        table.add_row(name, *map(interval_of, cells, ["beyond_place"] * len(cells), counts))
        estimates += [
            Estimate.of(f"{name} in {escape(group)}", cell, "beyond_place", count, float(cell["p_corrected"]))
            for group, cell, count in zip(groups, cells, counts, strict=True)
        ]
    shows = mean_text(node.attrs["confidence"], int(node["beyond_place_chains"].max()))
    correction = f"Holm over {sum(np.isfinite(e.p_value) for e in estimates)} pairs and groups"
    table.caption = (
        f"{shows}; less the correlation with units of other chains at the same places. "
        f"{conclusion(estimates, 'correlation beyond place', correction=correction)}"
    )
    return [keep_words_whole(table)]
