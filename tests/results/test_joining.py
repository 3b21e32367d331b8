"""Joining results: what was cut apart is the whole again, bit for bit, and what does not fit together is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.analysis.run import analyze
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.errors import SchemaError
from tokimp.results.by_chain import chain_ids, select
from tokimp.results.effects_node import add_effects, read_effects
from tokimp.results.joining import concat
from tokimp.results.selection import sel
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

LABELS = ("a", "b", "c")


@st.composite
def results(draw: st.DrawFn) -> xr.DataTree:
    """Draw a ragged result of three estimators, one of which deletes in sequence and another says nothing at times."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    rows: dict[str, list[Importance]] = {label: [] for label in LABELS}
    for length in lengths:
        scores = np.array(draw(st.lists(st.integers(-5, 5), min_size=length, max_size=length)), dtype=np.float64) / 3
        between = np.triu(np.outer(scores, scores + 1), k=1).astype(np.float32)
        has_effects = draw(st.booleans())
        rows["a"].append(
            Importance(scores, diagnostics={"gap": float(length)}, effects=between if has_effects else None)
        )
        rows["b"].append(Importance(-scores))
        likelihoods = np.linspace(-1, -0.1, length)
        order = np.arange(length)
        rows["c"].append(
            Importance(order.astype(float), order, Trajectory(likelihoods, likelihoods / 2, likelihoods / 2))
        )
    result = toy_result(rows)
    effects = read_effects(result)
    dataset = result.to_dataset()
    for chain in draw(st.sets(st.integers(0, len(lengths) - 1))):
        dataset = said_nothing(dataset, 1, chain)
    if draw(st.booleans()):
        dataset["filler"] = ("token", np.arange(dataset.sizes["token"]) % 2.0)
    tree = xr.DataTree(dataset)
    add_effects(tree, effects)
    return tree


def said_nothing(dataset: xr.Dataset, row: int, chain: int) -> xr.Dataset:
    """Return a result in which an estimator says nothing about a chain."""
    dataset = dataset.copy(deep=True)
    tokens = np.flatnonzero(dataset["chain_index"].to_numpy() == chain)
    for name in ("importance", "loglik_joint", "loglik_answer", "loglik_reasoning"):
        dataset[name].to_numpy()[row, tokens] = np.nan
    dataset["rank"].to_numpy()[row, tokens] = -1
    dataset["seconds"].to_numpy()[row, chain] = np.nan
    dataset["tokens_forwarded"].to_numpy()[row, chain] = -1
    return dataset


def of_estimators(result: xr.DataTree, rows: Sequence[int]) -> xr.DataTree:
    """Return the result of some of the estimators."""
    return sel(result, estimator=[str(result["estimator"].to_numpy()[row]) for row in rows])


def cut_by_chains(data: st.DataObject, result: xr.DataTree) -> list[xr.DataTree]:
    """Cut a result between chains."""
    ids = chain_ids(result)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(ids)))) | {0, len(ids)})
    return [select(result, ids[begin:end]) for begin, end in pairwise(cuts)]


def cut_by_estimators(data: st.DataObject, result: xr.DataTree) -> list[xr.DataTree]:
    """Cut a result between estimators."""
    cuts = sorted(data.draw(st.sets(st.integers(1, 2))) | {0, 3})
    return [of_estimators(result, range(begin, end)) for begin, end in pairwise(cuts)]


@settings(max_examples=30, deadline=None)
@given(results(), st.data())
def test_parts_joined_are_the_whole(result: xr.DataTree, data: st.DataObject) -> None:
    """Cut by chains, each part by estimators, or not, and joined: every number, text and attribute is as it was."""
    parts = [piece for part in cut_by_chains(data, result) for piece in cut_by_estimators(data, part)]
    assert concat(parts).identical(result)


@settings(max_examples=30, deadline=None)
@given(results(), st.data())
def test_the_order_of_parts_only_orders_chains_and_estimators(result: xr.DataTree, data: st.DataObject) -> None:
    """Parts in any order, some of them twice, give the whole once its chains and estimators are put in order."""
    parts = [piece for part in cut_by_estimators(data, result) for piece in cut_by_chains(data, part)]
    shuffled = data.draw(st.permutations([*parts, *data.draw(st.lists(st.sampled_from(parts), max_size=2))]))
    joined = select(concat(shuffled), chain_ids(result))
    rows = [joined["estimator"].to_numpy().tolist().index(label) for label in LABELS]
    assert of_estimators(joined, rows).identical(result)


