"""Tables and figure of a distillation."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.text import Text
from rich.console import Console
from rich.table import Table

from tokimp.distillation.report import accuracy_tables, difference_table, draw_curves, length_table

NAMES = {"student": "s", "teacher": "t", "pruner": "t"}


def point(kind: str, method: str | None, ratio: float, accuracy: float, *, matched: bool = True) -> dict[str, object]:
    """Return a row of a table of curves."""
    names = {
        **NAMES,
        **({"pruner": None} if kind != "pruned" else {}),
        **({"teacher": None} if kind == "untrained" else {}),
    }
    numbers = {"accuracy": accuracy, "lowest": accuracy - 0.1, "highest": accuracy + 0.1, "deviation": 0.05, "seeds": 3}
    shares = {"kept_share": ratio, "kept_tokens": 9.0, "changed_chains": 0.25, "changed_tokens": 0.125}
    told = {"n": 40, "unparsed": 0.0, "reasoning_tokens": 12.5, "chains": 7.0, "matched": matched, "off_target": 0.0}
    return {**names, "kind": kind, "method": method, "keep_ratio": ratio, **numbers, **shares, **told}


CURVES = pd.DataFrame(
    [
        point("untrained", None, 1.0, 0.11),
        point("unpruned", None, 1.0, 0.77),
        point("pruned", "greedy[x]", 0.9, 0.71),
        point("pruned", "uniform", 0.9, 0.52, matched=False),
        point("pruned", "greedy[x]", 0.5, 0.66),
    ]
)


def text(table: Table) -> str:
    """Return a table as it is printed."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_accuracies_stand_by_method_and_ratio() -> None:
    """Means with deviations, a dash where there is no cell, a star where lengths differ, baselines below."""
    (table,) = accuracy_tables(CURVES)
    shown = text(table)
    greedy = next(line for line in shown.splitlines() if "greedy[x]" in line)
    uniform = next(line for line in shown.splitlines() if "uniform" in line)
    assert greedy.split() == ["greedy[x]", "0.710", "±0.050", "0.660", "±0.050"]
    assert uniform.split() == ["uniform", "0.520", "±0.050*", "-"]
    assert "untrained student" in shown
    assert "not at the same length" in " ".join(shown.split())
    assert "s taught by t (40 questions)" in shown


def test_lengths_say_what_was_kept_and_what_tokenising_anew_changed() -> None:
    """Kept share, whether matched, shares changed, and what students write."""
    line = next(line for line in text(length_table(CURVES)).splitlines() if "uniform" in line)
    assert line.split() == ["s", "t", "t", "uniform", "7", "0.9", "0.900", "no", "0.250", "0.125", "12.5"]
    assert "changed: share of chains whose shortened text, tokenised anew," in text(length_table(CURVES))


def test_differences_are_told_from_the_better_side() -> None:
    """A pair is shown better first, its interval turned round with it; pairs that do not differ are counted only."""
    pairs = pd.DataFrame(
        [
            {**NAMES, "keep_ratio": 0.5, "first": "a", "second": "b", "difference": -0.2, "low": -0.3, "high": -0.1}
            | {"p_value": 0.0001, "p_holm": 0.002, "test": "McNemar"},
            {**NAMES, "keep_ratio": 0.5, "first": "a", "second": "c", "difference": 0.01, "low": -0.1, "high": 0.1}
            | {"p_value": 0.5, "p_holm": 1.0, "test": "McNemar"},
        ]
    )
    shown = text(difference_table(pairs))
    line = next(line for line in shown.splitlines() if "+0.200" in line)
    assert line.split() == ["s", "t", "t", "0.5", "b", "a", "+0.200", "[+0.100,+0.300]", "<0.001", "0.002"]
    assert "1 of 2 pairs" in shown
    assert "about other questions for the same students" in shown
    several = text(difference_table(pairs.assign(test="seeds and questions")))
    assert "about other trainings and other questions" in several
    assert "none differ" not in shown
    none = text(difference_table(pairs[1:]))
    assert [line.strip() for line in none.splitlines() if "none differ" in line] == ["none differ"]
    assert "0 of 1 pairs" in none


def test_the_figure_has_a_line_a_method_with_its_band() -> None:
    """Points are the means, bands reach from the lowest to the highest seed, both baselines are there."""
    figure = draw_curves(CURVES)
    (axis,) = [each for each in figure.axes if each.get_title(loc="left")]
    lines = {str(line.get_label()): line for line in axis.get_lines()}
    assert lines["greedy[x]"].get_xdata().tolist() == [0.5, 0.9]  # type: ignore[union-attr] # an array, as drawn
    assert lines["greedy[x]"].get_ydata().tolist() == [0.66, 0.71]  # type: ignore[union-attr] # likewise
    assert {"untrained student", "trained on whole chains", "uniform"} <= lines.keys()
    low, high = axis.collections[0].get_datalim(axis.transData).intervaly
    assert (low, high) == (pytest.approx(0.56), pytest.approx(0.81))
    assert axis.xaxis_inverted()


def test_before_the_first_student_of_pruned_chains_the_figure_says_so() -> None:
    """Of baselines alone there is neither a line nor a legend, but a figure that says what is to come."""
    figure = draw_curves(CURVES[CURVES["kind"] != "pruned"])
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["no student taught by pruned chains yet"]
    assert figure.axes[0].get_legend() is None
    assert any("40 questions" in text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize(("lowest", "highest"), [(0.0, 1.0), (0.02, 0.99), (0.4, 0.6), (0.0, 0.0), (1.0, 1.0)])
def test_the_axis_ends_where_shares_do(lowest: float, highest: float) -> None:
    """No tick stands above 1 or below 0, yet a whole marker fits at either end."""
    rows = [point("pruned", "uniform", 0.9, highest), point("pruned", "uniform", 0.5, lowest)]
    curves = pd.DataFrame([{**row, "lowest": row["accuracy"], "highest": row["accuracy"]} for row in rows])
    figure = draw_curves(curves)
    figure.draw_without_rendering()
    axis = figure.axes[0]
    bottom, top = axis.get_ylim()
    assert all(-1e-9 <= tick <= 1 + 1e-9 for tick in axis.get_yticks() if bottom <= tick <= top)
    # Half of a marker of 3.2 points and of its edge of 1.
    half = 2.1 * (top - bottom) / (axis.get_window_extent().height * 72 / figure.dpi)
    assert -0.03 <= bottom <= lowest - half
    assert highest + half <= top <= 1.03
