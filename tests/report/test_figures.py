"""Figures: what they draw, read off their artists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from tokimp.analysis.agreement.report import draw_agreement
from tokimp.analysis.run import analyze
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


def test_the_agreement_is_written_in_the_cells_and_what_is_undefined_is_a_dash() -> None:
    """Two matrices, each cell its mean; pairs with position have none once position is partialled out."""
    values = [[1.0, 0, 2, 3, 4], [4.0, 3, 2, 0, 1]]
    ramp = [0.0, 1, 2, 3, 4]
    tree = analyze(toy_result({"a": values, "position": [ramp, ramp]}), "agreement", n_resamples=20)
    plain, partial, _ = draw_agreement(tree).axes
    mean = float(
        tree["analysis/agreement/mean"].sel(measure="spearman", partial=False, estimator="a", other="position")
    )
    assert [text.get_text() for text in plain.texts] == ["1.00", f"{mean:.2f}", f"{mean:.2f}", "1.00"]
    assert [text.get_text() for text in partial.texts] == ["1.00", "-", "-", "-"]


@pytest.mark.parametrize(
    ("measure", "label", "lowest"), [("spearman", "Spearman correlation", -1), ("rbo", "rank-biased overlap", 0)]
)
def test_the_agreement_says_of_what_it_is_and_what_its_colours_mean(
    measure: str, label: str, lowest: float, tmp_path: Path
) -> None:
    """Objective, unit and number of chains in the title; beside the matrices the values that the measure can take."""
    scores = {"a": [[1.0, 0, 2, 3, 4]] * 2, "b": [[4.0, 3, 2, 0, 1]] * 2}
    chains = [toy_chain("abcde", id="one", unit="word"), toy_chain("v w x y z", id="two", unit="word")]
    scores = {name: [[1.0], row[0]] for name, row in scores.items()}
    tree = analyze(toy_result(scores, chains, objective="answer"), "agreement", n_resamples=20)
    figure = draw_agreement(tree, measure)
    assert figure.get_suptitle() == "agreement, objective answer, unit word; mean over 1 chain"
    scale = figure.axes[2]
    assert scale.get_ylabel() == label
    assert scale.get_ylim() == (lowest, 1)
    figure.savefig(tmp_path / "agreement.svg")


def test_what_cannot_be_drawn_is_refused_by_name() -> None:
    """No agreement yet, an unknown measure, an unknown chain: each is a clear error."""
    tree = toy_result({"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, [toy_chain("xy", id="one")])
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        draw_agreement(tree)
    with pytest.raises(SchemaError, match="no measure 'beauty'; it has spearman"):
        draw_agreement(analyze(tree, "agreement"), measure="beauty")
    with pytest.raises(SchemaError, match="two"):
        draw_chain(tree, "two")
