"""A figure of one chain: its reasoning once for each estimator, the tokens shaded by rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tokimp.report.figure_style import INK, PAPER, SILENT
from tokimp.results.by_chain import one_chain
from tokimp.results.views import chain_table

COLUMNS = 92
_CHARACTER_INCHES, _LINE_INCHES = 0.088, 0.21


def draw_chain(result: xr.DataTree, chain_id: str) -> Figure:
    """Draw the reasoning of one chain once for each estimator, the tokens it ranks highest darkest.

    If an estimator says nothing about the chain, its tokens are grey.

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
    figure = Figure(figsize=(COLUMNS * _CHARACTER_INCHES + 0.4, height), facecolor=PAPER)
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
        color = shade(value * 0.85) if value >= 0 else SILENT
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
                color=PAPER if value > 0.75 else INK,
                parse_math=False,
            )


def _prepare(axis: Axes, title: str, lines: int) -> None:
    axis.set_xlim(0, COLUMNS)
    axis.set_ylim(lines, 0)
    axis.axis("off")
    axis.set_title(title, loc="left", fontsize=9, fontweight="bold", color=INK, pad=3, parse_math=False)
