"""Labels of estimators in figures: short enough for their room, and told apart, whatever their parameters are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes

from tests.report.plot.overlaps import cut_off, overlapping, texts_of
from tokimp.report.plot.label_lines import one_line, two_lines
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.small_panels import draw_small_panels, panels_height
from tokimp.report.plot.style import new_axes, new_figure, root_figure

LABELS = st.text("abcdefgh/:=,_. ", max_size=120)


@given(LABELS, st.integers(8, 40))
def test_no_line_is_wider_than_its_room(label: str, longest: int) -> None:
    """One line has at most so many characters as are asked for, and each of two lines half as many again."""
    assert len(one_line(label, longest)) <= longest
    lines = two_lines(label, longest).split("\n")
    assert len(lines) <= 2
    assert all(len(line) <= longest + longest // 2 for line in lines)


@given(st.text("abcdefgh:=,_", max_size=30))
def test_a_label_that_fits_stays_as_it_is(label: str) -> None:
    """What is short and no path is written whole."""
    assert one_line(label) == two_lines(label) == label


def test_of_a_path_the_last_part_is_left() -> None:
    """Folders go; a pair of estimators, a package's name and a path's own file stay."""
    assert one_line("at2:path=/a/b/c.safetensors,heads=3") == "at2:path=\u2026/c.safetensors,heads=3"
    assert one_line("attention:weights=rollout / h2o") == "attention:weights=rollout / h2o"
    assert one_line("my/package:Class") == "my/package:Class"


def drawn_rows(labels: list[str], n_marks: int) -> Axes:
    """Return a figure of rows, as tall as it is made for them."""
    axis = new_axes(None, rows_height(labels, n_marks))
    means = np.linspace(0, 1, len(labels))
    draw_rows(axis, labels, [Marks(f"mark {place}", means, means, means) for place in range(n_marks)], "a number")
    return axis


@pytest.mark.parametrize("count", [5, 13, 40])
@pytest.mark.parametrize("n_marks", [1, 2])
def test_labels_of_rows_do_not_lie_on_each_other(count: int, n_marks: int) -> None:
    """However many rows there are, with one mark or two, each label has the height that it needs."""
    labels = [f"resample:measure=kl,seed={place},folder=/data/texts/of-{place}" for place in range(count)]
    axis = drawn_rows(labels, n_marks)
    texts = texts_of(root_figure(axis))
    assert overlapping(texts) == []
    assert cut_off(texts, root_figure(axis)) == []
    assert len({label.get_text() for label in axis.get_yticklabels()}) == count


def _nothing(axis: Axes, label: str) -> None:
    """Draw nothing in a panel."""


@pytest.mark.parametrize("count", [3, 7, 14])
def test_titles_of_small_panels_do_not_lie_on_each_other(count: int) -> None:
    """Whatever the number of panels and the length of their labels, no title runs into the next panel's."""
    labels = [f"resample:measure=accuracy,temperature=1.{place},folder=/data/texts" for place in range(count)]
    figure = new_figure(panels_height(count))
    draw_small_panels(figure, labels, _nothing, xlabel="x", ylabel="y")
    assert overlapping(texts_of(figure)) == []
