"""Putting a result together: numbers of units stand on all of their tokens, and everything lands in its place."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.compare.assembly import build_result
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import SchemaError
from tokimp.results.schema import ATTRIBUTES, SCHEMA_VERSION
from tokimp.testing.toy_scorer import toy_chain

WORDS = toy_chain("ab c", unit="word", id="words")
ONE = toy_chain("x", unit="word", id="one")
ATTRIBUTE_VALUES: dict[str, str | int | float] = {
    **dict.fromkeys((name for name in ATTRIBUTES if name != "schema_version"), "some"),
    "created": "2026-01-31T12:00:00+00:00",
    "seed": 0,
    "skipped_count": 0,
    "skipped": "[]",
    "estimator_parameters": "{}",
}


def unpruned(reasoning: list[float], answer: list[float]) -> UnprunedLogprobs:
    """Return log-probabilities of an unpruned chain."""
    logprobs = SpanLogprobs(np.array(reasoning, np.float32), np.array(answer, np.float32))
    return UnprunedLogprobs(logprobs, seconds=0.5, tokens_forwarded=7)


def in_sequence() -> Importance:
    """Return what an estimator says that deleted the second word and stopped."""
    steps = Trajectory(np.array([-3.0]), np.array([-1.0]), np.array([-2.0]))
    return Importance(np.array([1.0, 0.0]), np.array([-1, 0]), steps, {"steps": 1.0})


def test_everything_lands_in_its_place() -> None:
    """Cells are [chain][estimator] going in, and [estimator, token] or [estimator, chain] coming out."""
    tree = build_result(
        chains=[WORDS, ONE],
        categories=[["a", "a", "", "b"], [""]],
        unpruned=[unpruned([-1, -2, -3, -4], [-0.5]), unpruned([-6], [-0.25])],
        labels=["greedy", "other"],
        cells=[
            [Cell(in_sequence(), 1.0, 10), Cell(Importance(np.array([0.0, 5.0])), 2.0, 20)],
            [Cell(Importance(np.array([7.0])), 3.0, 30), Cell(Importance(np.array([8.0])), 4.0, 40)],
        ],
        attributes=ATTRIBUTE_VALUES,
    )
    assert tree["importance"].to_numpy().tolist() == [[1, 1, 0, 0, 7], [0, 0, 5, 5, 8]]
    assert tree["rank"].to_numpy().tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    assert tree["loglik_answer"].to_numpy()[0].tolist() == pytest.approx(
        [np.nan] * 2 + [-1] * 2 + [np.nan], nan_ok=True
    )
    assert np.isnan(tree["loglik_joint"].to_numpy()[1]).all()
    assert tree["seconds"].to_numpy().tolist() == [[1, 3], [2, 4]]
    assert tree["tokens_forwarded"].to_numpy().tolist() == [[10, 30], [20, 40]]
    assert tree["diagnostic_steps"].to_numpy().ravel().tolist() == pytest.approx([1] + [np.nan] * 3, nan_ok=True)
    assert tree["full_loglik_reasoning"].to_numpy().tolist() == [-10, -6]
    assert tree["full_loglik_joint"].to_numpy().tolist() == [-10.5, -6.25]
    assert tree["full_seconds"].to_numpy().tolist() == [0.5, 0.5]
    assert tree["category"].to_numpy().tolist() == ["a", "a", "", "b", ""]
    assert "filler" not in tree
    assert tree.attrs["schema_version"] == SCHEMA_VERSION


def test_what_is_missing_is_an_error() -> None:
    """Without an attribute that every result has, there is no result."""
    with pytest.raises(SchemaError, match="attribute 'seed' is missing"):
        build_result(
            chains=[ONE],
            categories=[[""]],
            unpruned=[unpruned([-6], [-0.25])],
            labels=["a"],
            cells=[[Cell(Importance(np.array([7.0])), 3.0, 30)]],
            attributes={name: value for name, value in ATTRIBUTE_VALUES.items() if name != "seed"},
        )
