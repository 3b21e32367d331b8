"""The look of all figures: colours that colour-blind readers tell apart, markers, headings and legends."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colour-blind readers can tell Okabe and Ito's colours apart. Markers tell lines apart in print, and dashes tell apart
# the lines that share a colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6F47")

MARKERS = "osD^vPX*"

_DASHES = ("-", "--", ":", "-.")

INK, PAPER = "#1c1c1c", "#ffffff"
BAND = "#c8c8c8"
"""The band that random orders span."""
SILENT = "#d9d9d9"
"""A place where an estimator says nothing."""


def line_look(index: int) -> dict[str, Any]:
    """Return colour, marker and dashes of the line with this number; no two of the first 32 look the same.

    The number of an estimator is its place in the result, so that it looks the same in all figures of a run.

    Examples
    --------
    >>> line_look(0) == line_look(8)
    False
    """
    again, place = divmod(index, len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": _DASHES[again % len(_DASHES)]}


def finish(figure: Figure, first: Axes, note: str) -> None:
    """Give a figure a heading, and one legend below all panels.

    Parameters
    ----------
    figure
        The figure.
    first
        The panel whose labelled lines make the legend; without any there is no legend.
    note
        The heading.
    """
    figure.suptitle(note, fontsize=9, parse_math=False)
    handles, labels = first.get_legend_handles_labels()
    if not labels:
        return
    # The width of a column of the legend, in inches: more columns than fit would be cut off at both sides.
    widest = 0.7 + 0.07 * max(map(len, labels))
    columns = max(1, min(4, len(labels), int(figure.get_figwidth() / widest)))
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
