"""One chain as a figure: its question, its reasoning once for each estimator, shaded by importance, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.report.places import unit_places
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.style import (
    COLUMN_MM,
    INK,
    PAPER,
    QUIET,
    SILENT,
    ShownAxes,
    foot,
    head,
    new_figure,
    root_figure,
    run_text,
    styled,
)
from tokimp.report.plot.text_layout import LINE_HEIGHT, Piece, lay_out
from tokimp.results.by_chain import one_chain, unit_scores
from tokimp.results.selection import estimator_label
from tokimp.results.ties import tie

_SIZE = 6.5  # points
_SHADE = to_rgb("#08519c")
_STRONGEST = 0.88  # share of the shade in the most important unit's ground, as in notebooks and the explorer
_LIGHT_TEXT_FROM = 0.55
_LONGEST_QUESTION = 700  # characters
_GAP = 0.6  # of a line, between blocks
_LEGEND_LINES = 2.2


@dataclass(frozen=True, slots=True)
class _Block:
    """A heading, and text below it: the question, the answer, or the reasoning as one estimator sees it."""

    heading: str
    texts: Sequence[str]
    shades: FloatArray | None = None
    tied: np.ndarray | None = None


@styled
def chain(
    result: xr.DataTree,
    chain_id: str,
    estimators: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    tie_threshold: float = 0.0,
    tie_estimators: Sequence[str] = (),
) -> Axes:
    """Draw one chain: its question, its reasoning once for each estimator with important units dark, and its answer.

    Units that tie share a shade, that of their mean place, and are underlined. If an estimator says nothing about the
    chain, its lane is grey and says so.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.
    chain_id
        The chain to draw.
    estimators
        Labels or names of the estimators to draw, in this order; all by default.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide and as high as the text needs. On axes that are
        given, letters become smaller if the text does not fit.
    tie_threshold, tie_estimators
        Units that matter less than this (nats) tie, by these estimators (`tokimp.results.ties.tie`).

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    SchemaError
        If there is no such chain.
    EstimatorError
        If there is no such estimator.
    """
    part = one_chain(tie(result, tie_threshold, tie_estimators), chain_id)
    asked = [estimators] if isinstance(estimators, str) else estimators
    labels = [str(label) for label in part["estimator"].to_numpy()]
    shown = labels if asked is None else [estimator_label(part, name) for name in asked]
    blocks = [
        _Block("Question", _in_words(_shortened(str(part["question"].item())))),
        *_lanes(part, [labels.index(label) for label in shown], labels),
        _Block("Answer", _in_words(str(part["answer"].item()))),
    ]
    if ax is None:
        axis, laid_out, size = _own_axes(blocks)
    else:
        axis, laid_out, size = _given_axes(ax, blocks)
    _draw(axis, blocks, laid_out, size)
    head([axis], ax, f"Chain {chain_id}", run_text(result))
    ties = "Underlined: units that tie share their mean place." if any(_has_ties(block) for block in blocks) else ""
    drawn = [text for block in blocks for text in (block.heading, *block.texts)]
    foot([axis], ax, ties, drawn=[text.replace("\n", " ").replace("\t", " ") for text in drawn])
    return axis


def _lanes(part: xr.Dataset, rows: Sequence[int], labels: Sequence[str]) -> list[_Block]:
    """Return a block for each estimator."""
    owners = part["unit"].to_numpy()
    places, scores = unit_places(part), unit_scores(part)
    texts = _token_texts(part)
    blocks = []
    for row in rows:
        tied = _ties(scores[row])
        heading = labels[row]
        if np.isnan(places[row]).all():
            heading += " (says nothing about this chain)"
        elif tied.any():
            heading += f" ({int(tied.sum())} of {len(tied)} units tie)"
        blocks.append(_Block(heading, texts, places[row][owners], tied[owners]))
    return blocks


def _token_texts(part: xr.Dataset) -> list[str]:
    """Return what each token adds to the text: a character split over several tokens is drawn once, by the first."""
    reasoning = str(part["reasoning"].item())
    texts, covered = [], 0
    for start, end in zip(part["token_start"].to_numpy(), part["token_end"].to_numpy(), strict=True):
        texts.append(reasoning[max(covered, start) : end])
        covered = max(covered, int(end))
    return texts


def _ties(scores: FloatArray) -> np.ndarray:
    """Return whether another unit has a unit's importance too, [unit]."""
    if np.isnan(scores).any():
        return np.zeros(len(scores), dtype=bool)
    groups: tuple[FloatArray, IntArray, IntArray] = np.unique(scores, return_inverse=True, return_counts=True)
    _, group, size = groups
    tied: np.ndarray = size[group] > 1
    return tied


def _has_ties(block: _Block) -> bool:
    return block.tied is not None and bool(block.tied.any())


def _in_words(text: str) -> list[str]:
    """Return a text in pieces between which a line may break."""
    return [f" {word}" if place else word for place, word in enumerate(text.split(" "))]