def test_estimators_that_only_one_part_has_are_missing_in_the_other() -> None:
    """Joined results have all estimators; where one said nothing, NaN and -1 say so, and the result is valid."""
    left = toy_result({"a": [[1.0, 2.0]]}, [toy_chain("xy", id="left")])
    right = toy_result({"b": [[1.0]], "a": [[3.0]]}, [toy_chain("z", id="right")])
    joined = concat([left, right])
    assert joined["estimator"].to_numpy().tolist() == ["a", "b"]
    assert joined["importance"].to_numpy().tolist() == [[1, 2, 3], pytest.approx([np.nan, np.nan, 1], nan_ok=True)]
    assert joined["rank"].to_numpy().tolist() == [[0, 1, 0], [-1, -1, 0]]
    assert joined["tokens_forwarded"].to_numpy()[1, 0] == -1
    assert np.isnan(joined["seconds"].to_numpy()[1, 0])


def test_what_was_left_out_adds_up() -> None:
    """Skipped records of the parts are all named in the whole, and attributes that differ keep every value."""
    parts = [toy_result({"a": [[1.0]]}, [toy_chain("x", id=name)]) for name in ("one", "two")]
    for number, part in enumerate(parts):
        part.attrs["skipped"] = json.dumps([{"where": f"f:{number}", "id": "", "reason": "bad"}])
        part.attrs["device"] = f"cuda:{number}"
    joined = concat(parts)
    assert joined.attrs["skipped_count"] == 2
    assert [record["where"] for record in json.loads(joined.attrs["skipped"])] == ["f:0", "f:1"]
    assert joined.attrs["device"] == "cuda:0; cuda:1"


def test_a_cell_that_one_result_lacks_is_taken_from_the_other() -> None:
    """Where an estimator says nothing about a chain in the first result, the second one's numbers count."""
    whole = toy_result({"a": [[1.0, 2.0], [3.0]], "b": [[2.0, 1.0], [1.0]]})
    parts = [xr.DataTree(said_nothing(whole.to_dataset(), 1, chain)) for chain in (0, 1)]
    assert concat(parts).to_dataset().identical(whole.to_dataset())


def test_records_that_all_results_left_out_are_counted_once() -> None:
    """Results of other estimators of the same chains left out the same records."""
    parts = [toy_result({label: [[1.0]]}) for label in ("a", "b")]
    for part in parts:
        part.attrs["skipped"] = json.dumps([{"where": "f:1", "id": "", "reason": "bad"}])
    assert concat(parts).attrs["skipped_count"] == 1


def shard(number: int, count: int) -> xr.DataTree:
    """Return a shard of a run."""
    part = toy_result({"a": [[1.0]]}, [toy_chain("x", id=f"c{number:02d}")])
    part.attrs["shard"] = f"{number}/{count}"
    return part


def test_shards_are_put_in_the_order_of_their_numbers() -> None:
    """Shards in the order of their names (10 before 2) make the result of the whole run; a gap is remembered."""
    joined = concat([shard(number, 11) for number in (1, 10, 11, *range(2, 10))])
    assert chain_ids(joined) == [f"c{number:02d}" for number in range(1, 12)]
    assert "shard" not in joined.attrs
    assert concat([shard(3, 3), shard(1, 3)]).attrs["shard"] == "1/3; 3/3"


def changed(part: Mapping[str, Any] = {}, **attributes: Any) -> xr.DataTree:
    """Return a result of another chain with other attributes or values."""
    other = toy_result({"a": [[1.0]]}, [toy_chain("x", id="other")])
    other.attrs.update(attributes)
    return xr.DataTree(other.to_dataset().assign(part))


@pytest.mark.parametrize(
    "name",
    ["objective", "model_fingerprint", "unit", "dtype", "seed", "tokimp_version", "torch_version", "prompt_format"],
)
def test_results_of_other_runs_are_refused_by_name(name: str) -> None:
    """Another model, objective, unit, format, seed or version: the error names it and both values."""
    with pytest.raises(SchemaError, match=rf"differ in '{name}' \(.* and '9'\)"):
        concat([toy_result({"a": [[1.0]]}), changed({}, **{name: "9"})])


def test_models_without_a_fingerprint_are_told_by_their_names() -> None:
    """Where no fingerprint says that two models are one, their names must agree; else the first one's name counts."""
    first = toy_result({"a": [[1.0]]})
    assert concat([first, changed(model_id="elsewhere")]).attrs["model_id"] == "toy"
    first.attrs["model_fingerprint"] = ""
    with pytest.raises(SchemaError, match="differ in 'model_id'"):
        concat([first, changed(model_id="elsewhere", model_fingerprint="")])


