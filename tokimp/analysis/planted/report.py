"""Tables of the planted filler: how well estimators rank it lowest."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.concluded import concluded
from tokimp.report.number_texts import interval_of, interval_text, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node

_MEASURES = {"auroc": "AUROC", "average_precision": "average precision"}


def planted_table(result: xr.DataTree, *, node_name: str = "planted") -> Table:
    """Return a table of AUROC and average precision by unit and sentence, and of AUROC within stretches of position.

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
    unit = str(result.attrs["unit"])
    used = int(node["chains_used"].max())
    shows = mean_text(node.attrs["confidence"], used)
    table = new_table(f"Planted filler: how well it is ranked lowest ({shows})")
    table.add_column("estimator")
    # Of sentences, the two levels are the same.
    levels = ["unit"] if unit == "sentence" else ["unit", "sentence"]
    columns = [(measure, level) for level in levels for measure in _MEASURES]
    for measure, level in columns:
        table.add_column(f"{_MEASURES[measure]}, {unit if level == 'unit' else level}s", justify="right")
    table.add_column("AUROC within stretches", justify="right")
    for label in node["estimator"].to_numpy():
        row = node.sel(estimator=label)
        cells = [interval_of(row.sel(measure=measure, level=level)) for measure, level in columns]
        covered = int(row["chains_used"].max())
        heading = escape(str(label))
        if 0 < covered < used and "chance_mean" in row:
            own = row["chance_mean"].sel(measure="average_precision")
            numbers = " and ".join(number_text(float(own.sel(level=level))) for level in levels)
            heading += f" [dim](over {covered}; average precision by chance {numbers})[/]"
        table.add_row(heading, *cells, interval_of(row, "within_bands", covered))
    table.add_section()
    table.add_row("[dim]chance[/]", *(_chance_text(node, measure, level) for measure, level in columns), "0.50")
    table.caption = f"over {used} of {node.sizes['chain']} chains, which hold filler and something else"
    if "chance" not in node:
        table.caption += "; an older tokimp did not compute the average precision of chance: run planted again"
    table.caption = "; ".join([str(table.caption), *ties_text(node)])
    labels = [escape(str(label)) for label in node["estimator"].to_numpy()]
    by_unit = node["value"].sel(measure="auroc", level="unit").to_numpy()
    table.caption += f". {concluded(labels, by_unit, f'AUROC by {unit}', 0.5)}"
    return keep_words_whole(table)


def _chance_text(node: xr.Dataset, measure: str, level: str) -> str:
    """Return the mean of a measure for random orders; a dash if an older version, which got it wrong, ran planted."""
    if "chance" in node:
        return number_text(float(node["chance"].sel(measure=measure, level=level).mean()))
    return "0.50" if measure == "auroc" else "-"


def has_kinds(result: xr.DataTree, *, node_name: str = "planted") -> bool:
    """Return whether the analysis tells several kinds of planted text apart; one of an older tokimp does not."""
    node = analysis_node(result, node_name)
    return "kind" in node and node.sizes["kind"] > 1


def kind_table(result: xr.DataTree, *, node_name: str = "planted") -> Table:
    """Return a table of AUROC by sentence and by unit for each kind of planted text.

    The last line says how often the model gives the answer more than half of its probability, on chains with the kind:
    what a model does not understand, no method can tell from it.

    Parameters
    ----------
    result, node_name
        As of `planted_table`; the node has kinds (`has_kinds`).
    """
    node = analysis_node(result, node_name)
    unit = str(result.attrs["unit"])
    levels = ["unit"] if unit == "sentence" else ["unit", "sentence"]
    table = new_table("Planted text by kind: AUROC against what is not planted (0.5 is chance)")
    table.add_column("estimator")
    columns = [(str(kind), level) for kind in node["kind"].to_numpy() for level in levels]
    for kind, level in columns:
        table.add_column(f"{kind.replace('_', ' ')}, {unit if level == 'unit' else level}s", justify="right")
    for label in node["estimator"].to_numpy():
        row = node.sel(estimator=label, measure="auroc")
        cells = []
        for kind, level in columns:
            cell = row.sel(kind=kind, level=level)
            mean, low, high = (float(cell[f"kind_{name}"]) for name in ("mean", "low", "high"))
            cells.append(interval_text(mean, low, high, int(cell["kind_chains_used"])))
        table.add_row(escape(str(label)), *cells)
    table.add_section()
    solved = solved_by_kind(result, node)
    table.add_row("[dim]P(answer) > 1/2[/]", *(solved[kind] for kind, _ in columns))
    return keep_words_whole(table)


def solved_by_kind(result: xr.DataTree, node: xr.Dataset) -> dict[str, str]:
    """Return on how many of the chains with each kind the model gives the answer's value more than half: ``48 of 50``.

    It is then the answer that the model would write. A dash stands where answers give no value.
    """
    if "full_loglik_answer_value" not in result:
        return dict.fromkeys(map(str, node["kind"].to_numpy()), "-")
    logprobs = result["full_loglik_answer_value"].to_numpy()
    shares = {}
    for kind in node["kind"].to_numpy():
        known = (node["kind_band"].sel(kind=kind).to_numpy() >= 0) & ~np.isnan(logprobs)
        shares[str(kind)] = f"{int((logprobs[known] > np.log(0.5)).sum())} of {int(known.sum())}"
    return shares
