"""The one style of all figures: sizes for a printed column, headings, feet, and axes that are given or made."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Annotation

from tokimp.report.plot.fonts import drawable, families, missing_text

INK, QUIET, LINE, PAPER = "#1c1c1c", "#5c5c5c", "#d4d4d4", "#ffffff"
BAND = "#dcdcdc"
"""The range of random orders."""
SILENT = "#ededed"
"""A place without a value."""
COLUMN_MM = 85
"""Width of a column of a printed page."""
DPI = 300
_MM = 1 / 25.4
_LETTER = 0.56
"""Mean width of a letter of DejaVu Sans, as a share of its size."""

SMALL, NORMAL, LARGE = 5.5, 6.5, 7.5
"""Sizes of letters, in points: feet and numbers, labels, headings."""

# What drawing is done with. Text is data: a `$` in a token or label is a dollar sign, not mathematics.
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "text.color": INK,
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.labelsize": NORMAL,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.4,
    "hatch.linewidth": 0.5,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "savefig.dpi": DPI,
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function that draws in the style of tokimp's figures; the settings of the caller stay as they are."""

    @wraps(draw)
    def draw_in_style(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with mpl.rc_context({**_STYLE, "font.family": families()}):
            return draw(*args, **kwargs)

    return draw_in_style


class ShownFigure(Figure):
    """A figure that a notebook shows by itself, without a magic command."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


class ShownAxes(Axes):
    """Axes that a notebook shows with their whole figure."""

    def _repr_png_(self) -> bytes:
        return png_bytes(root_figure(self))


class Panels(tuple[Axes, ...]):
    """The axes of a figure of several panels; a notebook shows the whole figure."""

    __slots__ = ()

    @property
    def figure(self) -> Figure:
        """The figure that the panels are in."""
        return root_figure(self[0])

    def _repr_png_(self) -> bytes:
        return png_bytes(self.figure)


def root_figure(axes: Axes) -> Figure:
    """Return the figure that axes are in, which is never a part of another figure."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes that were removed from their figure are not drawn on
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG, for a screen."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=200)
    return stream.getvalue()


def new_axes(ax: Axes | None, height_mm: float, width_mm: float = COLUMN_MM) -> Axes:
    """Return the axes to draw on: those given, or the only axes of a new figure as wide as a printed column."""
    if ax is not None:
        return ax
    return new_figure(height_mm, width_mm).add_subplot(axes_class=ShownAxes)


def new_figure(height_mm: float, width_mm: float = COLUMN_MM) -> ShownFigure:
    """Return an empty figure, whose panels leave room for headings, labels and feet."""
    # Space around panels in inches, and between them as a share of their size.
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.08, wspace=0.02, hspace=0.03)
    return ShownFigure(figsize=(width_mm * _MM, height_mm * _MM), facecolor=PAPER, layout=layout, dpi=200)


def run_text(result: xr.DataTree) -> str:
    """Return the words of a heading that say what run a figure is about: model, objective and unit."""
    attributes = result.attrs
    model = str(attributes["model_id"]).rstrip("/").rpartition("/")[2]
    return f"model {model}, objective {attributes['objective']}, by {attributes['unit']}"


def head(axes: Sequence[Axes], ax: object, title: str, *lines: str) -> None:
    """Write the heading: what is shown, and below it which run, how many chains, and what the numbers are.

    Parameters
    ----------
    axes
        The panels, the first on top.
    ax
        What the caller gave to draw on. The heading of axes that were given stands over them; without any it stands at
        the top of the new figure.
    title
        What is shown.
    lines
        Further lines; empty ones are left out.
    """
    figure = root_figure(axes[0])
    given = ax is not None
    width = (axes[0].get_position().width if given else 1.0) * figure.get_figwidth()
    heading = wrapped(title, width, LARGE)
    details = [part for line in lines for part in wrapped(line, width, NORMAL)]
    if given:
        axes[0].set_title("\n".join([*heading, *details]), loc="left", fontsize=NORMAL, parse_math=False)
        return
    # The layout makes room for the whole heading; its details are then written, smaller, over its empty last lines.
    room = [*heading, *(" " for _ in details)]
    whole = figure.suptitle("\n".join(room), x=0.012, ha="left", fontsize=LARGE, linespacing=1.2, parse_math=False)
    below = Annotation(
        "\n".join(details), (0, 0), xycoords=whole, va="bottom", fontsize=NORMAL, color=QUIET, linespacing=1.3
    )
    figure.add_artist(below)


def foot(axes: Sequence[Axes], ax: object, *sentences: str, drawn: Iterable[str] = ()) -> None:
    """Write the foot: what marks and greys mean, and characters that no font has.

    Parameters
    ----------
    axes, ax
        As of `head`.
    sentences
        What to write; empty sentences are left out. Without any there is no foot.
    drawn
        Texts of the run that the figure shows, such as labels and tokens.
    """
    missing: set[str] = set().union(*(drawable(text)[1] for text in drawn))
    said = " ".join(filter(None, [*sentences, missing_text(missing)]))
    if not said:
        return
    figure = root_figure(axes[0])
    if ax is not None:
        last = axes[-1]
        lines = wrapped(said, last.get_position().width * figure.get_figwidth(), SMALL)
        last.set_xlabel("\n".join([last.get_xlabel(), *lines]).lstrip("\n"), parse_math=False)
        return
    lines = wrapped(said, figure.get_figwidth(), SMALL)
    figure.supxlabel("\n".join(lines), x=0.012, ha="left", fontsize=SMALL, color=QUIET, parse_math=False)


def text_inches(text: str, points: float) -> float:
    """Return about how wide a line of text is."""
    return len(text) * _LETTER * points / 72


def wrapped(text: str, inches: float, points: float) -> list[str]:
    """Return a text in lines that fit into a width, its missing characters replaced; no lines for an empty text."""
    return textwrap.wrap(drawable(text)[0], max(20, int(inches / text_inches("x", points))))


def prepare(axis: Axes, grid: str = "both") -> None:
    """Give a panel the sizes of the style, also where matplotlib makes ticks later, and a grid behind what is drawn.

    Parameters
    ----------
    axis
        The panel.
    grid
        ``x``, ``y``, ``both``, or an empty text for none.
    """
    axis.tick_params(labelsize=SMALL, color=QUIET, labelcolor=INK, width=0.6, length=2.0, pad=2)
    axis.set_axisbelow(True)
    if grid:
        axis.grid(visible=True, axis=grid, color=LINE, linewidth=0.4)  # type: ignore[arg-type] # one of its literals


def message(axis: Axes, text: str) -> None:
    """Write in an empty panel why there is nothing to draw."""
    figure = root_figure(axis)
    lines = wrapped(text, 0.8 * axis.get_position().width * figure.get_figwidth(), NORMAL)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", transform=axis.transAxes, color=QUIET)
