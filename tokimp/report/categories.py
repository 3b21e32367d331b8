"""Categories of tokens: a table and a figure of what stays of each."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.report.curves import BAND, PAPER, analysis_node, finish, line_look
from tokimp.report.terminal import interval_text, keep_words_whole, new_table


def structure_table(result: xr.DataTree, keep_ratio: float = 0.5) -> Table:
    """Return, for each category, the share each estimator retains at a keep ratio, its excess, and its mean rank.

    Parameters
    ----------
    result
        A result with the node ``/analysis/structure``.
    keep_ratio
        The nearest one that was computed is shown.
    """
    node = analysis_node(result, "structure")
    at = node.sel(keep_ratio=keep_ratio, method="nearest")
    ratio = float(at["keep_ratio"])
    source = node.attrs["categorizer"]
    table = new_table(f"Structure: share of a category's tokens kept at keep ratio {ratio:g} ({source})")
    table.add_column("category")
    table.add_column("tokens", justify="right")
    table.add_column("at random", justify="right")
    labels = [str(label) for label in node["estimator"].to_numpy()]
    for label in labels:
        table.add_column(escape(label), justify="right")
    for category in node["category"].to_numpy():
        cell = at.sel(category=category)
        band = f"{float(cell['uniform']):.2f} [{float(cell['uniform_low']):.2f}, {float(cell['uniform_high']):.2f}]"
        chains = int(cell["chains_with"])
        shares = [_interval(cell.sel(estimator=label), "share", chains) for label in labels]
        table.add_row(escape(str(category)), str(int(cell["tokens"])), band, *shares)
        excesses = [_interval(cell.sel(estimator=label), "excess", chains) for label in labels]
        table.add_row("[dim]  beyond position[/]", "", "", *excesses)
        rank = [_interval(cell.sel(estimator=label), "mean_rank", chains) for label in labels]
        table.add_row("[dim]  mean rank[/]", "", "", *rank)
    used = sorted({int(count) for count in node["chains_used"].to_numpy()})
    chains_text = str(used[0]) if len(used) == 1 else f"{used[0]} to {used[-1]}"
    table.caption = (
        f"over {chains_text} chains; {node.attrs['confidence']:.0%} intervals, chains resampled; beyond position: "
        f"share kept less what keeping as many units in each of {node.attrs['bands']} stretches at random would keep"
    )
    return keep_words_whole(table)


def draw_structure(result: xr.DataTree) -> Figure:
    """Draw the share of each category kept over the keep ratio: one panel a category, one line an estimator.

    The grey band is what deletion at random keeps.
    """
    node = analysis_node(result, "structure")
    categories = [str(category) for category in node["category"].to_numpy()]
    columns = min(4, len(categories))
    rows = -(-len(categories) // columns)
    figure = Figure(figsize=(3.3 * columns + 0.4, 2.9 * rows + 1), facecolor=PAPER, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    ratios = node["keep_ratio"].to_numpy()
    for axis, category in zip(axes, categories, strict=False):
        cell = node.sel(category=category)
        axis.fill_between(
            ratios, cell["uniform_low"].to_numpy(), cell["uniform_high"].to_numpy(), color=BAND, label="at random"
        )
        for index, label in enumerate(node["estimator"].to_numpy()):
            line = cell.sel(estimator=label)
            look = line_look(index)
            axis.plot(ratios, line["share"].to_numpy(), **look, markersize=3, label=str(label))
            low, high = line["share_low"].to_numpy(), line["share_high"].to_numpy()
            axis.fill_between(ratios, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axis.set_title(f"{category} ({int(cell['tokens'])} tokens)", fontsize=9, parse_math=False)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
        axis.set_xlabel("keep ratio", fontsize=9)
    axes[0].invert_xaxis()
    for place in range(len(categories), len(axes)):
        axes[place].set_visible(False)
        # Only the lowest panel of a column has numbers on its axis; that is now the one above.
        axes[place - columns].tick_params(labelbottom=True)
    figure.supylabel("share kept", fontsize=9)
    finish(figure, axes[0], f"share of each category kept; {node.attrs['categorizer']}")
    return figure


def _interval(cell: xr.Dataset, name: str, chains: int) -> str:
    mean, low, high = (float(np.asarray(cell[f"{name}{end}"])) for end in ("", "_low", "_high"))
    return interval_text(mean, low, high, chains)
