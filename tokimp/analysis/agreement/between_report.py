"""Table of the agreement of each estimator with itself in another result."""

from __future__ import annotations

import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.report import followers_of_position, followers_text
from tokimp.report.agreement_texts import WITH_POSITION, other_result_text
from tokimp.report.conclusions import Estimate, conclusion
from tokimp.report.number_texts import interval_of, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node


def agreement_between_table(result: xr.DataTree, *, node_name: str = "agreement_between") -> Table:
    """Return a table of each estimator's mean correlation with itself in the other result, one row an estimator.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    table = new_table(f"Spearman correlation with {escape(other_result_text(node))}")
    table.add_column("estimator")
    has_place = "beyond_place" in node and bool(node["beyond_place"].notnull().any())
    for heading in (*WITH_POSITION.values(), *["by place", "beyond place"] * has_place, "chains"):
        table.add_column(heading, justify="right")
    labels = [str(label) for label in node["common"].to_numpy()]
    for label in labels:
        row = node.sel(common=label)
        cells = [interval_of(row.sel(partial=partial)) for partial in WITH_POSITION]
        if has_place:
            chance = number_text(float(row["place_chance"].mean()))
            cells += [chance, interval_of(row, "beyond_place", int(row["beyond_place_chains"]))]
        table.add_row(escape(label), *cells, str(int(row["chains_used"].max())))
    itself = {label: node["chains_used"].sel(common=label) for label in labels}
    what = mean_text(node.attrs["confidence"], int(node["chains_used"].max()))
    feet = "; ".join([what, *followers_text(followers_of_position(itself), "a dash for")])
    table.caption = feet + (f". {_conclusion(node, labels)}" if has_place else "")
    return keep_words_whole(table)


def _conclusion(node: xr.Dataset, labels: list[str]) -> str:
    """Return the sentence that says which estimators agree with themselves beyond place."""
    rows = [node.sel(common=label) for label in labels]
    estimates = [
        Estimate.of(escape(label), row, "beyond_place", int(row["beyond_place_chains"]), float(row["p_corrected"]))
        for label, row in zip(labels, rows, strict=True)
    ]
    correction = f"Holm over {len(labels)} estimators" if len(labels) > 1 else "one estimator"
    return conclusion(estimates, "correlation beyond place", correction=correction)
