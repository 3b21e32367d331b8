"""The figure of a chain: what it draws, read off its artists."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import tokimp as ti
from tokimp.errors import EstimatorError, SchemaError
from tokimp.report.plot.chain_lanes import shade
from tokimp.report.plot.style import root_figure
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def lines_of(axis: Axes) -> list[str]:
    """Return what is written on an axis, line by line."""
    lines: dict[float, list[tuple[float, str]]] = {}
    for text in axis.texts:
        x, y = text.get_position()
        lines.setdefault(round(y, 1), []).append((x, text.get_text()))
    return ["".join(part for _, part in sorted(parts)) for _, parts in sorted(lines.items())]


def grounds(axis: Axes) -> list[tuple[float, ...]]:
    """Return the colours of the boxes behind tokens, in drawing order; the legend's are left out."""
    boxes = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    return [to_rgb(box.get_facecolor()) for box in boxes[:-41]]


def foot_of(axis: Axes) -> str:
    """Return the figure's foot, on one line."""
    return str(root_figure(axis).get_supxlabel()).replace("\n", " ")


def test_question_lanes_and_answer_are_written_as_they_are() -> None:
    """Each token stands in one piece beside the next, dollar signs included; each lane has its estimator's name."""
    tree = toy_result({"a": [[3.0, 1.0, 2.0]], "b[x]_$1$": [[1.0, 2.0, 3.0]]}, [toy_chain("$5$", id="one")])
    axis = ti.plot.chain(tree, "one")
    lines = lines_of(axis)
    assert lines[:6] == ["Question", "?", "a", "$5$", "b[x]_$1$", "$5$"]
    assert lines[6:8] == ["Answer", "!"]
    assert lines[8] == "deleted first (left) to deleted last, by rank"


def test_a_more_important_unit_is_darker() -> None:
    """Shades follow the places of units, from white for the least important."""
    tree = toy_result({"a": [[3.0, 1.0, 2.0]]}, [toy_chain("abc", id="one")])
    assert grounds(ti.plot.chain(tree, "one")) == [shade(1.0), shade(0.0), shade(0.5)]
    assert shade(0.0) == (1.0, 1.0, 1.0)


def test_units_that_tie_share_a_shade_are_underlined_and_counted() -> None:
    """A tie is no ranking: three of four units look alike, the lane's name counts them, and the foot says why."""
    tree = toy_result({"a": [[5.0, 1.0, 5.0, 5.0]]}, [toy_chain("abcd", id="one")])
    axis = ti.plot.chain(tree, "one")
    shades = grounds(axis)
    assert len({shades[0], shades[2], shades[3]}) == 1
    assert shades[1] != shades[0]
    assert len(axis.lines) == 3
    assert "a (3 of 4 units tie)" in lines_of(axis)
    assert "Underlined: units that tie" in foot_of(axis)
    apart = ti.plot.chain(toy_result({"a": [[5.0, 1.0, 4.0, 3.0]]}, [toy_chain("abcd", id="one")]), "one")
    assert not apart.lines
    assert "tie" not in foot_of(apart)


def test_units_below_a_threshold_tie_where_it_is_asked_for() -> None:
    """Two importances of a thousandth of a nat are told apart only without a threshold."""
    tree = toy_result({"a": [[0.001, 0.002, 3.0, 5.0]]}, [toy_chain("abcd", id="one")])
    assert not ti.plot.chain(tree, "one").lines
    axis = ti.plot.chain(tree, "one", tie_threshold=0.01, tie_estimators=["a"])
    assert "a (2 of 4 units tie)" in lines_of(axis)


def test_an_estimator_that_says_nothing_has_a_grey_lane() -> None:
    """Its units have no shade of importance, and its name says so."""
    tree = toy_result({"a": [[1.0, 2.0]], "mute": [[np.nan, np.nan]]}, [toy_chain("ab", id="one")])
    axis = ti.plot.chain(tree, "one")
    assert "mute (says nothing about this chain)" in lines_of(axis)
    assert grounds(axis)[2:] == [shade(np.nan)] * 2


def test_characters_that_no_font_has_are_said_in_the_foot() -> None:
    """A letter of no font is a dot, not a box, and the foot names its script; a joiner is simply left out."""
    missing = "\U00013000"  # a hieroglyph, which no font of the list has
    tree = toy_result({"a": [[1.0, 2.0, 3.0]]}, [toy_chain(f"a{missing}\u200d", id="one")])
    axis = ti.plot.chain(tree, "one")
    assert "a\u00b7" in lines_of(axis)
    assert "stands for characters that no installed font has (1 symbol)" in foot_of(axis)


def test_estimators_are_drawn_in_the_order_asked_for() -> None:
    """A single name is a list of one; an unknown one is refused."""
    tree = toy_result({"a": [[1.0, 2.0]], "b": [[2.0, 1.0]]}, [toy_chain("ab", id="one")])
    assert [line for line in lines_of(ti.plot.chain(tree, "one", ["b", "a"])) if line in {"a", "b"}] == ["b", "a"]
    assert "a" not in lines_of(ti.plot.chain(tree, "one", "b"))
    with pytest.raises(EstimatorError, match="no estimator 'c'"):
        ti.plot.chain(tree, "one", "c")


def test_a_long_question_is_cut_and_said_to_be() -> None:
    """What is left out is counted."""
    chain = toy_chain("ab", id="one", question="why " * 500)
    written = "".join(lines_of(ti.plot.chain(toy_result({"a": [[1.0, 2.0]]}, [chain]), "one")))
    assert "[...1,300morecharacters]" in written.replace(" ", "")


def test_an_unknown_chain_is_refused_by_name() -> None:
    """The error names the chain."""
    tree = toy_result({"a": [[1.0, 2.0]]}, [toy_chain("xy", id="one")])
    with pytest.raises(SchemaError, match="two"):
        ti.plot.chain(tree, "two")


def test_letters_become_smaller_where_axes_are_given() -> None:
    """Text that is too long for the axes is drawn smaller, and ends above their lower edge."""
    figure = root_figure(ti.plot.cost(toy_result({"a": [[1.0, 2.0]]})))
    small = figure.add_axes((0.0, 0.0, 0.5, 0.4))
    chain = toy_chain("ab cd ef " * 20, id="one", unit="word")
    ti.plot.chain(toy_result({"a": [list(range(len(chain.units)))]}, [chain]), "one", ax=small)
    sizes = {text.get_fontsize() for text in small.texts if isinstance(text, Text)}
    assert max(map(float, sizes)) < 6.5
    lowest = max(text.get_position()[1] for text in small.texts)
    assert lowest < small.get_ylim()[0]
