"""Figures of a result: a chain with its tokens shaded by rank, and the agreement of its estimators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tokimp.errors import SchemaError
from tokimp.results.by_chain import one_chain
from tokimp.results.views import chain_table

COLUMNS = 92
_CHARACTER_INCHES, _LINE_INCHES = 0.088, 0.21
_INK, _PAPER, _SILENT = "#1c1c1c", "#ffffff", "#d9d9d9"
_CORRELATIONS = ("spearman", "kendall")
_SCALES = {
    "spearman": "Spearman correlation",
    "kendall": "Kendall's tau-b",
    "top_k_overlap": "share of the top k in common",
    "rbo": "rank-biased overlap",
}


def draw_chain(result: xr.DataTree, chain_id: str) -> Figure:
    """Draw the reasoning of one chain once for each estimator, the tokens it ranks highest darkest.

    A chain of which an estimator says nothing is grey.

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

    Raises
    ------
    SchemaError
        If there is no such chain.
    """
    table = chain_table(result, chain_id)
    cells = list(_cells(_visible_texts(table, str(one_chain(result, chain_id)["reasoning"].item()))))
    estimators = [str(name) for name in result.to_dataset()["estimator"].to_numpy()]
    lines = cells[-1][1] + 1
    height = len(estimators) * (lines + 1.9) * _LINE_INCHES
    figure = Figure(figsize=(COLUMNS * _CHARACTER_INCHES + 0.4, height), facecolor=_PAPER)
    axes = figure.subplots(len(estimators), 1, squeeze=False)[:, 0]
    for axis, estimator in zip(axes, estimators, strict=True):
        rank = table[f"rank_{estimator}"].to_numpy(dtype=float)
        _prepare(axis, estimator, lines)
        _draw_cells(axis, cells, rank / max(rank.max(), 1.0))
    figure.tight_layout(pad=0.5)
    return figure


def _visible_texts(table: pd.DataFrame, reasoning: str) -> list[str]:
    """Return what each token adds to the text: a character split over several tokens is drawn once, by the first."""
    texts, covered = [], 0
    for start, end in zip(table["token_start"], table["token_end"], strict=True):
        texts.append(reasoning[max(covered, start) : end])
        covered = max(covered, end)
    return texts


def _cells(texts: Sequence[str]) -> Iterator[tuple[int, int, int, str]]:
    """Lay tokens out on a grid of characters: token, line, column and text of each piece, a newline as an arrow."""
    line = column = 0
    for token, text in enumerate(texts):
        shown = text.replace("\n", "\u21b5").replace("\t", " ").replace("\r", "")
        if column and column + len(shown) > COLUMNS:
            line, column = line + 1, 0
        for begin in range(0, len(shown), COLUMNS):
            piece = shown[begin : begin + COLUMNS]
            line, column = (line + 1, 0) if begin else (line, column)
            yield token, line, column, piece
            column += len(piece)
        if "\n" in text:
            line, column = line + 1, 0


def _draw_cells(axis: Axes, cells: Sequence[tuple[int, int, int, str]], level: Sequence[float]) -> None:
    shade = mpl.colormaps["YlOrRd"]
    for token, line, column, text in cells:
        value = float(level[token])
        color = shade(value * 0.85) if value >= 0 else _SILENT
        axis.add_patch(Rectangle((column, line), len(text), 0.92, facecolor=color, linewidth=0))
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
        One of the measures stored there. What is undefined is a dash on grey.

    Raises
    ------
    SchemaError
        If the agreement has not been computed, or has no such measure.
    """
    if "/analysis/agreement" not in result.groups:
        raise SchemaError("the result has no agreement yet; run tokimp.analyze(result, 'agreement') on it first")
    node = result["analysis/agreement"].to_dataset()
    measures = [str(name) for name in node["measure"].to_numpy()]
    if measure not in measures:
        raise SchemaError(f"the agreement has no measure {measure!r}; it has {', '.join(measures)}")
    names = [str(name) for name in node["estimator"].to_numpy()]
    side = 1.4 + 0.72 * len(names)
    figure = Figure(figsize=(2 * side + 1.4, side + 0.6), facecolor=_PAPER, layout="constrained")
    panels = figure.subplots(1, 2)
    # Correlations go from -1 to 1, overlaps from 0.
    lowest = -1 if measure in _CORRELATIONS else 0
    titles = ("as it is", "position partialled out")
    for axis, partial, title in zip(panels, (False, True), titles, strict=True):
        mean = node["mean"].sel(measure=measure, partial=partial).to_numpy()
        axis.set_facecolor(_SILENT)
        image = axis.imshow(np.ma.masked_invalid(mean), cmap="RdBu_r", vmin=-1, vmax=1)
        for row, column in np.ndindex(*mean.shape):
            value = mean[row, column]
            text, color = (f"{value:.2f}", _PAPER if abs(value) > 0.6 else _INK) if np.isfinite(value) else ("-", _INK)
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
        axis.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8, parse_math=False)
        axis.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
        axis.set_title(f"{measure}, {title}", fontsize=9)
    scale = figure.colorbar(image, ax=panels.tolist(), shrink=0.8)
    scale.ax.set_ylim(lowest, 1)
    scale.ax.tick_params(labelsize=8)
    scale.set_label(_SCALES.get(measure, measure), fontsize=9)
    used = int(node["chains_used"].sel(measure=measure).max())
    attributes = result.attrs
    what = f"agreement, objective {attributes['objective']}, unit {attributes['unit']}"
    figure.suptitle(f"{what}; mean over {used} chain{'' if used == 1 else 's'}", fontsize=9)
    return figure
