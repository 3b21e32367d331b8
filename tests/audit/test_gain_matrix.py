"""The matrix of what estimators gain on position: colours and texts of its cells."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tokimp.audit.gain_matrix import draw_gains
from tokimp.chains.arrays import FloatArray


def entries_of(gains: dict[str, list[tuple[float | None, float | None]]]) -> list[dict[str, Any]]:
    """Return entries of a card: for each estimator mean and corrected p-value by score."""
    return [
        {
            "label": label,
            "faithfulness": [
                {"score": f"score_{row}", "above_position": {"mean": mean, "p_adjusted": p_value}}
                for row, (mean, p_value) in enumerate(of_scores)
            ],
        }
        for label, of_scores in gains.items()
    ]


def shown_in(axis: Axes) -> FloatArray:
    """Return what the colours of a matrix stand for, NaN where there is none."""
    (image,) = axis.get_images()
    array = image.get_array()
    assert array is not None
    return np.ma.filled(array, np.nan)


def test_only_what_is_told_has_a_colour_and_every_number_stands_there() -> None:
    """Colours are shares of a score's largest gain or loss, told or not; others are white; no value is a dash."""
    entries = entries_of(
        {"a": [(2.0, 0.01), (-0.5, 0.9)], "b": [(-4.0, 0.2), (None, None)], "c": [(0.0, None), (1.0, 0.04)]}
    )
    axis = Figure().add_subplot()
    draw_gains(axis, json.loads(json.dumps(entries)), 0.05)
    np.testing.assert_array_equal(shown_in(axis), [[0.5, np.nan, np.nan], [np.nan, np.nan, 1.0]])
    assert [text.get_text() for text in axis.texts] == ["+2", "\u22124", "0", "\u22120.5", "\u2013", "+1"]
    assert len(axis.collections) == 1
    assert [label.get_text() for label in axis.get_yticklabels()] == ["score_0", "score_1"]


def test_many_estimators_have_signs() -> None:
    """Where cells have no room for numbers, a sign tells gains from losses in grey, and a dot what is not told."""
    names = "abcdefghijk"
    axis = Figure().add_subplot()
    draw_gains(axis, entries_of({name: [(1.0, 0.01), (-1.0, 0.01), (3.0, 0.5)] for name in names}), 0.05)
    assert [text.get_text() for text in axis.texts] == ["+"] * 11 + ["\u2212"] * 11 + ["\u00b7"] * 11


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_the_level_is_that_of_the_audit(level: float) -> None:
    """A corrected p-value of 0.1 tells at the level 0.2 and not at 0.05."""
    axis = Figure().add_subplot()
    draw_gains(axis, entries_of({"a": [(1.0, 0.1)]}), level)
    assert bool(np.isnan(shown_in(axis)).item()) == (level == 0.05)
