"""Effects in a result: stored as pairs, given as a matrix, and kept wherever the result goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.contracts.estimator import Importance
from tokimp.errors import EstimatorError, SchemaError
from tokimp.results.by_chain import select
from tokimp.results.effects_node import ChainEffects, read_effects
from tokimp.results.io import load, save
from tokimp.results.joining import concat
from tokimp.results.schema import validate
from tokimp.results.selection import sel
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.random_models import byte_tokenizer
from tokimp.testing.toy_result import toy_result

CHAINS = [toy_chain("ab cd e", unit="word", id="three"), toy_chain("a", unit="word", id="one")]
BETWEEN = np.array([[0, 1.5, -2], [0, 0, 0.1], [0, 0, 0]])


def result(labels: tuple[str, ...] = ("acts",), ids: tuple[str, ...] = ("three", "one")) -> xr.DataTree:
    """Return a result in which some estimators have effects, and one that has none."""
    chains = [chain for chain in CHAINS if chain.id in ids]
    acts = {
        "three": Importance(np.arange(3.0), effects=BETWEEN, effects_on_answer=np.array([1.0, 2.0, 3.0])),
        "one": Importance(np.zeros(1), effects=np.zeros((1, 1)), effects_on_answer=np.array([4.0])),
    }
    plain = {"three": Importance(np.arange(3.0)), "one": Importance(np.zeros(1))}
    rows = {label: [acts[chain.id] for chain in chains] for label in labels}
    return toy_result({**rows, "plain": [plain[chain.id] for chain in chains]}, chains)


def test_a_chain_s_effects_are_a_labelled_matrix() -> None:
    """Rows are what is taken away, columns what loses; texts and the answer stand beside them."""
    matrix = ti.effects(result(), "three", "acts")
    np.testing.assert_array_equal(matrix, BETWEEN.astype(np.float32))
    assert matrix["source_text"].to_numpy().tolist() == ["ab", " cd", " e"]
    assert matrix["target_text"].to_numpy().tolist() == ["ab", " cd", " e"]
    assert matrix["on_answer"].to_numpy().tolist() == [1, 2, 3]
    assert matrix.attrs == {"units": "nats", "chain_id": "three", "estimator": "acts"}


def test_a_chain_of_one_unit_acts_on_its_answer_alone() -> None:
    """It has a matrix of one 0, and its effect on the answer."""
    matrix = ti.effects(result(), "one", "acts")
    assert matrix.to_numpy().tolist() == [[0.0]]
    assert matrix["on_answer"].item() == 4.0


@pytest.mark.parametrize(
    ("estimator", "message"),
    [("plain", "those that do are acts"), ("other", "no estimator 'other' in the result; there are acts, plain")],
)
def test_an_estimator_without_effects_is_named(estimator: str, message: str) -> None:
    """The message lists the estimators that have effects; or all, where there is no such estimator."""
    with pytest.raises(EstimatorError, match=message):
        ti.effects(result(), "three", estimator)


def test_a_result_without_effects_says_how_to_get_some() -> None:
    """There is no node, and the message names an estimator that gives effects."""
    without = result(labels=())
    assert "effects" not in without.children
    with pytest.raises(EstimatorError, match="leave_one_out:effects=true"):
        ti.effects(without, "three", "plain")


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_files_keep_effects(tmp_path: Path, suffix: str) -> None:
    """NetCDF and Zarr give back the very node."""
    whole = result()
    save(whole, tmp_path / f"result.{suffix}")
    xr.testing.assert_identical(
        load(tmp_path / f"result.{suffix}")["effects"].to_dataset(), whole["effects"].to_dataset()
    )


def test_selecting_chains_keeps_their_effects() -> None:
    """What is left has the effects of the chains that are left, in their new order."""
    turned = select(result(), ["one", "three"])
    validate(turned)
    assert turned["effects"]["pair_count"].to_numpy().tolist() == [0, 3]
    np.testing.assert_array_equal(ti.effects(turned, "three", "acts"), BETWEEN.astype(np.float32))
    assert "effects" in select(result(), ["one"]).children


def test_a_selection_looks_at_the_effects_of_its_chains_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are sent one chain after the other: to look at all effects for each would take quadratic time."""
    looked_at = []
    made = ChainEffects.__init__

    def note(effects: ChainEffects, *parts: np.ndarray) -> None:
        made(effects, *parts)
        looked_at.append(len(effects.on_answer))

    whole = result()
    monkeypatch.setattr(ChainEffects, "__init__", note)
    assert set(read_effects(whole, ["one"])) == {("acts", "one")}
    for selected in (select(whole, ["one"]), sel(whole, chain="one"), sel(whole, chain="one", estimator="acts")):
        assert set(read_effects(selected)) == {("acts", "one")}
    assert set(looked_at) == {1}


