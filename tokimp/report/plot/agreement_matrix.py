"""The agreement of every two estimators as one matrix: as it is below the diagonal, beyond place above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from tokimp.errors import SchemaError
from tokimp.report.agreement_means import Means, agreement_means, has_intervals
from tokimp.report.agreement_texts import CORRELATIONS, MEASURES
from tokimp.report.number_texts import chains_text, number_text
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.label_lines import short_labels, two_lines
from tokimp.report.plot.signed_cells import draw_signed_cells
from tokimp.report.plot.style import (
    COLUMN_MM,
    SMALL,
    foot,
    head,
    message,
    new_axes,
    root_figure,
    run_text,
    styled,
)
from tokimp.results.analysis_nodes import analysis_node

# Cells smaller than this have no room for an interval, or none for a number (millimetres).
_INTERVAL_MM, _NUMBER_MM = 9.5, 4.3
_MARGIN_MM, _SCALE_MM = 3.0, 13.0
_LONGEST_LABEL = 22  # characters on one line, where a label has two
_LINE_SPACING = 0.95
_FEW = 12  # estimators: labels of more are written smaller
_POINT_MM = 25.4 / 72


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
        Axes to draw on; by default those of a new figure, 85 mm wide, or wider where labels need it.
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
    labels = [drawable(name)[0] for name in names]
    room = _new_room(labels) if ax is None else _given_room(ax, labels)
    axis = new_axes(ax, room.height_mm, room.width_mm)
    is_empty = as_it_is.n_chains == 0 or len(names) < 2
    if is_empty:
        why = "two estimators are needed" if len(names) < 2 else "no chain is long enough to rank its units"
        message(axis, f"No agreement to show: {why}.")
        feet = []
    else:
        places = _order(beyond) if order == "similar" else list(range(len(names)))
        cell_mm = room.cell_mm
        _draw_cells(axis, as_it_is, beyond, places, cell_mm)
        _name_rows(axis, [room.labels[place] for place in places])
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
    """Draw the cells, those beyond place above the diagonal, which itself stays empty."""
    n_names = len(places)
    values = np.full((n_names, n_names), np.nan)
    is_told = np.zeros((n_names, n_names), bool)
    texts: list[list[str | None]] = [[None] * n_names for _ in places]
    for row, column in np.ndindex(n_names, n_names):
        if row == column:
            continue
        means, cell = (beyond if column > row else as_it_is), (places[row], places[column])
        values[row, column] = means.mean[cell]
        is_told[row, column] = not has_intervals(means) or bool(means.is_told[cell])
        texts[row][column] = _number(means, cell, cell_mm, is_unclear=not is_told[row, column])
    draw_signed_cells(axis, values, is_told, texts, text_size=SMALL if n_names <= 8 else 4.8)


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
    axis.set_xticks(range(len(names)), names, rotation=90, parse_math=False, linespacing=_LINE_SPACING)
    axis.set_yticks(range(len(names)), names, parse_math=False, linespacing=_LINE_SPACING)
    axis.tick_params(length=0, labelsize=_letters(names))
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


@dataclass(frozen=True, slots=True)
class _Room:
    """Labels as they are written, and in millimetres the width of a cell and the size of the figure."""

    labels: list[str]
    cell_mm: float
    width_mm: float
    height_mm: float


def _new_room(names: list[str]) -> _Room:
    """Return the room in a new figure: a column of a page, or more where labels would lie on each other."""
    labels = two_lines(names, _LONGEST_LABEL)
    least = _label_height_mm(labels)
    cell = _cell_mm(labels, COLUMN_MM)
    if cell < least and len(names) > _FEW:
        labels = short_labels(names)
        least = _label_height_mm(labels)
        cell = _cell_mm(labels, COLUMN_MM)
    width = float(COLUMN_MM)
    if cell < least:
        cell = least
        width = cell * len(names) + _label_mm(labels) + _MARGIN_MM + (_SCALE_MM if cell < _NUMBER_MM else 0)
    return _Room(labels, cell, width, 26 + _label_mm(labels) + max(25.0, cell * len(names)))


def _given_room(axis: Axes, names: list[str]) -> _Room:
    """Return the room in axes that were given."""
    figure, place = root_figure(axis), axis.get_position()
    width, height = (25.4 * side for side in (figure.get_figwidth(), figure.get_figheight()))
    side = min(place.width * width, place.height * height)
    labels = two_lines(names, _LONGEST_LABEL)
    if _cell_mm(labels, side) < _label_height_mm(labels):
        labels = short_labels(names)
    return _Room(labels, _cell_mm(labels, side), width, height)


def _cell_mm(labels: list[str], width_mm: float) -> float:
    """Return the width of a cell: of the square beside the labels, divided."""
    n_names, room = max(1, len(labels)), width_mm - _label_mm(labels) - _MARGIN_MM
    cell = min(17.0, room / n_names)
    # Without numbers there is a scale of colours, which takes its room.
    return cell if cell >= _NUMBER_MM else (room - _SCALE_MM) / n_names


def _letters(labels: list[str]) -> float:
    """Return the size of the labels' letters in points."""
    return SMALL if len(labels) <= _FEW else 4.6


def _label_mm(labels: list[str]) -> float:
    """Return the width of the longest line of the labels."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    return longest * _letters(labels) * 0.56 * _POINT_MM


def _label_height_mm(labels: list[str]) -> float:
    """Return the height of the label of most lines."""
    breaks = max((label.count("\n") for label in labels), default=0)
    return (1.2 + _LINE_SPACING * breaks) * _letters(labels) * _POINT_MM
