"""The schema: what is valid, what is named when something is not, and that its description is true."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.errors import SchemaError
from tokimp.results.schema import ATTRIBUTES, VARIABLES, ranks, unstorable, validate
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

DOCUMENT = Path(__file__).parents[2] / "docs" / "schema.md"


def sequential() -> xr.DataTree:
    """Return a result with words, two chains, and an estimator that deletes in sequence."""
    chains = [toy_chain("ab c. d", unit="word", id="one"), toy_chain("x", id="two")]
    trajectory = Trajectory(np.array([-3.0, -2.0]), np.array([-1.0, -1.5]), np.array([-2.0, -0.5]))
    removed = Importance(np.array([1.0, 2.0, 0.0]), np.array([1, -1, 0]), trajectory, {"steps": 2.0})
    return toy_result({"greedy": [removed, [0.0]], "position": [[0, 1, 2], [0]]}, chains)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_ranks_are_the_order_of_a_stable_sort(scores: list[int]) -> None:
    """The unit of rank r is the r-th of the units sorted by score, those that tie from the left."""
    expected = sorted(range(len(scores)), key=lambda unit: (scores[unit], unit))
    places = ranks(np.array(scores, dtype=float))
    assert [places.tolist().index(place) for place in range(len(scores))] == expected


def test_what_estimators_say_is_spread_over_tokens() -> None:
    """Each token has its unit's score, rank and the likelihoods after its removal; units that stayed have NaN."""
    dataset = sequential().to_dataset().sel(estimator="greedy")
    assert dataset["unit"].to_numpy().tolist() == [0, 0, 1, 1, 1, 2, 2, 0]
    assert dataset["importance"].to_numpy().tolist() == [1, 1, 2, 2, 2, 0, 0, 0]
    assert dataset["rank"].to_numpy().tolist() == [1, 1, 2, 2, 2, 0, 0, 0]
    assert dataset["loglik_joint"].to_numpy()[:7].tolist() == pytest.approx(
        [-2, -2, *[np.nan] * 3, -3, -3], nan_ok=True
    )
    assert dataset["loglik_answer"].to_numpy()[5] == -1
    assert dataset["loglik_reasoning"].to_numpy()[5] == -2
    assert dataset["diagnostic_steps"].to_numpy().tolist() == pytest.approx([2, np.nan], nan_ok=True)
    assert dataset["full_loglik_joint"].to_numpy().tolist() == [-7.5, -1.5]
    assert dataset["token_text"].to_numpy().tolist() == list("ab c. dx")


Change = Callable[[xr.Dataset], xr.Dataset]


