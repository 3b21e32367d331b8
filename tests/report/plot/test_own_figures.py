"""The figures that analyses and reports return themselves: at one column's width, named, without texts over others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import tokimp as ti
from tests.report.plot.conftest import LABELS, SCORER, make_chain, make_result
from tests.report.plot.overlaps import cut_off, overlapping, texts_of
from tokimp.report.plot.rows import Marks, draw_rows
from tokimp.report.plot.small_panels import draw_small_panels
from tokimp.report.plot.student_panels import StudentCurves, student_accuracy
from tokimp.report.plot.style import COLUMN_MM, new_axes, new_figure

CHANCE: dict[str, Any] = {"n_uniform": 2, "replacement": ".", "measure": "answer"}
PARAMETERS: dict[str, dict[str, Any]] = {
    "at2": {"iterations": 3, "ablations": 6, "folds": 3},
    "cpr_cmd": {**CHANCE, "shares": [0.0, 0.5, 1.0]},
    "log_odds": {"n_uniform": 2},
    "magnitude": {**CHANCE, "steps": 3},
    "naopc": {**CHANCE, "exact_units": 4, "beam": 1},
    "plausibility": {"n_uniform": 2},
    "soft_faithfulness": {"n_uniform": 2, "n_draws": 2, "narrowest": 0.0},
}
PAGE_MM = 297


def figure_of(name: str, labels: list[str], n_chains: int) -> Figure:
    """Return the figure of an analysis of a result made anew."""
    analysis = ti.load_analysis(name, **PARAMETERS[name])
    chains = [make_chain(number, 6) for number in range(n_chains)]
    result = make_result(labels, n_chains, 6)
    options: dict[str, Any] = {"scorer": SCORER, "chains": chains} if analysis.requires else {}
    figure = analysis.figure(ti.analyze(result, analysis, **options))
    assert isinstance(figure, Figure)
    return figure


@pytest.mark.parametrize("name", PARAMETERS)
def test_figures_of_analyses_are_named_and_fit_a_page_with_twelve_estimators(name: str) -> None:
    """Model, objective, unit and number of chains are said; no text lies over another or is cut off."""
    figure = figure_of(name, list(LABELS), 3)
    texts = texts_of(figure)
    assert overlapping(texts) == []
    assert cut_off(texts, figure) == []
    assert figure.get_figwidth() * 25.4 == pytest.approx(COLUMN_MM)
    assert figure.get_figheight() * 25.4 < PAGE_MM
    said = " ".join(text.get_text() for text in texts).replace("\n", " ")
    assert "model Writer, objective joint, by token" in said
    assert "3 chains" in said


@pytest.mark.parametrize("name", ["cpr_cmd", "magnitude", "plausibility"])
def test_a_single_estimator_with_a_strange_name_and_one_chain_are_drawn(name: str) -> None:
    """Mathematics, markup, Chinese and emoji in a label are text."""
    figure = figure_of(name, ["a_$\\frac$<b>新🙂"], 1)
    texts = texts_of(figure)
    assert overlapping(texts) == []
    assert any("a_$\\frac$<b>" in text.get_text() for text in texts)
    assert any("1 chain" in text.get_text() for text in texts)


def test_no_mark_is_cut_off_by_the_limits_of_an_axis() -> None:
    """A mean less what chance gives may lie beyond 1; the axis then reaches to it."""
    axis = new_axes(None, 40)
    none = np.full(2, np.nan)
    draw_rows(axis, ["a", "b"], [Marks("", np.array([0.5, 1.2]), none, none)], "r", chance=0.0, limits=(-1, 1))
    assert axis.get_xlim()[1] > 1.2


def test_a_series_without_a_mark_is_not_in_the_legend() -> None:
    """What the legend names is seen."""
    axis = new_axes(None, 40)
    none = np.full(1, np.nan)
    series = [Marks("seen", np.array([0.5]), none, none), Marks("absent", none, none, none)]
    draw_rows(axis, ["a"], series, "r")
    assert axis.get_legend_handles_labels()[1] == ["seen"]


def test_what_brackets_say_of_an_axis_stays_together() -> None:
    """A label of two lines is broken before its bracket."""
    axis = new_axes(None, 40)
    none = np.full(1, np.nan)
    draw_rows(axis, ["a" * 25], [Marks("", none, none, none)], "the mean of something that is long (high is good)")
    assert axis.get_xlabel().split("\n") == ["the mean of something that is long", "(high is good)"]


def test_the_legend_of_students_leaves_the_heading_of_its_panel_alone() -> None:
    """Twelve methods and both references have room above the first panel."""
    methods = [*(label.replace("$", "") for label in LABELS)]
    points = [(method, ratio) for method in methods for ratio in (0.9, 0.5)]
    numbers = {"accuracy": 0.5, "lowest": 0.4, "highest": 0.6}
    pruned = pd.DataFrame([{"method": method, "keep_ratio": ratio, **numbers} for method, ratio in points])
    references = pd.DataFrame([{"kind": kind, **numbers} for kind in ("untrained", "unpruned")])
    shown = [StudentCurves(f"{name}, taught by $t$", pruned, references) for name in ("one", "another")]
    figure = student_accuracy(shown, 500, 3).figure
    texts = texts_of(figure)
    assert overlapping(texts) == []
    assert cut_off(texts, figure) == []


def test_a_minus_is_read_on_dark_and_on_light_blue(make: Callable[..., xr.DataTree]) -> None:
    """Minus signs of strong effects are white, those of weak ones black."""
    axis = ti.plot.effects(make(["leave_one_out"], n_chains=1))
    colours = {text.get_color() for text in axis.texts if text.get_text() == "\u2212"}
    assert colours == {"#ffffff", "#1c1c1c"}


def test_a_label_wider_than_its_panel_is_written_once() -> None:
    """Below four narrow panels, what the x axis shows is said at the first one."""

    def draw(axis: Axes, label: str) -> None:
        axis.plot([0, 1], label=label)

    panels = draw_small_panels(
        new_figure(60), [str(number) for number in range(16)], draw, xlabel="share of the units kept", ylabel="y"
    )
    assert [axis.get_xlabel() for axis in panels[12:]] == ["share of the units kept", "", "", ""]
