"""Tables and figures of numbers beside those of random orders and of position, the same for every analysis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.against_chance.conclusion import Panel, conclusion
from tokimp.chains.arrays import FloatArray
from tokimp.report.figure_style import BAND, COLOURS, MARKERS, PAPER, finish
from tokimp.report.number_texts import chains_text, few_chains, interval_of, mean_text, number_text
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
    """Draw each estimator's numbers with their intervals, one panel a number and one marker an operator.

    Behind them are the band of random orders, from the lowest to the highest draw, and a hollow diamond for position.

    Parameters
    ----------
    node, panels
        As of `comparison_table`.
    note
        The heading.
    """
    labels = [str(label) for label in node["estimator"].to_numpy()]
    size = (max(5.0, 3.6 * len(panels) + 1.6), 1.9 + 0.5 * len(labels))
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, panel in zip(axes, panels, strict=True):
        _draw_panel(axis, _part(node, panel), panel, operators_of(node) or [""])
    axes[0].set_yticks(range(len(labels)), labels, parse_math=False)
    axes[0].invert_yaxis()
    finish(figure, axes[0], f"{note}; {chains_text(node.sizes['chain'], node.attrs['confidence'])}")
    return figure


def _draw_panel(axis: Axes, part: xr.Dataset, panel: Panel, operators: Sequence[str]) -> None:
    for index, operator in enumerate(operators):
        rows = part.sel(operator=operator) if operator else part
        height = np.arange(rows.sizes["estimator"]) + 0.24 * (index - (len(operators) - 1) / 2)
        mean, low, high, count, band_low, band_high, position = (
            rows[f"{panel.prefix}{name}"].to_numpy().astype(np.float64)
            for name in ("mean", "low", "high", "chains_used", "uniform_low", "uniform_high", "position_mean")
        )
        spread: FloatArray = np.clip(np.stack([mean - low, high - mean]), 0, None)
        spread[:, [few_chains(int(number)) for number in count]] = np.nan
        first = index == 0
        axis.barh(
            height,
            band_high - band_low,
            left=band_low,
            height=0.2,
            color=BAND,
            label="random orders" if first else None,
        )
        axis.plot(position, height, "D", mfc="none", mec="#4a4a4a", ms=6, ls="", label="position" if first else None)
        axis.errorbar(
            mean,
            height,
            xerr=spread,
            fmt=MARKERS[index],
            color=COLOURS[index],
            label=f"by {operator}" if operator else "estimator",
            capsize=2,
            markersize=4,
        )
    axis.set_title(f"{panel.heading} ({panel.better} is good)", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)


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
