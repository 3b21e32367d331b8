"""Tables and figure of the agreement within groups, read off their cells and artists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tokimp as ti
from tokimp.analysis.agreement.within_report import agreement_within_table
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.errors import SchemaError
from tokimp.results.analysis_nodes import analysis_node
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
    analysis = ti.load_analysis("agreement_within")
    plain, partial = analysis.tables(ti.analyze(result, analysis))
    assert said not in str(plain.caption)
    assert said in str(partial.caption)
    few = toy_result({"a": [[3, 1]], "b": [[1, 2]]}, [chain("mm")])
    analysis = ti.load_analysis("agreement_within")
    assert all("undefined" not in str(table.caption) for table in analysis.tables(ti.analyze(few, analysis)))


def test_what_has_not_been_analysed_is_refused() -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        agreement_within_table(toy_result({"a": [[1.0, 2.0]]}))


def test_beyond_place_nothing_is_left_of_a_shape_within_a_group() -> None:
    """Methods that share only a preference for late units agree in a group that lies anywhere, and not beyond place."""
    rng = np.random.default_rng(0)
    labels = ["".join(rng.choice(list("mn"), size=60)) for _ in range(12)]
    made = [chain(text, f"c{index}") for index, text in enumerate(labels)]
    chains = [replace(one, chain=replace(one.chain, question=one.chain.id)) for one in made]
    late = 3 * (np.arange(60) >= 48)
    scores = {name: [late + rng.normal(size=60) for _ in labels] for name in "ab"}
    analysis = ti.load_analysis("agreement_within")
    tree = ti.analyze(toy_result(scores, chains), analysis)
    node = analysis_node(tree, "agreement_within").sel(estimator="a", other="b")
    assert (node["mean"].sel(partial=True) > 0.15).all()
    assert (node["beyond_place_low"] < 0).all()
    assert (node["beyond_place_high"] > 0).all()
    *_, table = analysis.tables(tree)
    assert str(table.title) == "Spearman correlation by category, beyond place"
    assert "Not told from chance: correlation beyond place of a / b in m and a / b in n." in str(table.caption)
