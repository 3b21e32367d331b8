"""Numbers of estimators beside those of random orders and of position, and curves of what important units recover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tokimp.report.estimator_looks import look_of
from tokimp.report.number_texts import chains_text, shown_ends
from tokimp.report.plot.rows import Marks, draw_rows, mark_offset, rows_height
from tokimp.report.plot.small_panels import draw_band, draw_small_panels, panels_height
from tokimp.report.plot.style import (
    BAND,
    INK,
    NORMAL,
    QUIET,
    Panels,
    ShownAxes,
    foot,
    head,
    new_figure,
    styled,
)

_MARKERS = "os^vP"
_HIGHEST_MM = 200.0
"""A figure that would be higher than this has its panels beside each other: a printed page has 297 mm."""


class ComparedNumber(Protocol):
    """One number of a node: what it is called, which part of the node it is, and which values are good.

    It is what `tokimp.analysis.against_chance.conclusion.Panel` has.
    """

    @property
    def heading(self) -> str:
        """What it is called."""

    @property
    def where(self) -> Mapping[str, str]:
        """A coordinate of each dimension but ``operator``, ``estimator`` and ``chain``."""

    @property
    def better(self) -> str:
        """``high`` or ``low``."""

    @property
    def prefix(self) -> str:
        """What the names of its variables begin with."""


@styled
def compared_numbers(node: xr.Dataset, numbers: Sequence[ComparedNumber], title: str, details: str = "") -> Panels:
    """Draw each estimator's numbers with their intervals, a panel a number and a mark an operator.

    The estimator that is best by the first number and operator is on top of every panel. Grey spans the random orders,
    from the lowest to the highest draw; a hollow diamond is position. Panels stand below each other, or two beside
    each other where the figure would be too high for a page.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    numbers
        What to draw, a panel each.
    title, details
        The heading, and the line below it that names the run.

    Returns
    -------
    Panels
        The axes, one for each number.
    """
    operators = [str(name) for name in node["operator"].to_numpy()] if "operator" in node.dims else [""]
    labels = _sorted_labels(node, numbers[0], operators[0])
    height = rows_height(labels, len(operators), 13)
    columns = 1 if 24 + height * len(numbers) <= _HIGHEST_MM else 2
    rows = -(-len(numbers) // columns)
    figure = new_figure(24 + height * rows)
    panels: list[Axes] = []
    for place, number in enumerate(numbers):
        axis = figure.add_subplot(rows, columns, place + 1, axes_class=ShownAxes)
        part = node.sel(dict(number.where)).sel(estimator=labels)
        _draw_number(axis, part, number, operators, labels, has_legend=place == 0)
        axis.tick_params(labelleft=place % columns == 0)
        panels.append(axis)
    head(panels, None, title, details, chains_text(node.sizes["chain"], node.attrs["confidence"]))
    grey = "Grey: random orders, from the lowest to the highest draw. Diamond: the order of places alone."
    foot(panels, None, grey, drawn=labels)
    return Panels(panels)


@styled
def recovery_curves(node: xr.Dataset, title: str, details: str = "") -> Panels:
    """Draw the recovery curves of every estimator and operator: by importance, and by absolute importance.

    Each operator has a part of the figure, with the estimators in the same places.

    Parameters
    ----------
    node
        The node of the analysis ``cpr_cmd``: ``curve`` along ``area``, ``operator``, ``estimator`` and ``share``;
        ``position_curve`` and ``uniform_curve`` without area and estimator.
    title, details
        The heading, and the line below it that names the run.

    Returns
    -------
    Panels
        The axes, one for each operator and estimator; the estimator that recovers most comes first.
    """
    operators = [str(name) for name in node["operator"].to_numpy()]
    reach = node["curve"].sel(area="cpr", operator=operators[0]).mean("share").to_numpy()
    names = [str(name) for name in node["estimator"].to_numpy()]
    labels = [names[place] for place in np.argsort(-reach, kind="stable")]  # NaN goes last
    shares = node["share"].to_numpy()

    def draw(axis: Axes, label: str, operator: str) -> None:
        part = node.sel(operator=operator)
        band = part["uniform_curve"].to_numpy()
        draw_band(axis, shares, band.min(axis=0), band.max(axis=0), band.mean(axis=0))
        position = part["position_curve"].to_numpy()
        axis.plot(shares, position, color=QUIET, linewidth=0.8, linestyle=(0, (1, 1.2)))
        axis.axhline(1, color=INK, linewidth=0.4)
        for area, style in (("cpr", "-"), ("cmd", (0, (3, 1.2)))):
            curve = node["curve"].sel(operator=operator, area=area, estimator=label).to_numpy()
            axis.plot(shares, curve, color=look_of(label).colour, linestyle=style, linewidth=1.1)

    figure = new_figure(panels_height(len(labels), 10) * len(operators) + 28)
    parts = figure.subfigures(len(operators), 1, squeeze=False)[:, 0]
    panels: list[Axes] = []
    for part, operator in zip(parts, operators, strict=True):
        drawn = draw_small_panels(
            part, labels, partial(draw, operator=operator), xlabel="share of units kept", ylabel="share recovered"
        )
        if len(operators) > 1:
            part.suptitle(f"by {operator}", x=0.012, ha="left", fontsize=NORMAL)
        panels += drawn
    head(panels, None, title, details, f"means of {node.sizes['chain']} chains")
    feet = (
        "Solid: the most important units kept; the area below it is CPR (high is good). Dashed: those of most absolute "
        "importance; the area between it and 1 is CMD (low is good). Grey: random orders. Dotted: position."
    )
    foot(panels, None, feet, drawn=labels)
    return Panels(panels)


def _sorted_labels(node: xr.Dataset, number: ComparedNumber, operator: str) -> list[str]:
    part = node.sel(dict(number.where))
    mean = (part.sel(operator=operator) if operator else part)[f"{number.prefix}mean"].to_numpy()
    signed = mean if number.better == "high" else -mean
    names = [str(name) for name in node["estimator"].to_numpy()]
    return [names[place] for place in np.argsort(-signed, kind="stable")]  # NaN goes last


def _draw_number(
    axis: Axes,
    part: xr.Dataset,
    number: ComparedNumber,
    operators: Sequence[str],
    labels: Sequence[str],
    *,
    has_legend: bool,
) -> None:
    marks = []
    for index, operator in enumerate(operators):
        rows = part.sel(operator=operator) if operator else part
        mean, low, high, count, band_low, band_high, position = (
            rows[f"{number.prefix}{name}"].broadcast_like(rows["estimator"]).to_numpy().astype(np.float64)
            for name in ("mean", "low", "high", "chains_used", "uniform_low", "uniform_high", "position_mean")
        )
        height = np.arange(len(labels)) + mark_offset(index, len(operators))
        thick = 0.8 / len(operators)
        name = "random orders" if has_legend and index == 0 else None
        width = band_high - band_low
        axis.barh(height, width, left=band_low, height=thick, color=BAND, label=name, zorder=0.5)
        name = "position" if has_legend and index == 0 else None
        axis.plot(
            position, height, "D", markerfacecolor="none", color=QUIET, markersize=4, linestyle="none", label=name
        )
        ends = shown_ends(low, high, count)
        shown = f"by {operator}" if operator and has_legend else ""
        colours = [look_of(label).colour for label in labels]
        marks.append(Marks(shown, mean, *ends, marker=_MARKERS[index % len(_MARKERS)], colours=colours))
    draw_rows(axis, labels, marks, f"{number.heading} ({number.better} is good)")
