"""What holds of every figure: axes in and out, no text over another, text as it is, the caller's settings kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import tokimp as ti
from tests.report.plot.overlaps import cut_off, overlapping, texts_of
from tokimp.report.plot.style import COLUMN_MM, Panels

ON_AXES: dict[str, Callable[..., Axes]] = {
    "agreement": ti.plot.agreement,
    "agreement_pairs": ti.plot.agreement_pairs,
    "agreement_within": ti.plot.agreement_within,
    "chain": lambda result, ax=None: ti.plot.chain(result, "c0", ax=ax),
    "cost": ti.plot.cost,
    "effects": lambda result, ax=None: ti.plot.effects(result, ax=ax),
    "effect_reach": ti.plot.effect_reach,
    "faithfulness": lambda result, ax=None: ti.plot.faithfulness(result, ax=ax),
    "planted": ti.plot.planted,
    "planted_kinds": ti.plot.planted_kinds,
    "structure": lambda result, ax=None: ti.plot.structure(result, ax=ax),
}
IN_PANELS: dict[str, Callable[..., Panels]] = {
    "answer_recovery": ti.plot.answer_recovery,
    "dynamics": ti.plot.dynamics,
    "faithfulness_curves": ti.plot.faithfulness_curves,
}
WHOLE: dict[str, Callable[..., Figure]] = {
    "effects_figure": ti.plot.effects_figure,
    "faithfulness_figure": ti.plot.faithfulness_figure,
    "planted_figure": ti.plot.planted_figure,
}
EVERY = [*ON_AXES, *IN_PANELS, *WHOLE]


def figure_of(name: str, result: xr.DataTree) -> Figure:
    """Return a figure by its name."""
    if name in ON_AXES:
        return ti.plot.root_figure(ON_AXES[name](result))
    return IN_PANELS[name](result).figure if name in IN_PANELS else WHOLE[name](result)


def test_every_function_is_tried_here() -> None:
    """The lists of this file name all figures that there are."""
    # These are tried with their own analyses.
    others = {"agreement_between", "compared_numbers", "recovery_curves", "root_figure"}
    assert {*EVERY, *others} == set(ti.plot.__all__)


def test_every_kind_of_planted_text_has_its_own_mark(many: xr.DataTree) -> None:
    """The figure of the analysis names each kind with the number of its chains, in a look of its own."""
    below = ti.plot.planted_figure(many).axes[1]
    named = {line.get_label(): line for line in below.lines if not str(line.get_label()).startswith("_")}
    assert [str(label).split(" (")[0] for label in named] == ["filler", "repeated step"]
    assert len({(line.get_color(), line.get_marker()) for line in named.values()}) == 2


@pytest.mark.parametrize("name", ON_AXES)
def test_axes_that_are_given_are_drawn_on_and_returned(name: str, many: xr.DataTree) -> None:
    """No figure is made, and what else is in the given figure stays."""
    figure = Figure(figsize=(7, 9), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1])
    assert ON_AXES[name](many, ax=right) is right
    assert right.get_title(loc="left") or right.get_title()
    assert len(left.lines) == 1
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", EVERY)
def test_no_text_lies_over_another_or_is_cut_off_with_twelve_estimators(name: str, many: xr.DataTree) -> None:
    """The boxes of all texts are apart and on the page, which is as wide as a printed column; the run is named.

    A dollar sign in a label or a question is data: no text that holds one is read as mathematics.
    """
    figure = figure_of(name, many)
    assert figure.get_figwidth() * 25.4 == pytest.approx(COLUMN_MM)
    texts = texts_of(figure)
    assert overlapping(texts) == []
    assert cut_off(texts, figure) == []
    said = " ".join(text.get_text() for text in texts).replace("\n", " ")
    assert f"model {many.attrs['model_id']}, objective joint, by token" in said
    of_the_run = [text for text in texts if "$" in text.get_text() and "math" not in text.get_text()]
    assert not any(text.get_parse_math() for text in of_the_run)


@pytest.mark.parametrize("name", ["chain", "faithfulness_figure"])
def test_figures_are_written_as_png_svg_and_pdf(name: str, many: xr.DataTree, tmp_path: Path) -> None:
    """Each format takes what is drawn, dollar signs included."""
    figure = figure_of(name, many)
    for kind, begins in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        figure.savefig(tmp_path / f"{name}.{kind}")
        assert (tmp_path / f"{name}.{kind}").read_bytes().startswith(begins)


def test_the_settings_of_the_caller_stay(many: xr.DataTree) -> None:
    """Drawing leaves matplotlib's settings as they were."""
    before = dict(mpl.rcParams)
    ti.plot.cost(many)
    assert dict(mpl.rcParams) == before


def test_a_notebook_shows_a_figure_by_itself(many: xr.DataTree) -> None:
    """Axes, panels and figures all have a PNG of the whole figure, which needs no magic command."""
    shown: tuple[Any, ...] = (ti.plot.cost(many), ti.plot.dynamics(many), ti.plot.faithfulness_figure(many))
    for drawn in shown:
        assert drawn._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [*ON_AXES, *IN_PANELS])
def test_what_has_not_been_analysed_is_refused(name: str, make: Callable[..., xr.DataTree]) -> None:
    """The error says which analysis to run; a chain and the cost need none."""
    bare = make(["gradient", "surprisal"])
    if name in {"chain", "cost"}:
        assert figure_of(name, bare)
        return
    with pytest.raises(ti.TokimpError, match=r"run tokimp\.analyze|no estimator of the result says"):
        figure_of(name, bare)
