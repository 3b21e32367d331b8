"""Tables of agreement and cost, as they are printed."""

from __future__ import annotations

import io
import json
import re
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from tokimp.analysis.agreement.report import agreement_table
from tokimp.analysis.comparison_report import print_report
from tokimp.analysis.run import analyze
from tokimp.errors import SchemaError
from tokimp.report.tables import cost_table, summary_line
from tokimp.results.by_chain import concatenate
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def printed(*things: object) -> str:
    """Return what a wide terminal without colours shows."""
    console = Console(file=io.StringIO(), width=200)
    for thing in things:
        console.print(thing)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def row_of(text: str, start: str) -> list[str]:
    """Return the cells of the line that starts with a text."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{start} ")]
    return re.split(r"\s{2,}", line.strip())


def result() -> xr.DataTree:
    """Return an analysed result: two estimators that agree on three chains in various degrees, and position."""
    ramp = [0.0, 1.0, 2.0, 3.0, 4.0]
    mixed = [[1.0, 0, 2, 3, 4], [4.0, 3, 2, 1, 0], [0.0, 2, 1, 3, 4], [1.0, 2]]
    tree = toy_result({"a[0]": mixed, "b": [*mixed[::2], *mixed[:1], [2.0, 1]], "position": [ramp, ramp, ramp, [0, 1]]})
    return analyze(tree, "agreement", n_resamples=50, top_k=2)


def test_the_agreement_table_has_means_intervals_chance_and_counts() -> None:
    """A row a pair: mean and interval of each measure, chains used and left out; undefined pairs are a dash."""
    tree = result()
    text = printed(agreement_table(tree))
    mean = tree["analysis/agreement/mean"].sel(partial=False, measure="spearman", estimator="a[0]", other="b")
    row = row_of(text, "a[0] / b")
    assert row[1:] == [f"{float(mean):.2f}", *row[2:5]]  # what is the same for every pair stands below the table
    assert "over 3 chains; left out: 1 too short (under 5 units); no intervals over fewer than 5 chains" in " ".join(
        text.split()
    )
    assert row_of(text, "by chance")[1:4] == ["0.00", "0.00", "0.40"]
    assert "top 2 overlap" in text
    partial = row_of(printed(agreement_table(tree, partial=True)), "b / position")
    assert partial[-4:] == ["-"] * 4


def test_pairs_with_position_are_undefined_once_position_is_partialled_out() -> None:
    """The foot counts the chains of the pairs that have a value, and says why those with position have none."""
    tree = result()
    text = " ".join(printed(agreement_table(tree, partial=True)).split())
    assert "over 2 chains; left out: 1 too short (under 5 units), 1 undefined; no intervals over fewer than" in text
    assert "undefined with position, of which nothing is left once position is partialled out" in text
    assert "over 0" not in text
    assert agreement_table(tree, partial=True).title == "Agreement, position partialled out (mean over chains)"
    assert "undefined with" not in printed(agreement_table(tree))


def test_two_estimators_of_which_one_is_position_leave_nothing_to_count() -> None:
    """Where no pair is left the foot says only why."""
    draw = np.random.default_rng(0)
    scores = {"a": [draw.normal(size=9) for _ in range(6)], "position": [np.arange(9.0) for _ in range(6)]}
    table = agreement_table(analyze(toy_result(scores), "agreement", n_resamples=20), partial=True)
    assert table.caption == "undefined with position, of which nothing is left once position is partialled out"


def test_an_estimator_that_ranks_all_units_alike_is_counted_with_its_pair() -> None:
    """The foot is of the pairs that have a value, however few they are; position is no reason for the others."""
    draw = np.random.default_rng(0)
    one, other = ([draw.normal(size=9) for _ in range(6)] for _ in range(2))
    flat, level = ([np.full(9, value) for _ in range(6)] for value in (0.0, 1.0))
    scores = {"a": one, "b": other, "flat": flat, "level": level}
    tree = analyze(toy_result(scores), "agreement", n_resamples=20)
    for partial in (False, True):
        table = agreement_table(tree, partial=partial)
        assert table.caption == "over 6 chains"
        assert row_of(printed(table), "a / flat (over 0 chains; left out: 6 undefined)")[-1] == "-"


def test_estimators_that_tie_many_units_are_named() -> None:
    """More than a quarter of the units, on average over chains: the foot says to trust Spearman alone; not of a few."""
    draw = np.random.default_rng(0)
    whole = [draw.permutation(8).astype(float) for _ in range(5)]
    pair = [np.where(row == 1, 0, row) for row in whole]  # a quarter of the units
    half = [np.maximum(row, 4) for row in whole]
    scores = {"whole": whole, "pair": pair, "[half]": half, "flat": [np.zeros(8)] * 5}
    tree = analyze(toy_result({name: scores[name] for name in ("whole", "pair", "[half]")}), "agreement", n_resamples=9)
    assert tree["analysis/agreement/tied"].mean("chain").to_numpy().tolist() == [0, 0.25, 0.625]
    assert agreement_table(tree).title == "Agreement, as it is (mean, 95% interval over chains)"
    for partial, why in ((False, "overlap and RBO of many ties tell little"), (True, "ties are told apart by place")):
        said = str(agreement_table(tree, partial=partial).caption)
        assert r"; \[half]: more than 25% of the units tie; " in said
        assert f"{why}, so trust Spearman alone" in said
    tree["analysis/agreement"] = xr.DataTree(tree["analysis/agreement"].to_dataset().drop_vars("tied"))
    assert "tie" not in str(agreement_table(tree, partial=True).caption)  # of a result of an older version
    few = analyze(toy_result({name: scores[name] for name in ("whole", "pair")}), "agreement", n_resamples=9)
    assert "tie" not in str(agreement_table(few, partial=True).caption)


def long_labels() -> xr.DataTree:
    """Return an analysed result of six chains by estimators with long labels."""
    draw = np.random.default_rng(0)
    scores = {
        f"greedy:keep_ratio=0.{digit},objective=a": [draw.normal(size=9) for _ in range(6)] for digit in (25, 75, 85)
    }
    return analyze(toy_result(scores), "agreement", n_resamples=50)


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
    node = tree["analysis/agreement"].to_dataset()
    for partial in (False, True):
        for one, other in combinations(node["estimator"].to_numpy().tolist(), 2):
            pair = node.sel(partial=partial, estimator=one, other=other)
            for low, high in zip(pair["low"].to_numpy(), pair["high"].to_numpy(), strict=True):
                assert f"[{round(low, 2) + 0.0:.2f},{round(high, 2) + 0.0:.2f}]" in text


def test_what_goes_to_a_file_is_as_wide_as_its_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where standard output is no terminal, nothing is folded: each pair has its one line."""
    monkeypatch.delenv("COLUMNS", raising=False)
    print_report(long_labels())
    one, other = "greedy:keep_ratio=0.25,objective=a", "greedy:keep_ratio=0.75,objective=a"
    assert len(re.findall(rf"^ {re.escape(one)} / {re.escape(other)} .*\]", capsys.readouterr().out, re.MULTILINE)) == 2


