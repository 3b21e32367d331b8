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
        ("logprob", 0.5),
        ("full_loglik_joint", 0.5),
        ("full_loglik_answer", 3.0),
        ("full_loglik_reasoning", 0.01),
        ("loglik_joint", 0.5),
        ("loglik_answer", np.inf),
        ("seconds", -1.0),
        ("seconds", np.inf),
        ("full_seconds", -0.5),
    ],
)
def test_a_number_that_cannot_be_is_named(name: str, value: float) -> None:
    """An id or a count below 0, and a likelihood that is no number, are no valid result."""
    dataset = toy_result({"a": [[1.0, 2.0, 3.0]]}).to_dataset().copy(deep=True)
    dataset[name].to_numpy().ravel()[0] = value
    with pytest.raises(SchemaError, match=f"'{name}' holds"):
        validate(xr.DataTree(dataset))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("seed", "x", "attribute 'seed' is 'x', not a whole number"),
        ("seed", 1.5, "attribute 'seed' is 1.5, not a whole number"),
        ("seed", True, "attribute 'seed' is True, not a whole number"),
        ("skipped_count", -1, "attribute 'skipped_count' is -1, and 'skipped' lists 0"),
        ("skipped", '["one"]', "attribute 'skipped_count' is 0, and 'skipped' lists 1"),
        ("skipped", "{}", "attribute 'skipped' is not a JSON list"),
        ("estimator_parameters", "x", "attribute 'estimator_parameters' is not a JSON object"),
        ("objective", 3, "attribute 'objective' is 3, not text"),
        ("dtype", 32, "attribute 'dtype' is 32, not text"),
        ("model_id", np.array([1, 2]), "attribute 'model_id' is array([1, 2]), not text"),
        ("created", "yesterday", "attribute 'created' is 'yesterday', not a time"),
    ],
)
def test_an_attribute_that_cannot_be_is_named(name: str, value: object, problem: str) -> None:
    """A seed that is no number, a name that is no text, a count of something else, and a time that is none."""
    dataset = toy_result({"a": [[1.0, 2.0, 3.0]]}).to_dataset().assign_attrs({name: value})
    with pytest.raises(SchemaError, match=re.escape(problem)):
        validate(xr.DataTree(dataset))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("full_loglik_joint", "'full_loglik_joint' is not the sum of 'full_loglik_answer'"),
        ("full_loglik_answer", "'full_loglik_joint' is not the sum of 'full_loglik_answer'"),
        ("logprob", "'full_loglik_reasoning' is not the sum of 'logprob'"),
    ],
)
def test_a_sum_that_is_none_is_named(name: str, problem: str) -> None:
    """The likelihood of a chain is that of its parts; a change of 0.1 nats in one of them is seen."""
    dataset = sequential().to_dataset().copy(deep=True)
    dataset[name].to_numpy()[-1] -= 0.1
    with pytest.raises(SchemaError, match=re.escape(problem)):
        validate(xr.DataTree(dataset))


def test_what_can_be_stays_valid() -> None:
    """Tokens that the model rules out, unknown costs, sums in single precision and names of one's own are valid."""
    dataset = sequential().to_dataset().copy(deep=True)
    for name in ("logprob", "full_loglik_reasoning", "full_loglik_joint"):
        dataset[name].to_numpy()[0] = -np.inf
    dataset["seconds"].to_numpy()[0, 0] = np.nan
    dataset["full_loglik_joint"].to_numpy()[1] += 1e-5
    named = {"objective": "mine(k=3)", "dtype": "q4_k", "created": "2026-01-01T00:00:00+00:00; 2026-01-02T00:00:00"}
    validate(xr.DataTree(dataset.assign_attrs(named, seed=np.int64(7))))
