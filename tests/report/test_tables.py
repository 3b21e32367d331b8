"""Tables of cost, and the summary, as they are printed."""

from __future__ import annotations

import io
import re

import numpy as np
from rich.console import Console

from tokimp.contracts.estimator import Importance
from tokimp.report.tables import cost_table, diagnostics_table, summary_line
from tokimp.results.joining import concat
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


def test_the_cost_table_adds_up() -> None:
    """A row an estimator: chains, seconds and positions, in all and a chain; chains it did not see do not count."""
    seen = toy_result({"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, [toy_chain("xy", id="one")])
    unseen = toy_result({"a": [[1.0]]}, [toy_chain("x", id="two")])
    text = printed(cost_table(concat([seen, unseen])))
    assert row_of(text, "a") == ["a", "2", "4.00", "2.000", "70", "35"]
    assert row_of(text, "b") == ["b", "1", "2.00", "2.000", "40", "40"]
    assert row_of(text, "unpruned") == ["unpruned chains", "2", "1.00", "0.500", "7", "4"]


def test_the_cost_table_says_that_methods_share_what_they_ask() -> None:
    """With several methods a note explains why one may cost nothing; one method alone shares with none."""
    chains = [toy_chain("xy", id="one")]
    assert "costs a later one nothing" in printed(
        cost_table(toy_result({"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, chains))
    )
    assert "costs a later one nothing" not in printed(cost_table(toy_result({"a": [[1.0, 2.0]]}, chains)))


def test_diagnostics_stand_together_by_estimator() -> None:
    """The diagnostics of one estimator are not scattered among those of others."""
    first = Importance(np.array([1.0, 2.0]), diagnostics={"late": 1.0, "alone": 2.0})
    second = Importance(np.array([2.0, 1.0]), diagnostics={"most": 3.0, "early": 4.0})
    text = printed(diagnostics_table(toy_result({"b": [first], "a": [second]})))
    rows = [line.split()[:2] for line in text.splitlines() if line.split()[:1] in (["a"], ["b"])]
    assert rows == [["b", "alone"], ["b", "late"], ["a", "early"], ["a", "most"]]


def test_diagnostics_are_explained_below() -> None:
    """Each diagnostic that tokimp knows has a line that says what it is, once, and the page that says more is named."""
    known = {"p_min": 0.5, "somebody_elses": 1.0}
    first, second = (Importance(np.array(scores), diagnostics=known) for scores in ([1.0, 2.0], [2.0, 1.0]))
    text = printed(diagnostics_table(toy_result({"b": [first], "a": [second]})))
    assert text.count("p_min: smallest p-value of a unit") == 1
    assert "somebody_elses:" not in text
    assert "docs/methods.md, Diagnostics" in text


def test_the_summary_names_what_was_left_out() -> None:
    """Chains, model, objective and unit in a line, with the number of records left out."""
    tree = toy_result({"a": [[1.0, 2.0], [1.0]]})
    tree.attrs.update(skipped_count=2)
    line = summary_line(tree)
    assert "chains: 2, of 1 to 2 reasoning tokens" in line
    assert "records left out: 2" in line