def test_joining_results_joins_their_effects() -> None:
    """Other chains and other estimators bring theirs; what nobody gives is NaN."""
    joined = concat([result(ids=("three",)), result(ids=("one",), labels=("acts", "more"))])
    assert sorted(read_effects(joined)) == [("acts", "one"), ("acts", "three"), ("more", "one")]
    node = joined["effects"].to_dataset()
    assert node["effect"].sel(effect_estimator="more").isnull().all()
    np.testing.assert_array_equal(ti.effects(joined, "three", "acts"), BETWEEN.astype(np.float32))


def test_other_effects_of_one_cell_cannot_be_joined() -> None:
    """Two results whose effects differ are refused, naming estimator and chain."""
    other = result()
    node = other["effects"].to_dataset()
    node["effect"][:] = 7
    other["effects"] = xr.DataTree(node)
    with pytest.raises(SchemaError, match="effects of 'acts' on chain 'three', with different numbers"):
        concat([result(), other])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("effect", lambda values: values.astype("float64"), "'effect' is float64"),
        ("source", lambda values: values + 1, "not all pairs of a unit and a later one"),
        ("unit_count", lambda values: values + 1, "'unit_count' is not the number"),
        ("pair_count", lambda values: values[::-1], "'pair_count' is not the number"),
        ("effect", lambda values: values / 0, "infinite numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_node_that_is_wrong_is_named(name: str, change: object, message: str) -> None:
    """`tokimp.validate` says which variable of ``/effects`` is wrong, and why."""
    broken = result()
    node = broken["effects"].to_dataset()
    node[name] = (node[name].dims, change(node[name].to_numpy()))  # type: ignore[operator] # a function of the case
    broken["effects"] = xr.DataTree(node)
    with pytest.raises(SchemaError, match=f"/effects: .*{message}"):
        validate(broken)


def test_a_missing_variable_and_an_unknown_estimator_are_named() -> None:
    """Both are problems of the node."""
    broken = result()
    broken["effects"] = xr.DataTree(broken["effects"].to_dataset().drop_vars("target"))
    with pytest.raises(SchemaError, match="/effects: variable 'target' is missing"):
        validate(broken)
    unknown = result()
    unknown["effects"] = xr.DataTree(unknown["effects"].to_dataset().assign_coords(effect_estimator=["who"]))
    with pytest.raises(SchemaError, match="/effects: 'who' is no estimator of the result"):
        validate(unknown)


def test_a_run_that_goes_on_has_the_same_effects(tmp_path: Path) -> None:
    """Cells read back from the folder of a run give the very node that computing them gave."""
    chains = [ti.Chain("words", "?", "ab cd e", "!"), ti.Chain("one", "?", "f", "!")]
    scorer = AdditiveScorer({"a": 0.5, "e": 1 / 3})
    scorer.tokenizer = byte_tokenizer()

    def run() -> xr.DataTree:
        return ti.compare(chains, scorer, ["leave_one_out:effects=true"], "joint", "word", "plain", out=tmp_path)

    first, forwarded = run(), scorer.tokens_forwarded
    again = run()
    assert scorer.tokens_forwarded == forwarded
    xr.testing.assert_identical(first["effects"].to_dataset(), again["effects"].to_dataset())
