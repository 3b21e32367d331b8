"""The agreement of every two estimators as one matrix: as it is below the diagonal, beyond place above it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from tokimp.errors import SchemaError
from tokimp.report.agreement_means import Means, agreement_means, has_intervals
from tokimp.report.agreement_texts import CORRELATIONS, MEASURES
from tokimp.report.number_texts import chains_text, number_text
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.rows import two_lines
from tokimp.report.plot.style import (
    COLUMN_MM,
    INK,
    LINE,
    PAPER,
    QUIET,
    SILENT,
    SMALL,
    foot,
    head,
    message,
    new_axes,
    prepare,
    root_figure,
    run_text,
    styled,
)
from tokimp.results.analysis_nodes import analysis_node

# Cells smaller than this have no room for an interval, or none for a number (millimetres).
_INTERVAL_MM, _NUMBER_MM = 9.5, 4.3
_LONGEST_LABEL = 22  # characters on one line


@styled
def agreement(
    result: xr.DataTree,
    measure: str = "spearman",
    ax: Axes | None = None,
    *,
    order: str = "similar",
    node_name: str = "agreement",
) -> Axes:
    """Draw the mean agreement of every two estimators as a matrix.

    Cells below the diagonal show the agreement as it is, cells above it the agreement beyond place: less what place
    alone gives. Where that is not known, as in an older result, they show it with position partialled out. A cell
    without colour is not told from chance. Up to five estimators, cells hold the intervals too.

    Parameters
    ----------
    result
        A result that ``tokimp.analyze(result, "agreement")`` has been run on.
    measure
        One of the measures stored there.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    order
        ``similar`` puts estimators that agree beyond place beside each other; ``given`` keeps the result's order.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    SchemaError
        If the agreement has not been computed, or has no such measure.
    """
    node = analysis_node(result, node_name)
    measures = [str(name) for name in node["measure"].to_numpy()]
    if measure not in measures:
        raise SchemaError(f"the agreement has no measure {measure!r}; it has {', '.join(measures)}")
    cells = node.sel(measure=measure)
    names = [str(name) for name in node["estimator"].to_numpy()]
    as_it_is, beyond = agreement_means(cells)
    labels = [two_lines(drawable(name)[0], _LONGEST_LABEL) for name in names]
    axis = new_axes(ax, _height(labels))
    is_empty = as_it_is.n_chains == 0 or len(names) < 2
    if is_empty:
        why = "two estimators are needed" if len(names) < 2 else "no chain is long enough to rank its units"
        message(axis, f"No agreement to show: {why}.")
        feet = []
    else:
        places = _order(beyond) if order == "similar" else list(range(len(names)))
        cell_mm = _cell_mm(labels) if ax is None else _given_cell_mm(ax, labels)
        _draw_cells(axis, as_it_is, beyond, places, cell_mm)
        _name_rows(axis, [labels[place] for place in places])
        if cell_mm < _NUMBER_MM:
            _add_scale(axis, MEASURES.get(measure, measure), measure in CORRELATIONS)
        feet = _feet(as_it_is, beyond, cell_mm)
    head(
        [axis],
        ax,
        f"Agreement: {MEASURES.get(measure, measure)}",
        run_text(result),
        chains_text(as_it_is.n_chains, node.attrs["confidence"]),
    )
    foot([axis], ax, *feet, drawn=names)
    return axis


def _order(means: Means) -> list[int]:
    """Return the places of the estimators, those that agree most side by side."""
    if len(means.mean) < 4:
        return list(range(len(means.mean)))
    mean = np.nan_to_num(means.mean, nan=0.0)
    distance = 1 - (mean + mean.T) / 2
    np.fill_diagonal(distance, 0.0)
    condensed = squareform(np.clip(distance, 0, None), checks=False)
    tree = optimal_leaf_ordering(linkage(condensed, "average"), condensed)
    return [int(place) for place in leaves_list(tree)]


def _draw_cells(axis: Axes, as_it_is: Means, beyond: Means, places: list[int], cell_mm: float) -> None:
    """Draw the cells, those beyond place above the diagonal; what is not told from chance has no colour."""
    n_names = len(places)
    coloured = np.full((n_names, n_names), np.nan)
    for row, column in np.ndindex(n_names, n_names):
        if row == column:
            continue
        means, cell = (beyond if column > row else as_it_is), (places[row], places[column])
        mean = float(means.mean[cell])
        if np.isnan(mean):
            square = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=SILENT, linewidth=0)
            axis.add_patch(square)
            axis.text(column, row, "\u2013", ha="center", va="center", fontsize=SMALL, color=QUIET)
            continue
        is_unclear = has_intervals(means) and not means.is_told[cell]
        coloured[row, column] = np.nan if is_unclear else mean
        colour = QUIET if is_unclear else PAPER if abs(mean) > 0.62 else INK
        text = _number(means, cell, cell_mm, is_unclear=is_unclear)
        size = SMALL if n_names <= 8 else 4.8
        axis.text(column, row, text, ha="center", va="center", fontsize=size, color=colour, linespacing=1.3)
    axis.imshow(np.ma.masked_invalid(coloured), cmap="RdBu_r", vmin=-1, vmax=1, zorder=0)
    for border in np.arange(-0.5, n_names):
        for draw_border in (axis.axhline, axis.axvline):
            draw_border(border, color=LINE, linewidth=0.3)
    prepare(axis, "")


def _number(means: Means, cell: tuple[int, int], cell_mm: float, *, is_unclear: bool) -> str:
    """Return what a cell says: number and interval, number, or a sign alone, as there is room."""
    mean, low, high = (float(part[cell]) for part in (means.mean, means.low, means.high))
    if cell_mm < _NUMBER_MM:
        # In grey, red and blue look alike: a minus tells them apart where no number does.
        return "\u00b7" if is_unclear else "\u2212" if mean < 0 else ""
    if cell_mm < _INTERVAL_MM:
        return short_number(mean)
    text = number_text(mean).replace("-", "\u2212")
    if not has_intervals(means) or not np.isfinite(low):
        return text
    return f"{text}\n{short_number(low)} to {short_number(high)}"


def short_number(value: float) -> str:
    """Return a number between -1 and 1 with two decimals and without the zero before them.

    Examples
    --------
    >>> short_number(0.471), short_number(-0.004), short_number(1.0)
    ('.47', '0', '1')
    """
    rounded = round(value, 2)
    if rounded in {-1.0, 0.0, 1.0}:
        return f"{int(rounded)}".replace("-", "\u2212")
    return f"{rounded:.2f}".replace("0.", ".").replace("-", "\u2212")


def _name_rows(axis: Axes, names: list[str]) -> None:
    axis.set_xticks(range(len(names)), names, rotation=90, parse_math=False, linespacing=0.95)
    axis.set_yticks(range(len(names)), names, parse_math=False, linespacing=0.95)
    axis.tick_params(length=0, labelsize=SMALL if len(names) <= 12 else 4.6)
    for side in axis.spines.values():
        side.set_visible(False)


def _add_scale(axis: Axes, label: str, signed: bool) -> None:
    figure = root_figure(axis)
    bar = figure.colorbar(axis.images[0], ax=axis, shrink=0.6, aspect=32, pad=0.01, ticks=[-1, -0.5, 0, 0.5, 1])
    bar.ax.set_ylim(-1 if signed else 0, 1)
    bar.ax.tick_params(labelsize=SMALL, length=1.5, width=0.5)
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=SMALL)


def _feet(as_it_is: Means, beyond: Means, cell_mm: float) -> list[str]:
    feet = [f"Below the diagonal: {as_it_is.name}. Above: {beyond.name}."]
    if not has_intervals(as_it_is):
        feet.append("Too few chains to tell anything from chance.")
    elif as_it_is.rule == beyond.rule:
        feet.append(f"White: {as_it_is.rule}, which is chance.")
    else:
        feet.append(f"White: not told from chance ({as_it_is.rule}; above {beyond.rule}).")
    if cell_mm < _NUMBER_MM:
        feet.append("\u2212: below 0. The table has numbers and intervals.")
    elif cell_mm < _INTERVAL_MM:
        feet.append("The table has the intervals.")
    if np.isnan(as_it_is.mean).any() or np.isnan(beyond.mean).any():
        feet.append("\u2013: no value.")
    return feet


def _label_mm(labels: list[str]) -> float:
    """Return the width of the longest line of the labels, in millimetres."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    return longest * SMALL * 0.56 * 25.4 / 72


def _cell_mm(labels: list[str]) -> float:
    """Return the width of a cell of a new figure, in millimetres: the square beside the labels, divided."""
    n_names, room = max(1, len(labels)), COLUMN_MM - _label_mm(labels) - 3
    cell = min(17.0, room / n_names)
    # Without numbers there is a scale of colours, which takes its room.
    return cell if cell >= _NUMBER_MM else (room - 13) / n_names


def _given_cell_mm(axis: Axes, labels: list[str]) -> float:
    figure, place = root_figure(axis), axis.get_position()
    side = 25.4 * min(place.width * figure.get_figwidth(), place.height * figure.get_figheight())
    return (side - _label_mm(labels)) / max(1, len(labels))


def _height(labels: list[str]) -> float:
    """Return the height of a new figure in millimetres."""
    return 26 + _label_mm(labels) + max(25.0, _cell_mm(labels) * len(labels))
