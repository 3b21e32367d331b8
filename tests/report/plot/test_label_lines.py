"""Labels of estimators in figures: short enough for their room, and told apart, whatever their parameters are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes

from tests.report.plot.overlaps import cut_off, overlapping, texts_of
from tokimp.report.plot.label_lines import short_labels, two_lines
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.small_panels import columns_for, draw_small_panels, panel_titles, panels_height
from tokimp.report.plot.style import new_axes, new_figure, root_figure

ESTIMATORS = st.builds(
    lambda name, values: name + "".join(f"{',' if at else ':'}{key}={value}" for at, (key, value) in enumerate(values)),
    st.sampled_from(["at2", "greedy", "my.py:Class", "/home/me/a folder/my.py:Class", "package.module:Class"]),
    st.lists(st.tuples(st.sampled_from(["path", "folder", "k"]), st.text("ab/\\.=: 1", max_size=60)), max_size=4),
)
LABELS = st.lists(ESTIMATORS | st.text(max_size=90), max_size=8, unique=True)


@given(LABELS, st.integers(8, 40))
def test_short_labels_fit_and_are_told_apart(labels: list[str], longest: int) -> None:
    """Different labels stay different, none is longer than its room but for those with line breaks of their own."""
    short = short_labels(labels, longest)
    assert len(set(short)) == len(labels)
    assert all(len(text) <= longest or "\n" in text for text in short)


@given(LABELS, st.integers(8, 40))
def test_no_line_of_two_is_wider_than_its_room(labels: list[str], longest: int) -> None:
    """Different labels stay different on two lines, and no line is half as long again as one that needs no second."""
    broken = two_lines(labels, longest)
    for label, text in zip(labels, broken, strict=True):
        assert "\n" in label or max(map(len, text.split("\n"))) <= longest + longest // 2
    if not any("\n" in label for label in labels):
        assert len({text.replace("\n", "").replace(" ", "") for text in broken}) == len(
            {text.replace(" ", "") for text in short_labels(labels, 2 * longest)}
        )


@given(st.lists(st.text("abcdefgh:=,_/", max_size=30), unique=True))
def test_labels_that_fit_stay_as_they_are(labels: list[str]) -> None:
    """What is short is written whole, a path too."""
    assert short_labels(labels) == two_lines(labels) == labels


@pytest.mark.parametrize(
    ("labels", "short"),
    [
        (["at2:path=/data/of/runs/a/at2.safetensors,heads=3"], ["at2:path=\u2026/at2.safetensors,heads=3"]),
        (
            [f"at2:path=/data/of/some/runs/seed{seed}/at2.safetensors" for seed in (0, 1)],
            ["at2:path=\u2026/seed0/at2.safetensors", "at2:path=\u2026/seed1/at2.safetensors"],
        ),
        (
            [f"greedy:strategy=fast,window={width},horizon=8,beam=6" for width in (8, 16)],
            ["greedy:window=8,\u2026", "greedy:window=16,\u2026"],
        ),
        (
            [f"resample:similarity={owner}/bge-small-en-v1.5-quantized" for owner in ("BAAI", "other")],
            ["resample:similarity=BAAI/b\u2026quantized", "resample:similarity=other/\u2026quantized"],
        ),
        (["/home/me/work/of/estimators/my.py:Class:alpha=1"], ["\u2026/my.py:Class:alpha=1"]),
        (["x:url=https://hf.co/a/b?x=1/2", "x:ratio=1/2"], ["x:url=https://hf.co/a/b?x=1/2", "x:ratio=1/2"]),
        (
            ["x:path=C:\\some\\folder\\of my own\\fitted.safetensors"],
            ["x:path=\u2026/fitted.safetensors"],
        ),
    ],
)
def test_what_tells_estimators_apart_is_left(labels: list[str], short: list[str]) -> None:
    """Folders go but for those that differ; parameters that all share go; a URL and a hub's owner stay."""
    assert short_labels(labels) == short


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
    assert len(set(panel_titles(labels, columns_for(count)))) == count
    figure = new_figure(panels_height(count))
    draw_small_panels(figure, labels, _nothing, xlabel="x", ylabel="y")
    assert overlapping(texts_of(figure)) == []
