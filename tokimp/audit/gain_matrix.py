"""What estimators gain on position, by score: a cell for each, where an audit has too many scores for marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tokimp.report.plot.label_lines import two_lines
from tokimp.report.plot.signed_cells import draw_signed_cells
from tokimp.report.plot.style import SMALL, root_figure, text_inches

_NUMBERS_UP_TO = 10  # estimators; more leave room for a sign alone


def draw_gains(axis: Axes, entries: Sequence[Mapping[str, Any]], level: float) -> None:
    """Draw a matrix: a row a score, a column an estimator, coloured where the gain is told from position.

    Parameters
    ----------
    axis
        The panel.
    entries
        The entries of the card, one an estimator.
    level
        Below which a corrected p-value tells a gain from none.
    """
    names = [str(score["score"]) for score in entries[0]["faithfulness"]]
    values = np.full((len(names), len(entries)), np.nan)
    is_told = np.zeros(values.shape, bool)
    texts: list[list[str]] = [[""] * len(entries) for _ in names]
    for row in range(len(names)):
        gains = [entry["faithfulness"][row].get("above_position") or {} for entry in entries]
        largest = max((abs(gain["mean"]) for gain in gains if gain.get("mean") is not None), default=0.0) or 1.0
        for column, gain in enumerate(gains):
            mean, p_value = gain.get("mean"), gain.get("p_adjusted")
            if mean is None:
                continue
            values[row, column] = mean / largest
            is_told[row, column] = p_value is not None and p_value < level
            texts[row][column] = _cell_text(mean, is_told=bool(is_told[row, column]), n_columns=len(entries))
    draw_signed_cells(axis, values, is_told, texts, text_size=5, aspect="auto")
    axis.set_title("better than position by, in the unit of each score", loc="left", fontsize=SMALL)
    axis.set_yticks(range(len(names)), names, parse_math=False)
    labels = two_lines([str(entry["label"]) for entry in entries], 24)
    column_inches = axis.get_position().width * root_figure(axis).get_figwidth() / len(entries)
    widest = max(text_inches(line, SMALL) for label in labels for line in label.split("\n"))
    axis.set_xticks(range(len(entries)), labels, rotation=90 if widest > column_inches else 0, parse_math=False)
    axis.tick_params(length=0)


def _cell_text(mean: float, *, is_told: bool, n_columns: int) -> str:
    """Return the number, or its sign alone where there is no room: in grey, red and blue look alike."""
    if n_columns > _NUMBERS_UP_TO:
        return ("\u2212" if mean < 0 else "+") if is_told else "\u00b7"
    return "0" if mean == 0 else f"{mean:+.2g}".replace("-", "\u2212")
