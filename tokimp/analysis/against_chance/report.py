"""Tables and figures of numbers beside those of random orders and of position, the same for every analysis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.against_chance.conclusion import Panel, conclusion
from tokimp.report import plot
from tokimp.report.number_texts import interval_of, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table


def operators_of(node: xr.Dataset) -> list[str]:
    """Return the names of a node's operators; none if it has no such dimension."""
    return [str(name) for name in node["operator"].to_numpy()] if "operator" in node.dims else []


def comparison_table(
    node: xr.Dataset, title: str, panels: Sequence[Panel], operator: str = "", foot: str = ""
) -> Table:
    """Return a table of some numbers by one operator: each estimator's mean, and its differences from both references.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    title
        The title; what the numbers are over is added.
    panels
        The numbers, three columns each.
    operator
        By which operator; empty if the node has no such dimension.
    foot
        Said below the table, before the sentence that concludes.
    """
    part = node.sel(operator=operator) if operator else node
    used = max(int(_part(part, panel)[f"{panel.prefix}chains_used"].max()) for panel in panels)
    by = f" by {operator}" if operator else ""
    table = new_table(f"{title}{by} ({mean_text(node.attrs['confidence'], used)})")
    table.add_column("estimator")
    for panel in panels:
        table.add_column(f"{panel.heading} ({panel.better})", justify="right")
        table.add_column("minus random orders", justify="right")
        table.add_column("minus position", justify="right")
    for label in part["estimator"].to_numpy():
        cells, counts = [], set()
        for panel in panels:
            row = _part(part, panel).sel(estimator=label)
            counts.add(count := int(row[f"{panel.prefix}chains_used"]))
            cells += [
                interval_of(row, f"{panel.prefix}{name}".rstrip("_"), count)
                for name in ("", "above_uniform", "above_position")
            ]
        told = "" if counts == {node.sizes["chain"]} else f" [dim](over {' to '.join(map(str, _ends(counts)))})[/]"
        table.add_row(f"{escape(str(label))}{told}", *cells)
    table.add_section()
    for name, text in (("uniform", "random orders"), ("position", "position")):
        means = [_reference_mean(part, panel, name) for panel in panels]
        if all(mean is not None for mean in means):
            table.add_row(f"[dim]{text}[/]", *(cell for mean in means for cell in (number_text(mean or 0.0), "", "")))
    feet = [f"Over {node.sizes['chain']} chains", undefined_text(part, panels), foot]
    operators = operators_of(node)
    sentences = ["; ".join(text for text in feet if text) + "."]
    sentences.append(conclusion(node, panels, [operator] if operator else []))
    if len(operators) > 1 and operator == operators[-1]:
        sentences.append(conclusion(node, panels, operators))
    table.caption = escape(" ".join(sentences))
    return keep_words_whole(table)


def undefined_text(node: xr.Dataset, panels: Sequence[Panel]) -> str:
    """Return how many values are missing for which reason, as text; empty if none is.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.undefined_variables`.
    panels
        Which numbers to count.
    """
    parts = []
    if absent := int(node["chains_absent"].max()):
        parts.append(f"up to {absent} of an estimator, because it says nothing of the chain")
    for reason in node["reason"].to_numpy():
        counts = [int(_part(node, panel)["undefined"].sel(reason=reason).max()) for panel in panels]
        if max(counts):
            parts.append(f"up to {max(counts)}, because {reason}")
    return f"left out: {'; '.join(parts)}" if parts else ""


def draw_comparison(node: xr.Dataset, panels: Sequence[Panel], note: str) -> Figure:
    """Draw each estimator's numbers with their intervals, one panel a number and one mark an operator.

    Parameters
    ----------
    node, panels
        As of `comparison_table`.
    note
        The heading.
    """
    title = f"{note[:1].upper()}{note[1:]}"
    # An analysis that asks no model names none.
    details = f"model {node.attrs['model_id']}" if "model_id" in node.attrs else ""
    return plot.compared_numbers(node, panels, title, details).figure


def _part(node: xr.Dataset, panel: Panel) -> xr.Dataset:
    return node.sel(dict(panel.where))


def _reference_mean(node: xr.Dataset, panel: Panel, name: str) -> float | None:
    """Return the mean of a reference over all chains that have one; ``None`` if it is another for each estimator."""
    values = _part(node, panel)[f"{panel.prefix}{name}_value"]
    if "estimator" in values.dims:
        return None
    known = values.to_numpy()[np.isfinite(values.to_numpy())]
    return float(known.mean()) if len(known) else float("nan")


def _ends(counts: set[int]) -> list[int]:
    return sorted({min(counts), max(counts)})
