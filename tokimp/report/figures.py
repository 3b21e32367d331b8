"""Figures of a result: a chain with its tokens shaded by rank, and the agreement of its estimators."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tokimp.views import chain_table

COLUMNS = 92
_CHARACTER_INCHES, _LINE_INCHES = 0.088, 0.21
_INK, _PAPER = "#1c1c1c", "#ffffff"


def _cells(texts: list[str]) -> Iterator[tuple[int, int, str]]:
    """Lay tokens out on a grid of characters: line, column and visible text of each, newlines shown as an arrow."""
    line = column = 0
    for text in texts:
        shown = text.replace("\n", "\u21b5").replace("\t", " ") or "\u25ab"
        if column and column + len(shown) > COLUMNS:
            line, column = line + 1, 0
        yield line, column, shown[:COLUMNS]
        line, column = (line + 1, 0) if "\n" in text else (line, column + len(shown))


def draw_chain(result: xr.DataTree, chain_id: str) -> Figure:
    """Draw the reasoning of one chain once for each estimator, the tokens it ranks highest darkest.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.
    chain_id
        The chain to draw.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig("chain.png")`` or ``"chain.svg"``.
    """
    table = chain_table(result, chain_id)
    cells = list(_cells([str(text) for text in table["token_text"]]))
    estimators = [str(name) for name in result.to_dataset()["estimator"].to_numpy()]
    lines = cells[-1][0] + 1
    height = len(estimators) * (lines + 1.9) * _LINE_INCHES
    figure = Figure(figsize=(COLUMNS * _CHARACTER_INCHES + 0.4, height), facecolor=_PAPER)
    axes = figure.subplots(len(estimators), 1, squeeze=False)[:, 0]
    shade = mpl.colormaps["YlOrRd"]
    for axis, estimator in zip(axes, estimators, strict=True):
        rank = table[f"rank_{estimator}"].to_numpy(dtype=float)
        level = rank / max(rank.max(), 1.0)
        _prepare(axis, estimator, lines)
        for (line, column, text), value in zip(cells, level, strict=True):
            axis.add_patch(Rectangle((column, line), len(text), 0.92, facecolor=shade(value * 0.85), linewidth=0))
            for offset, character in enumerate(text):
                # One character at a time keeps the grid exact whatever the font; a "$" is text, not mathematics.
                axis.text(
                    column + offset + 0.5,
                    line + 0.5,
                    character,
                    family="monospace",
                    fontsize=8.5,
                    ha="center",
                    va="center",
                    color=_PAPER if value > 0.75 else _INK,
                    parse_math=False,
                )
    figure.tight_layout(pad=0.5)
    return figure


def _prepare(axis: Axes, title: str, lines: int) -> None:
    axis.set_xlim(0, COLUMNS)
    axis.set_ylim(lines, 0)
    axis.axis("off")
    axis.set_title(title, loc="left", fontsize=9, fontweight="bold", color=_INK, pad=3, parse_math=False)


def draw_agreement(result: xr.DataTree, measure: str = "spearman") -> Figure:
    """Draw the mean agreement of every two estimators as two matrices: as it is, and with position partialled out.

    Parameters
    ----------
    result
        A result that ``tokimp.analyze(result, "agreement")`` has been run on.
    measure
        One of the measures stored there.
    """
    node = result["analysis/agreement"].to_dataset()
    names = [str(name) for name in node["estimator"].to_numpy()]
    side = 1.4 + 0.72 * len(names)
    figure = Figure(figsize=(2 * side + 0.8, side + 0.3), facecolor=_PAPER)
    axes = figure.subplots(1, 2)
    titles = ("as it is", "position partialled out")
    for axis, partial, title in zip(axes, (False, True), titles, strict=True):
        mean = node["mean"].sel(measure=measure, partial=partial).to_numpy()
        axis.imshow(mean, cmap="RdBu_r", vmin=-1, vmax=1)
        for row, column in np.ndindex(*mean.shape):
            value = mean[row, column]
            if np.isfinite(value):
                color = _PAPER if abs(value) > 0.6 else _INK
                axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=color)
        axis.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_title(f"{measure}, {title}", fontsize=9)
    figure.tight_layout()
    return figure
