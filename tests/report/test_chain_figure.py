"""The figure of a chain: what it draws, read off its artists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from tokimp.errors import SchemaError
from tokimp.report.chain_figure import COLUMNS, draw_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def drawn_text(axis: Axes) -> str:
    """Return the characters on an axis in reading order."""
    placed = sorted((round(text.get_position()[1], 1), text.get_position()[0], text.get_text()) for text in axis.texts)
    return "".join(character for _, _, character in placed)


def rectangles(axis: Axes) -> list[Rectangle]:
    """Return the shaded boxes of an axis in drawing order."""
    return [patch for patch in axis.patches if isinstance(patch, Rectangle)]


def test_every_character_stands_once_for_each_estimator_and_important_tokens_are_darker(tmp_path: Path) -> None:
    """The text reads as it is, dollar signs included, and the higher a token's rank the darker its box."""
    tree = toy_result({"a": [[3.0, 1.0, 2.0]], "b[x]": [[1.0, 2.0, 3.0]]}, [toy_chain("$5$", id="one")])
    figure = draw_chain(tree, "one")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a", "b[x]"]
    assert [drawn_text(axis) for axis in figure.axes] == ["$5$", "$5$"]
    brightness = [sum(to_rgb(box.get_facecolor())) for box in rectangles(figure.axes[0])]
    assert np.argsort(brightness).tolist() == [0, 2, 1]
    figure.savefig(tmp_path / "chain.png")


def test_long_reasoning_is_broken_into_lines_and_newlines_are_shown() -> None:
    """No line is longer than the page, and a newline is an arrow that ends its line."""
    text = "x" * (COLUMNS + 5) + "\ny"
    tree = toy_result({"a": [list(np.arange(len(text), dtype=float))]}, [toy_chain(text, id="one")])
    (axis,) = draw_chain(tree, "one").axes
    places = [text.get_position() for text in axis.texts]
    assert max(x for x, _ in places) < COLUMNS
    assert [int(y) for _, y in places] == [0] * COLUMNS + [1] * 6 + [2]
    assert drawn_text(axis).endswith("xxxxx\u21b5y")


def test_an_unknown_chain_is_refused_by_name() -> None:
    """The error names the chain."""
    tree = toy_result({"a": [[1.0, 2.0]]}, [toy_chain("xy", id="one")])
    with pytest.raises(SchemaError, match="two"):
        draw_chain(tree, "two")
