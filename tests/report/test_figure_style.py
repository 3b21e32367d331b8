"""The look of figures: lines that differ, and one legend for those that have a name."""

from __future__ import annotations

from matplotlib.figure import Figure

from tokimp.report.figure_style import finish, line_look


def test_no_two_of_the_first_32_lines_look_the_same() -> None:
    """Colour, marker and dashes together tell 32 estimators apart."""
    assert len({tuple(sorted(line_look(index).items())) for index in range(32)}) == 32


def test_a_figure_has_one_legend_of_the_lines_with_labels() -> None:
    """The legend names the labelled lines of the first panel; a dollar sign in a label is text."""
    figure = Figure(layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], label="a_$x$")
    axis.plot([1, 0])
    finish(figure, axis, "6 chains")
    (legend,) = figure.legends
    (text,) = legend.get_texts()
    assert text.get_text() == "a_$x$"
    assert not text.get_parse_math()
    assert figure.get_suptitle() == "6 chains"


def test_without_labels_there_is_no_legend() -> None:
    """A figure of lines without names has a heading alone."""
    figure = Figure(layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1])
    finish(figure, axis, "nothing")
    assert not figure.legends