def _shortened(text: str) -> str:
    left_out = len(text) - _LONGEST_QUESTION
    return text if left_out <= 40 else f"{text[:_LONGEST_QUESTION]} [... {left_out:,} more characters]"


def _own_axes(blocks: Sequence[_Block]) -> tuple[Axes, list[list[Piece]], float]:
    """Return axes of a new figure that is as high as the text, and the text laid out."""
    width = COLUMN_MM * 72 / 25.4 - 8
    laid_out = [lay_out(block.texts, _SIZE, width) for block in blocks]
    height = _n_lines(laid_out) * _SIZE * LINE_HEIGHT
    figure = new_figure((height + 42) * 25.4 / 72)
    axis = figure.add_subplot(axes_class=ShownAxes)
    _measure(axis, width, height)
    return axis, laid_out, _SIZE


def _given_axes(axis: Axes, blocks: Sequence[_Block]) -> tuple[Axes, list[list[Piece]], float]:
    """Return the axes, and the text laid out in letters so small that it fits."""
    figure, place = root_figure(axis), axis.get_position()
    width, height = (72 * share * inches for share, inches in zip(place.size, figure.get_size_inches(), strict=True))
    size = _SIZE
    while True:
        laid_out = [lay_out(block.texts, size, width) for block in blocks]
        if _n_lines(laid_out) * size * LINE_HEIGHT <= height or size < 1:
            _measure(axis, width, height)
            return axis, laid_out, size
        size *= 0.95


def _measure(axis: Axes, width: float, height: float) -> None:
    """Make the axes measure points, from the top left corner."""
    axis.set_xlim(0, width)
    axis.set_ylim(height, 0)
    axis.axis("off")


def _n_lines(laid_out: Sequence[Sequence[Piece]]) -> float:
    """Return the number of lines of all blocks with their headings, the space between them, and the legend."""
    texts = sum(1 + (pieces[-1].line + 1 if pieces else 0) for pieces in laid_out)
    return texts + _GAP * len(laid_out) + _LEGEND_LINES


def _draw(axis: Axes, blocks: Sequence[_Block], laid_out: Sequence[Sequence[Piece]], size: float) -> None:
    line_height = size * LINE_HEIGHT
    top = 0.0
    for block, pieces in zip(blocks, laid_out, strict=True):
        is_lane = block.shades is not None
        axis.text(
            0,
            top + 0.72 * line_height,
            drawable(block.heading)[0],
            fontsize=size,
            fontweight="bold" if is_lane else "normal",
            color=INK if is_lane else QUIET,
            parse_math=False,
        )
        top += line_height
        for piece in pieces:
            _draw_piece(axis, block, piece, top + piece.line * line_height, size)
        top += (pieces[-1].line + 1 if pieces else 0) * line_height + _GAP * line_height
    _draw_legend(axis, top, size)


def _draw_piece(axis: Axes, block: _Block, piece: Piece, top: float, size: float) -> None:
    line_height = size * LINE_HEIGHT
    colour = INK
    if block.shades is not None and block.tied is not None:
        place = float(block.shades[piece.token])
        ground = shade(place)
        colour = PAPER if place > _LIGHT_TEXT_FROM else INK
        # A hair's breadth of paper between tokens shows where they begin.
        box = Rectangle((piece.left + 0.15, top + 0.5), max(0.3, piece.width - 0.3), line_height - 1.2)
        box.set(facecolor=ground, linewidth=0)
        axis.add_patch(box)
        if block.tied[piece.token]:
            below = [top + line_height - 1.5] * 2
            axis.plot([piece.left + 0.6, piece.left + piece.width - 0.6], below, color=colour, linewidth=0.5)
    stripped = piece.text.lstrip(" ")
    if stripped:
        axis.text(
            piece.left + piece.width,
            top + 0.72 * line_height,
            stripped.rstrip(" "),
            fontsize=size,
            color=colour,
            ha="right",
            parse_math=False,
        )


def shade(place: float) -> tuple[float, float, float]:
    """Return the ground of a unit by its place, from 0 (least important) to 1; grey where there is none."""
    if np.isnan(place):
        return to_rgb(SILENT)
    weight = _STRONGEST * place
    red, green, blue = (weight * dark + (1 - weight) * light for dark, light in zip(_SHADE, to_rgb(PAPER), strict=True))
    return red, green, blue


def _draw_legend(axis: Axes, top: float, size: float) -> None:
    """Draw the scale of shades at the foot."""
    steps, width, line_height = 40, 9.0 * size, size * LINE_HEIGHT
    top += 0.3 * size
    for step in range(steps):
        box = Rectangle((step * width / steps, top), width / steps + 0.05, 0.8 * line_height)
        box.set(facecolor=shade(step / (steps - 1)), linewidth=0)
        axis.add_patch(box)
    frame = Rectangle((0, top), width, 0.8 * line_height, fill=False, edgecolor=QUIET, linewidth=0.3)
    axis.add_patch(frame)
    text = "deleted first (left) to deleted last, by rank"
    axis.text(width + 0.6 * size, top + 0.6 * line_height, text, fontsize=size * 0.9, color=QUIET)
