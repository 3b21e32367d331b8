"""Curves over seeds, matched lengths, and tests between methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.distillation.steps.results import _test, curve_table, holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_never_below_the_p_value_nor_above_bonferroni(p_values: list[float]) -> None:
    """Corrected values keep the order of the p-values, and lie between them and Bonferroni's."""
    corrected = holm(p_values)
    for p_value, found in zip(p_values, corrected, strict=True):
        assert p_value - 1e-9 <= found <= min(1.0, len(p_values) * p_value) + 1e-9
    assert np.all(np.diff(np.array(corrected)[np.argsort(p_values, kind="stable")]) >= 0)


def test_holm_by_hand() -> None:
    """The textbook's example: 0.01, 0.04, 0.03, 0.005 become 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == [0.03, 0.06, 0.06, 0.02]


def test_differences_that_are_all_alike_have_an_interval() -> None:
    """With several seeds, as with one, the interval of a difference without spread is the difference itself."""
    first, second = dict.fromkeys("abc", True), dict.fromkeys("abc", False)
    for pairs in ([(first, second)], [(first, second), (first, first)]):
        found = _test(pairs, 0)
        assert found["low"] == found["difference"] == found["high"] == 1 / len(pairs)


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
    curves = curve_table(table).set_index("method", drop=False)
    a = curves.loc["a"]
    assert (a["accuracy"], a["lowest"], a["highest"], a["seeds"]) == (pytest.approx(0.4), 0.2, 0.6, 3)
    assert a["deviation"] == pytest.approx(0.2)
    assert a["not_known"] == pytest.approx(0.1)
    # The mean kept share is 0.517: a and c are more than 0.01 away from it, b is not.
    assert [bool(curves.loc[name, "matched"]) for name in ("a", "b", "c")] == [False, True, False]
    assert curves.loc["b", "off_target"] == pytest.approx(0.01)
    assert bool(curves[curves["kind"] == "unpruned"]["matched"].all())
