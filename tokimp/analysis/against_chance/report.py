"""Tables and figures of numbers beside those of random orders and of position, the same for every analysis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.against_chance.conclusion import REFERENCES, Panel, conclusion, verdicts
from tokimp.report import plot
from tokimp.report.number_texts import interval_of, mean_text, number_text
from tokimp.report.plot.style import run_text
from tokimp.report.terminal import keep_words_whole, new_table


def operators_of(node: xr.Dataset) -> list[str]:
    """Return the names of a node's operators; none if it has no such dimension."""
    return [str(name) for name in node["operator"].to_numpy()] if "operator" in node.dims else []


def comparison_tables(node: xr.Dataset, title: str, panels: Sequence[Panel], foot: str = "") -> list[Table]:
    """Return a table for each number and operator: each estimator's mean, and its differences from both references.

    A table ends with a sentence that says what may be concluded. The last one of a number concludes for all operators
    together.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    title
        What the numbers are; the number's heading is added, the operator, and what means are over.
    panels
        The numbers.
    foot
        Said below the first table.
    """
    operators = operators_of(node) or [""]
    tables: list[Table] = []
    for panel in panels:
        for operator in operators:
            sentences = [foot] if not tables else []
            by = [operator] if operator else []
            sentences.append(conclusion(node, panel, by))
            if len(operators) > 1 and operator == operators[-1]:
                sentences.append(conclusion(node, panel, operators))
            tables.append(_table(node, title, panel, by, sentences))
    return tables


def _table(node: xr.Dataset, title: str, panel: Panel, by: Sequence[str], sentences: Sequence[str]) -> Table:
    """Return the table of a number by one operator, or by none, with sentences below it."""
    part = node.sel({**panel.where, **({"operator": by[0]} if by else {})})
    n_chains = node.sizes["chain"]
    used = int(part[f"{panel.prefix}chains_used"].max())
    operator = f", by {by[0]}" if by else ""
    table = new_table(f"{title}: {panel.heading}{operator} ({mean_text(node.attrs['confidence'], used)})")
    table.add_column("estimator")
    for heading in (f"{panel.heading} ({panel.better})", "minus random orders", "minus position"):
        table.add_column(heading, justify="right")
    found = verdicts(node, panel, by)
    for label in map(str, part["estimator"].to_numpy()):
        row = part.sel(estimator=label)
        count = int(row[f"{panel.prefix}chains_used"])
        cells = [interval_of(row, panel.prefix.rstrip("_"), count)]
        for reference in REFERENCES:
            star = "*" if found.is_told(reference, label) else ""
            cells.append(interval_of(row, f"{panel.prefix}above_{reference}", count) + star)
        table.add_row(escape(label) + ("" if count == n_chains else f" [dim](over {count})[/]"), *cells)
    table.add_section()
    for name, text in (("uniform", "random orders"), ("position", "position")):
        mean = _reference_mean(part, f"{panel.prefix}{name}_value")
        if mean is not None:
            table.add_row(f"[dim]{text}[/]", number_text(mean), "", "")
    star = "a star marks what is told from the reference" if found.is_any_told else ""
    feet = [f"over {n_chains} chain{'' if n_chains == 1 else 's'}", undefined_text(part), star]
    told = "; ".join(text for text in feet if text)
    table.caption = escape(" ".join([f"{told[:1].upper()}{told[1:]}.", *(text for text in sentences if text)]))
    return keep_words_whole(table)


def undefined_text(part: xr.Dataset) -> str:
    """Return how many values of a number are missing for which reason, as text; empty if none is.

    Parameters
    ----------
    part
        A node with the variables of `tokimp.analysis.against_chance.comparison.undefined_variables`, reduced to one
        number and operator.
    """
    reasons = [("it says nothing of the chain", part["chains_absent"])]
    reasons += [(str(reason), part["undefined"].sel(reason=reason)) for reason in part["reason"].to_numpy()]
    parts = []
    for reason, counts in reasons:
        fewest, most = int(counts.min()), int(counts.max())
        if most:
            how_many = str(most) if fewest == most else f"{fewest} to {most}"
            parts.append(f"{how_many} because {reason}")
    return f"chains without a value, by estimator: {'; '.join(parts)}" if parts else ""


def draw_comparison(result: xr.DataTree, node: xr.Dataset, panels: Sequence[Panel], note: str) -> Figure:
    """Draw each estimator's numbers with their intervals, one panel a number and one mark an operator.

    Parameters
    ----------
    result
        The result that the analysis has been run on.
    node, panels
        As of `comparison_tables`.
    note
        The heading.
    """
    title = f"{note[:1].upper()}{note[1:]}"
    return plot.compared_numbers(node, panels, title, details_text(result, node)).figure


def details_text(result: xr.DataTree, node: xr.Dataset) -> str:
    """Return the words of a heading that name the run, and the model that the analysis asked if it is another."""
    asked = str(node.attrs.get("model_id", result.attrs["model_id"]))
    other = "" if asked == result.attrs["model_id"] else f", asked of {asked.rstrip('/').rpartition('/')[2]}"
    return f"{run_text(result)}{other}"


def _reference_mean(part: xr.Dataset, name: str) -> float | None:
    """Return the mean of a reference over all chains that have one; ``None`` if it is another for each estimator."""
    if "estimator" in part[name].dims:
        return None
    values = part[name].to_numpy()
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