def with_value(name: str, index: tuple[int, ...], value: object) -> Change:
    """Return a change that sets one value of a variable."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        values = dataset[name].to_numpy().copy()
        values[index] = value
        return dataset.assign({name: (dataset[name].dims, values)})

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.drop_vars("rank"), "variable 'rank' is missing"),
        (lambda d: d.drop_vars("estimator"), "coordinate 'estimator' is missing"),
        (lambda d: d.drop_attrs(deep=False), "attribute 'seed' is missing"),
        (lambda d: d.assign_attrs(schema_version=99), "'schema_version' is 99; this tokimp reads 1"),
        (lambda d: d.assign(importance=d["importance"].T), "'importance' has dimensions"),
        (lambda d: d.assign(rank=d["rank"].astype(float)), "'rank' has dtype float64, not int64"),
        (lambda d: d.isel(estimator=[]), "dimension 'estimator' is empty"),
        (with_value("gold", (0,), 3), "'gold' holds 3, which is not text"),
        (with_value("chain_id", (0,), "two"), "'chain_id' 'two' occurs more than once"),
        (lambda d: d.assign_coords(estimator=["x", "x"]), "'estimator' 'x' occurs more than once"),
        (with_value("reasoning_length", (0,), 6), "adds up to 7 for 8 tokens"),
        (with_value("chain_index", (7,), 0), "'chain_index' does not follow"),
        (with_value("position", (7,), 1), "'position' does not count"),
        (with_value("unit", (7,), 1), "chain 'two': 'unit' does not number"),
        (with_value("token_end", (6,), 9), "chain 'one': a token's characters lie outside"),
        (with_value("token_text", (0,), "b"), "chain 'one': 'token_text' is not the reasoning's text"),
        (with_value("importance", (0, 1), 7.0), "'one', 'greedy': 'importance' differs between tokens of one unit"),
        (with_value("importance", (1, 7), np.inf), "'two', 'position': 'importance' is neither finite"),
        (with_value("importance", (1, 7), np.nan), "'rank' must be -1"),
        (with_value("rank", (1, 7), 1), "'rank' is not the ascending order"),
        (with_value("loglik_answer", (1, 7), -1.0), "'two', 'position': the three logliks"),
    ],
)
def test_what_is_wrong_is_named(change: Change, named: str) -> None:
    """Each break of the format is found, and named with variable, chain and estimator."""
    with pytest.raises(SchemaError, match=re.escape(named)):
        validate(xr.DataTree(change(sequential().to_dataset())))


def test_everything_wrong_is_listed() -> None:
    """One error lists all that is wrong, not just the first."""
    dataset = sequential().to_dataset().drop_vars(["gold", "rank"])
    with pytest.raises(SchemaError) as caught:
        validate(xr.DataTree(dataset))
    assert "'gold' is missing" in str(caught.value)
    assert "'rank' is missing" in str(caught.value)


def test_likelihoods_belong_to_the_units_ranked_first() -> None:
    """Likelihoods after removal where the ranks say that another unit went first are found."""
    dataset = sequential().to_dataset()
    for name in ("loglik_joint", "loglik_answer", "loglik_reasoning"):
        values = dataset[name].to_numpy().copy()
        values[0, 5:7] = np.nan
        dataset[name] = (dataset[name].dims, values)
    with pytest.raises(SchemaError, match="logliks are given for units other than those ranked as removed first"):
        validate(xr.DataTree(dataset))


def test_other_names_are_free() -> None:
    """Variables, attributes and nodes that are not reserved may be added."""
    tree = sequential()
    dataset = tree.to_dataset().assign(mine=("token", np.arange(8))).assign_attrs(note="mine")
    added = xr.DataTree(dataset)
    added["elsewhere"] = xr.DataTree(xr.Dataset({"x": 1}))
    validate(added)


@pytest.mark.parametrize(("text", "problem"), [("a\0", "NUL"), ("\udc00", "surrogate"), ("é\U0001f600\n", None)])
def test_what_a_file_cannot_hold_is_named(text: str, problem: str | None) -> None:
    """NUL and half surrogate pairs are found; every other text can be stored."""
    reason = unstorable(text)
    assert reason is None if problem is None else problem in str(reason)


def test_the_document_lists_every_reserved_name() -> None:
    """docs/schema.md has a row for every variable, with its dimensions, type and unit, and one for every attribute."""
    text = DOCUMENT.read_text(encoding="utf-8")
    # A bar within a cell is written with a backslash before it.
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in text.splitlines()]
    rows = [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]
    for name, spec in VARIABLES.items():
        kind = "text" if spec.dtype == "object" else spec.dtype
        assert [f"`{name}`", ", ".join(spec.dims), kind, spec.units, spec.meaning] in rows
    for name, meaning in ATTRIBUTES.items():
        assert [f"`{name}`", meaning] in rows


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_id", -5),
        ("prompt_length", -1),
        ("answer_length", -1),
        ("full_tokens_forwarded", -1),
        ("tokens_forwarded", -2),
        ("logprob", np.nan),
        ("full_loglik_joint", np.nan),
        ("full_loglik_answer", np.nan),
        ("full_loglik_reasoning", np.nan),
        ("logprob", np.inf),
        ("full_loglik_answer", np.inf),
    ],
)
def test_a_number_that_cannot_be_is_named(name: str, value: float) -> None:
    """An id or a count below 0, and a likelihood that is no number, are no valid result."""
    dataset = toy_result({"a": [[1.0, 2.0, 3.0]]}).to_dataset().copy(deep=True)
    dataset[name].to_numpy().ravel()[0] = value
    with pytest.raises(SchemaError, match=f"'{name}' holds"):
        validate(xr.DataTree(dataset))