def test_formats_of_single_chains_may_differ_between_parts() -> None:
    """Of a run whose chains have several formats, a part may have one of them; the whole names all."""
    first = toy_result({"a": [[1.0]]})
    first.attrs["prompt_format"] = "chat,plain"
    assert concat([first, changed(prompt_format="plain")]).attrs["prompt_format"] == "chat,plain"


def test_an_estimator_with_other_parameters_is_refused() -> None:
    """A label that stands for other parameters, or another input file, is another estimator."""
    first = toy_result({"a": [[1.0]]})
    first.attrs["estimator_parameters"] = json.dumps({"a": {"inputs": {"f": "0"}}})
    with pytest.raises(SchemaError, match=r"the estimator 'a' is not the same in the results \(.*\"0\".*\"1\""):
        concat([first, changed(estimator_parameters=json.dumps({"a": {"inputs": {"f": "1"}}}))])


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("gold", ["7"], "'' and '7'"),
        ("token_id", [9], " and 9"),
        ("logprob", np.array([-3.0], dtype=np.float32), "-1.0 and -3.0"),
    ],
)
def test_one_id_for_two_chains_is_refused(name: str, value: Any, shown: str) -> None:
    """A chain that has another text, token or log-probability in another result is not the same chain."""
    first, second = (toy_result({label: [[1.0]]}) for label in ("a", "b"))
    second = xr.DataTree(second.to_dataset().assign({name: (first[name].dims, value)}))
    with pytest.raises(SchemaError, match=rf"chain 'chain-0' differs in '{name}' between the results \(.*{shown}"):
        concat([first, second])


def test_rounding_of_another_device_is_no_difference() -> None:
    """Log-probabilities that differ by rounding are those of one chain; the first result's are kept."""
    first, second = (toy_result({label: [[1.0]]}) for label in ("a", "b"))
    second = xr.DataTree(second.to_dataset().assign(logprob=second["logprob"] + np.float32(1e-5)))
    assert concat([first, second])["logprob"].to_numpy().tolist() == [-1.0]


def test_one_cell_with_two_numbers_is_refused() -> None:
    """Two results that rank one chain otherwise by the same estimator cannot both be right."""
    first, second = toy_result({"a": [[1.0, 2.0]]}), toy_result({"a": [[2.0, 1.0]]})
    with pytest.raises(SchemaError, match=r"two results have 'a' on chain 'chain-0', with different numbers"):
        concat([first, second])


def test_variables_that_do_not_fit_together_are_refused() -> None:
    """A user's variable of another type, or whole numbers that one result lacks, are named."""
    first = xr.DataTree(toy_result({"a": [[1.0]]}).to_dataset().assign(mine=("chain", [1])))
    with pytest.raises(SchemaError, match=r"'mine' has other dimensions or another type.*int64.*float64"):
        concat([first, changed({"mine": ("chain", [1.0])})])
    with pytest.raises(SchemaError, match=r"'mine' is not in every result, and its int64 has no 'missing'"):
        concat([first, changed()])


@pytest.mark.parametrize("nothing", [[], toy_result({"a": [[1.0]]})])
def test_a_list_of_results_is_needed(nothing: Any) -> None:
    """No result, or one that is not in a list, is an error that shows what to write."""
    with pytest.raises(SchemaError, match=r"give a list of results, such as \[tokimp.load"):
        concat(nothing)


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (np.array([1, 2]), np.array([1, 2]), [1, 2]),
        ([1.5, 2.0], [1.5, 2.0], [1.5, 2.0]),
        (np.array([1, 2]), np.array([1, 3]), "[1 2]; [1 3]"),
        (np.nan, np.nan, np.nan),
        (1, 1.0, 1),
        (np.float32(0.5), 0.5, 0.5),
        (1, True, "1; True"),
        (1, "1", "1; 1"),
        (b"raw", b"raw", b"raw"),
        (b"raw", b"other", "b'raw'; b'other'"),
    ],
)
def test_attributes_of_the_user_s_own_may_be_arrays(one: Any, other: Any, joined: Any) -> None:
    """They are kept as others are: once where they agree, else all of them."""
    results = [toy_result({"a": [[1.0, 2.0]]}), toy_result({"b": [[1.0, 2.0]]})]
    for result, value in zip(results, (one, other), strict=True):
        result.attrs["mine"] = value
    np.testing.assert_array_equal(concat(results).attrs["mine"], joined)


def test_analyses_of_the_parts_are_left_out() -> None:
    """An analysis is about all chains of its result, so the joined one has none."""
    analyzed = analyze(toy_result({"a": [[1.0, 2.0]]}), "agreement")
    assert concat([analyzed, toy_result({"b": [[1.0, 2.0]]})]).groups == ("/",)
