"""Curves over seeds, matched lengths, and tests between methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tokimp.distillation.steps.results import _test, curve_table


def answers(rows: list[str]) -> list[dict[str, bool]]:
    """Return the right answers of each seed, from a text of 1 and 0, one a question."""
    return [{f"q{index:03}": mark == "1" for index, mark in enumerate(row)} for row in rows]


def test_with_several_seeds_a_difference_counts_trainings_and_questions() -> None:
    """Two students of a hundred questions each differ; that one training of a method went well is no difference."""
    better, worse = "1" * 60 + "0" * 40, "1" * 20 + "0" * 80
    always = _test(list(zip(answers([better] * 3), answers([worse, worse[1:] + "1", worse]), strict=True)))
    assert always["test"] == "seeds and questions"
    assert always["difference"] == pytest.approx(0.4, abs=0.01)
    assert always["p_value"] < 0.001
    assert 0.2 < always["low"] < always["difference"] < always["high"] < 0.6
    once = _test(list(zip(answers([better, worse]), answers([worse, worse]), strict=True)))
    assert once["difference"] == pytest.approx(0.2)
    assert once["p_value"] > 0.2
    assert once["low"] < 0
    # With one of the two pairs alone, the questions are the only thing that is random.
    alone = _test(list(zip(answers([better]), answers([worse]), strict=True)))
    assert alone["test"] == "McNemar"
    assert alone["p_value"] < 0.001


def test_seeds_without_any_difference_are_told_apart_from_nothing() -> None:
    """The same answers have no interval, and no evidence."""
    same = answers(["1100", "1100"])
    found = _test(list(zip(same, same, strict=True)))
    assert found["difference"] == 0
    assert np.isnan([found["low"], found["high"]]).all()
    assert found["p_value"] == 1


def cell(method: str | None, ratio: float, seed: int, accuracy: float, share: float | None) -> dict[str, object]:
    """Return a row of a table of cells."""
    kind = "unpruned" if method is None else "pruned"
    row: dict[str, object] = {"cell": f"{method}{ratio}{seed}", "kind": kind, "student": "s", "teacher": "t"}
    row |= {"pruner": None if method is None else "t", "method": method, "estimator": method, "objective": "joint"}
    row |= {"keep_ratio": ratio, "seed": seed, "accuracy": accuracy, "n": 10, "unparsed": 0.0, "not_known": 0.1}
    row |= {"reasoning_tokens": 5.0, "kept_share": share, "kept_tokens": 3.0, "changed_chains": 0.0}
    return {**row, "changed_tokens": 0.0, "chains": 4}


def test_curves_are_means_over_seeds_and_lengths_are_checked() -> None:
    """Mean, extremes and deviation are over seeds; a method that kept more than the others is marked."""
    table = pd.DataFrame(
        [
            cell(None, 1.0, 0, 0.9, None),
            *(cell("a", 0.5, seed, accuracy, 0.500) for seed, accuracy in enumerate((0.2, 0.4, 0.6))),
            *(cell("b", 0.5, seed, 0.3, 0.510) for seed in range(3)),
            *(cell("c", 0.5, seed, 0.3, 0.540) for seed in range(3)),
        ]
    )
    # Five right of ten in every cell.
    right = {name: {f"q{index}": index < 5 for index in range(10)} for name in table["cell"]}
    curves = curve_table(table, right).set_index("method", drop=False)
    a = curves.loc["a"]
    assert (a["accuracy"], a["lowest"], a["highest"], a["seeds"]) == (pytest.approx(0.4), 0.2, 0.6, 3)
    assert a["deviation"] == pytest.approx(0.2)
    assert a["not_known"] == pytest.approx(0.1)
    assert 0 <= a["low"] < 0.5 < a["high"] <= 1
    whole = curves[curves["kind"] == "unpruned"].iloc[0]
    assert (whole["low"], whole["high"]) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    # The mean kept share is 0.517: a and c are more than 0.01 away from it, b is not.
    assert [bool(curves.loc[name, "matched"]) for name in ("a", "b", "c")] == [False, True, False]
    assert curves.loc["b", "off_target"] == pytest.approx(0.01)
    assert bool(curves[curves["kind"] == "unpruned"]["matched"].all())