def test_the_cost_table_adds_up() -> None:
    """A row an estimator: chains, seconds and positions, in all and a chain; chains it did not see do not count."""
    seen = toy_result({"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, [toy_chain("xy", id="one")])
    unseen = toy_result({"a": [[1.0]]}, [toy_chain("x", id="two")])
    text = printed(cost_table(concatenate([seen, unseen])))
    assert row_of(text, "a") == ["a", "2", "4.00", "2.000", "70", "35"]
    assert row_of(text, "b") == ["b", "1", "2.00", "2.000", "40", "40"]
    assert row_of(text, "unpruned") == ["unpruned chains", "2", "1.00", "0.500", "7", "4"]


def test_the_summary_names_what_was_left_out() -> None:
    """Chains, model, objective and unit in a line, with the number of records left out."""
    tree = toy_result({"a": [[1.0, 2.0], [1.0]]})
    tree.attrs.update(skipped_count=2)
    line = summary_line(tree)
    assert "chains: 2, of 1 to 2 reasoning tokens" in line
    assert "records left out: 2" in line


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


def test_one_estimator_has_a_cost_and_no_agreement() -> None:
    """With a single estimator the report is its cost alone, and needs no analysis."""
    console = Console(file=io.StringIO(), width=200)
    print_report(toy_result({"a": [[1.0]]}), console)
    written = console.file
    assert isinstance(written, io.StringIO)
    assert "Cost" in written.getvalue()
    assert "Agreement" not in written.getvalue()


def test_a_result_without_agreement_says_how_to_get_it() -> None:
    """Asked for the table of an agreement that was not computed, the error names the call."""
    with pytest.raises(SchemaError, match=r"tokimp\.analyze\(result, 'agreement'\)"):
        agreement_table(toy_result({"a": [[1.0]], "b": [[1.0]]}))
