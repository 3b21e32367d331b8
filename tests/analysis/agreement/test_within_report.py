"""Tables and figure of the agreement within groups, read off their cells and artists."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tokimp as ti
from tokimp.analysis.agreement.within_report import agreement_within_table
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.errors import SchemaError
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def chain(labels: str, name: str = "c", answer: str = "1", gold: str | None = None) -> TokenizedChain:
    """Return a chain of one token a label."""
    made = toy_chain("x" * len(labels), id=name, answer=answer)
    spans = tuple(CategorySpan(i, i + 1, label) for i, label in enumerate(labels))
    return replace(made, chain=replace(made.chain, category=spans, gold=gold))


def test_the_tables_say_that_nothing_is_left_of_position() -> None:
    """Only where position is partialled out, and of no other estimator."""
    result = toy_result({"a": [[3, 1, 2, 5, 4]], "[position]": [[0, 1, 2, 3, 4]]}, [chain("mmmmm")])
    said = r"undefined with \[position], of which nothing is left"
    analysis = ti.load_analysis("agreement_within", n_resamples=20)
    plain, partial = analysis.tables(ti.analyze(result, analysis))
    assert said not in str(plain.caption)
    assert said in str(partial.caption)
    few = toy_result({"a": [[3, 1]], "b": [[1, 2]]}, [chain("mm")])
    analysis = ti.load_analysis("agreement_within", n_resamples=20)
    assert all("undefined" not in str(table.caption) for table in analysis.tables(ti.analyze(few, analysis)))


def test_what_has_not_been_analysed_is_refused() -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        agreement_within_table(toy_result({"a": [[1.0, 2.0]]}))
