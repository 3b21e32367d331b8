"""A matrix of cells between -1 and 1: red above 0, blue below, and no colour where a number is not told from chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from tokimp.report.plot.style import INK, LINE, PAPER, QUIET, SILENT, SMALL, prepare

_DARK = 0.62
"""Colours from here on are too dark for dark text."""


def draw_signed_cells(
    axis: Axes,
    values: npt.NDArray[np.float64],
    is_told: npt.NDArray[np.bool_],
    texts: Sequence[Sequence[str | None]],
    *,
    text_size: float = SMALL,
    aspect: Literal["equal", "auto"] = "equal",
) -> None:
    """Draw a matrix of signed numbers, a text in each cell.

    Parameters
    ----------
    axis
        The panel.
    values
        Numbers from -1 to 1, [row, column]; NaN where there is no value, which is drawn as a dash on grey.
    is_told
        Whether a number is told from chance, [row, column]. One that is not has no colour, and its text is grey.
    texts
        What the cells say, by row and column. A cell whose text is None stays empty, whatever its number.
    text_size
        Size of their letters, in points.
    aspect
        ``equal`` for square cells, ``auto`` for cells that fill the panel.
    """
    for row, column in np.ndindex(*values.shape):
        text, value = texts[row][column], values[row, column]
        if text is None:
            continue
        if np.isnan(value):
            axis.fill_between((column - 0.5, column + 0.5), row - 0.5, row + 0.5, color=SILENT, linewidth=0)
            text, colour = "\u2013", QUIET
        else:
            colour = QUIET if not is_told[row, column] else PAPER if abs(value) > _DARK else INK
        axis.text(column, row, text, ha="center", va="center", fontsize=text_size, color=colour, linespacing=1.3)
    coloured = np.ma.masked_where(~is_told | np.isnan(values), values)
    axis.imshow(coloured, cmap="RdBu_r", vmin=-1, vmax=1, aspect=aspect, zorder=0)
    n_rows, n_columns = values.shape
    for border in np.arange(-0.5, n_rows):
        axis.axhline(border, color=LINE, linewidth=0.3)
    for border in np.arange(-0.5, n_columns):
        axis.axvline(border, color=LINE, linewidth=0.3)
    prepare(axis, "")
