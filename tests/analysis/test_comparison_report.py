"""The report that a comparison prints."""

from __future__ import annotations

import io
import json
import re
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from tokimp.analysis.agreement.agreement import Agreement
from tokimp.analysis.comparison_report import print_report
from tokimp.analysis.run import analyze
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result


def result() -> xr.DataTree:
    """Return an analysed result: two estimators that agree on three chains in various degrees, and position."""
    ramp = [0.0, 1.0, 2.0, 3.0, 4.0]
    mixed = [[1.0, 0, 2, 3, 4], [4.0, 3, 2, 1, 0], [0.0, 2, 1, 3, 4], [1.0, 2]]
    tree = toy_result({"a[0]": mixed, "b": [*mixed[::2], *mixed[:1], [2.0, 1]], "position": [ramp, ramp, ramp, [0, 1]]})
    return analyze(tree, "agreement", top_k=2)


def long_labels() -> xr.DataTree:
    """Return an analysed result of six chains by estimators with long labels."""
    draw = np.random.default_rng(0)
    scores = {
        f"greedy:keep_ratio=0.{digit},objective=a": [draw.normal(size=9) for _ in range(6)] for digit in (25, 75, 85)
    }
    return analyze(toy_result(scores), "agreement")


@pytest.mark.parametrize("width", [30, 60, 80, 100, 200])
def test_no_width_cuts_anything_off(width: int) -> None:
    """On narrow and wide terminals alike every label and every interval is there, each in one piece."""
    tree = long_labels()
    console = Console(file=io.StringIO(), width=width)
    print_report(tree, console)
    written = console.file
    assert isinstance(written, io.StringIO)
    text = written.getvalue()
    assert "…" not in text
    for label in tree["estimator"].to_numpy().tolist():
        assert len(re.findall(rf"(?<!\S){re.escape(label)}(?!\S)", text)) >= 5  # in two pairs, twice, and by its cost
    node = analysis_node(tree, "agreement")
    for partial in (False, True):
        for one, other in combinations(node["estimator"].to_numpy().tolist(), 2):
            pair = node.sel(partial=partial, estimator=one, other=other)
            for low, high in zip(pair["low"].to_numpy(), pair["high"].to_numpy(), strict=True):
                assert f"[{round(low, 2) + 0.0:.2f},{round(high, 2) + 0.0:.2f}]" in text


def test_what_goes_to_a_file_is_no_wider_than_a_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where standard output is no terminal, lines have a hundred columns or fewer, and every label is whole."""
    monkeypatch.delenv("COLUMNS", raising=False)
    print_report(long_labels())
    written = capsys.readouterr().out
    assert max(map(len, written.splitlines())) <= 100
    for label in ("greedy:keep_ratio=0.25,objective=a", "greedy:keep_ratio=0.75,objective=a"):
        assert written.count(label) >= 5  # in two pairs, twice, and by its cost


def test_the_report_prints_everything_and_square_brackets_as_they_are() -> None:
    """The whole report: summary, agreement twice, cost; labels with brackets are not taken for markup."""
    console = Console(file=io.StringIO(), width=200)
    tree = result()
    tree.attrs["skipped"] = json.dumps([{"where": "f:3", "id": "x", "reason": "no [answer]"}])
    print_report(tree, console)
    written = console.file
    assert isinstance(written, io.StringIO)
    text = written.getvalue()
    assert text.index("as it is") < text.index("position partialled out") < text.index("Cost")
    assert text.count("a[0] / position") == 2
    assert "left out: f:3: no [answer]" in text
    assert "more: attribute" not in text


def test_of_many_records_left_out_the_first_are_printed() -> None:
    """Hundreds of reasons would push the tables off the screen: five are printed, the others counted."""
    console = Console(file=io.StringIO(), width=200)
    tree = result()
    tree.attrs["skipped"] = json.dumps([{"where": f"f:{n}", "id": str(n), "reason": "empty"} for n in range(12)])
    print_report(tree, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("left out: f:") == 5
    assert "left out: f:4: empty" in text
    assert "and 7 more: attribute 'skipped' of the result" in text


def test_one_estimator_has_a_cost_and_no_agreement() -> None:
    """With a single estimator the report is its cost alone, and needs no analysis."""
    console = Console(file=io.StringIO(), width=200)
    print_report(toy_result({"a": [[1.0]]}), console)
    written = console.file
    assert isinstance(written, io.StringIO)
    assert "Cost" in written.getvalue()
    assert "Agreement" not in written.getvalue()


def test_chains_that_are_all_too_short_get_a_sentence_in_place_of_empty_tables() -> None:
    """Two tables of dashes say less than how many units are needed, and how many there are."""
    tree = analyze(toy_result({"a": [[1.0, 2.0], [3.0, 1.0, 2.0]], "b": [[2.0, 1.0], [1.0, 2.0, 3.0]]}), "agreement")
    console = Console(file=io.StringIO(), width=200)
    print_report(tree, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "Agreement is not known: it needs chains of 5 units or more, and the longest of these has 3." in text
    assert "a / b" not in text
    (table,) = Agreement().tables(tree)
    assert "`tokimp analyze RUN agreement:minimum_units=3` compares shorter ones" in str(table.caption)
    assert str(table.caption) in " ".join(text.split())


def test_chains_of_one_unit_get_another_advice() -> None:
    """No number of units can be asked for that would rank a single one."""
    tree = analyze(toy_result({"a": [[1.0], [3.0]], "b": [[2.0], [1.0]]}), "agreement")
    (table,) = Agreement().tables(tree)
    assert "One unit cannot be ranked; compare smaller ones, such as tokens." in str(table.caption)
    assert "minimum_units" not in str(table.caption)
