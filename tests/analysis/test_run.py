"""Analysing: the frame around every analysis, and model and chains made again from what a run recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.recorded_run import load_recorded_scorer, rebuild_chains
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError, ObjectiveError, PluginError, SchemaError, TokimpError, UnsupportedError
from tokimp.storage.asked_models import remember_model
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.toy_result import toy_result


class Computing(Analysis):
    """Returns, or raises, what it is told to."""

    name = "computing"

    def __init__(self, task: Callable[[AnalysisInput], Any]) -> None:
        self.task = task

    def compute(self, given: AnalysisInput) -> Any:
        """Do the task."""
        return self.task(given)


class Asking(Analysis):
    """Asks for the log-probabilities of the chains' answers."""

    name = "asking"
    requires: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGPROBS})

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the answers' log-likelihoods, [chain]."""
        scoring, found = given.scoring, []
        for index, chain in enumerate(scoring.chains):
            found.append(float(scoring.scorer.logprobs([chain])[0].answer.sum()))
            given.report(index + 1, len(scoring.chains), chain.id, "asking")
        return xr.Dataset({"answer": ("chain", found)}, attrs={"objective": scoring.objective.name})


@pytest.fixture(scope="module")
def tiny() -> ti.Scorer:
    """Return the embedded model."""
    return ti.load_scorer("tiny")


@pytest.fixture(scope="module")
def run(tiny: ti.Scorer) -> xr.DataTree:
    """Return a result of two of the embedded chains, as it is read from a file."""
    return ti.compare(ti.demo_chains(limit=2), tiny, ["position"], unit="word", objective="answer")


def test_a_node_is_added_and_the_result_left_alone() -> None:
    """`analyze` returns a result with one more node, and does not change its argument."""
    result = toy_result({"a": [[1.0, 2.0, 3.0, 5.0, 4.0]], "b": [[2.0, 1.0, 3.0, 5.0, 4.0]]})
    analyzed = ti.analyze(result, "agreement")
    assert result.groups == ("/",)
    assert analyzed.to_dataset().identical(result.to_dataset())
    assert '"top_k": 0.2' in analyzed["analysis/agreement"].attrs["parameters"]


def test_several_settings_stand_side_by_side() -> None:
    """Each setting has a node, which only the same setting replaces; its tables show its own numbers."""
    result = toy_result({"a": [[1.0, 2.0, 3.0, 5.0, 4.0]], "b": [[2.0, 1.0, 3.0, 5.0, 4.0]]})
    settings = ["agreement", "agreement:seed=7", "agreement:top_k=2", "agreement:top_k=3"]
    for setting in [*settings, settings[2]]:
        result = ti.analyze(result, setting)
    names = ["agreement", "agreement,seed=7", "agreement,top_k=2", "agreement,top_k=3"]
    assert list(result["analysis"].children) == names
    assert [result[f"analysis/{name}"].attrs["seed"] for name in names] == [0, 7, 0, 0]
    for k in (2, 3):
        headings = [column.header for column in ti.load_analysis("agreement", top_k=k).tables(result)[0].columns]
        assert f"top {k} overlap" in headings
    with pytest.raises(SchemaError, match="it has agreement, agreement,seed=7, agreement,top_k=2"):
        ti.load_analysis("agreement", top_k=4).tables(result)


def test_an_unknown_name_or_parameter_is_refused() -> None:
    """The message says what there is instead."""
    result = toy_result({"a": [[1.0, 2.0]]})
    with pytest.raises(PluginError, match="known are agreement"):
        ti.analyze(result, "agrement")
    with pytest.raises(PluginError, match="no parameter 'top'; it has top_k"):
        ti.analyze(result, "agreement", top=3)


def fail(_: AnalysisInput) -> xr.Dataset:
    """Fail as a stranger's code may."""
    raise IndexError("the list ended")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (lambda _: None, "returned None; an xarray.Dataset was expected"),
        (lambda _: xr.Dataset({"x": ("chain", [1.0, 2.0, 3.0])}), "does not fit the result"),
        (fail, "'computing' failed with IndexError: the list ended"),
        (lambda inputs: inputs.scoring, "only if its class says what it requires"),
    ],
)
def test_an_analysis_that_breaks_the_contract_is_named(task: Callable[[AnalysisInput], Any], said: str) -> None:
    """Whatever a stranger's analysis does, the error says which one it was and what was wrong."""
    with pytest.raises(AnalysisError, match=said):
        ti.analyze(toy_result({"a": [[1.0, 2.0]]}), Computing(task))


def test_model_and_chains_are_made_again_from_the_result(run: xr.DataTree) -> None:
    """Without a scorer the recorded model is loaded, and gives the numbers that the run recorded."""
    seen: list[Progress] = []
    node = ti.analyze(run, Asking(), progress=seen.append)["analysis/asking"]
    np.testing.assert_allclose(node["answer"].to_numpy(), run["full_loglik_answer"].to_numpy(), atol=1e-4)
    assert node.attrs["objective"] == "answer"
    for name in ("model_id", "model_fingerprint", "backend", "dtype", "torch_version"):
        assert node.attrs[name] == run.attrs[name]
    assert node.attrs["tokens_forwarded"] > 0
    assert [(step.done, step.total, step.chain_id) for step in seen] == [(1, 2, "demo-00"), (2, 2, "demo-01")]
    assert seen[-1].seconds_left == 0


def test_chains_made_again_are_the_ones_that_were_scored(run: xr.DataTree, tiny: ti.Scorer) -> None:
    """Ids, characters, units and lengths equal those of the chains that were compared."""
    original = [ti.tokenize_chain(chain, tiny.tokenizer, unit="word") for chain in ti.demo_chains(limit=2)]
    for made, before in zip(rebuild_chains(run, tiny.tokenizer), original, strict=True):
        assert made.input_ids == before.input_ids
        assert (made.units, made.reasoning_offsets) == (before.units, before.reasoning_offsets)
        assert (made.unit, made.prompt_format) == ("word", "plain")


def changed(result: xr.DataTree, name: str, value: Any) -> xr.DataTree:
    """Return a result with another value of its first chain, or of an attribute."""
    dataset = result.to_dataset().copy(deep=True)
    if name in dataset.attrs:
        dataset.attrs[name] = value
    else:
        if name == "logprob":  # what the chain has in all is their sum
            for whole in ("full_loglik_reasoning", "full_loglik_joint"):
                dataset[whole].to_numpy()[0] += value - float(dataset[name][0])
        dataset[name].to_numpy()[0] = value
    return xr.DataTree(dataset)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("token_id", 3, "reasoning token 0 is .*, 3 .* was recorded"),
        ("prompt_length", 99, "its prompt has .* tokens, 99 were recorded"),
        ("answer_length", 1, "its answer has .* tokens, 1 were recorded"),
        ("prompt_format", "chat", "cannot be tokenised as they were"),
        ("question", "How many apples has Anna?", "its prompt has"),
        ("logprob", -50.0, "nats a token away from the recorded"),
        ("model_fingerprint", "0" * 64, "is not the model of the run"),
        ("objective", "beauty", "objective 'beauty' cannot be loaded"),
    ],
)
def test_what_no_longer_matches_is_refused(run: xr.DataTree, tiny: ti.Scorer, name: str, value: Any, said: str) -> None:
    """Another token, text, unit, format or weight than was recorded is an error that says what differs."""
    tampered = changed(run, name, value)
    with pytest.raises(AnalysisError, match=said):
        ti.analyze(tampered, Asking(), scorer=tiny)


def test_another_model_is_asked_only_on_purpose(run: xr.DataTree, tiny: ti.Scorer) -> None:
    """A scorer with another fingerprint is refused, and allowed with same_model=False; chains are checked always."""
    other = changed(run, "model_fingerprint", "0" * 64)
    node = ti.analyze(other, Asking(), scorer=tiny, same_model=False)["analysis/asking"]
    assert node.attrs["model_fingerprint"] == tiny.fingerprint()
    with pytest.raises(AnalysisError, match="reasoning token 0"):
        ti.analyze(changed(run, "token_id", 3), Asking(), scorer=tiny, same_model=False)


def test_a_model_that_is_gone_is_an_error_that_says_what_to_give(run: xr.DataTree) -> None:
    """The recorded name and what to name instead stand in the message."""
    remember_model("no/such/folder")
    for name, value in (("model_id", "no/such/folder"), ("backend", "abacus")):
        with pytest.raises(AnalysisError, match=f"{value}.*--{'backend' if name == 'backend' else 'model'}"):
            load_recorded_scorer(changed(run, name, value))


@pytest.fixture
def hostile_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a module where it can be imported; return a file that is there once the module has run."""
    mark = tmp_path / "imported"
    (tmp_path / "hostile_module.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nclass X: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return mark


@pytest.mark.parametrize("name", ["backend", "objective"])
@pytest.mark.parametrize("value", ["hostile_module:X", "hostile_module:X:a=1", "hostile_module.py:X", "hostile_module"])
def test_a_module_that_a_result_names_is_not_imported(
    run: xr.DataTree, tiny: ti.Scorer, hostile_module: Path, name: str, value: str
) -> None:
    """A stranger's result names code as its backend or objective: it is refused, and the code never runs."""
    scorer = None if name == "backend" else tiny
    with pytest.raises(TokimpError, match="code that only a file names is not run"):
        ti.analyze(changed(run, name, value), Asking(), scorer=scorer)
    assert not hostile_module.exists()


@pytest.mark.parametrize("value", ["stranger/model", "/nowhere/model", "../model", "~/model"])
def test_a_model_that_only_a_result_names_is_not_loaded(
    run: xr.DataTree, tiny: ti.Scorer, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A hub id or path that nobody here has asked for is not loaded; named by the person, or used before, it is."""
    asked: list[str] = []

    def loaded(name: str, **_: Any) -> ti.Scorer:
        asked.append(name)
        return tiny

    monkeypatch.setattr("tokimp.analysis.recorded_run.load_scorer", loaded)
    named = changed(run, "model_id", value)
    with pytest.raises(AnalysisError, match=r"what only a file names is not loaded.*--model"):
        ti.analyze(named, Asking())
    assert asked == []
    load_recorded_scorer(named, model=value)
    remember_model(value)
    ti.analyze(named, Asking())
    assert asked == [value, value]


def test_a_scorer_that_lacks_a_capability_is_refused() -> None:
    """What an analysis requires is checked before any work, and so is that a scorer is one."""
    chain = toy_chain("ab")
    scorer = AdditiveScorer()
    scorer.capabilities = frozenset()
    with pytest.raises(UnsupportedError, match="'asking' requires logprobs"):
        ti.analyze(toy_result({"a": [[1, 2]]}, [chain], scorer), Asking(), scorer=scorer, chains=[chain])
    with pytest.raises(AnalysisError, match="load_scorer"):
        ti.analyze(toy_result({"a": [[1, 2]]}, [chain], scorer), Asking(), scorer="tiny")  # type: ignore[arg-type] # the mistake


def test_chains_that_are_given_are_checked_too() -> None:
    """Chains of other letters, units or order are refused."""
    scorer = AdditiveScorer()
    chains = [toy_chain("ab c", id="one"), toy_chain("de f", id="two")]
    result = toy_result({"a": [[1, 2, 3, 4], [1, 2, 3, 4]]}, chains, scorer)
    for wrong in ([chains[1], chains[0]], [toy_chain("ab x", id="one"), chains[1]], [chains[0]]):
        with pytest.raises(TokimpError, match=r"in another order|no longer what the run scored"):
            ti.analyze(result, Asking(), scorer=scorer, chains=wrong)
    words = [toy_chain("ab c", id="one", unit="word"), chains[1]]
    with pytest.raises(AnalysisError, match="2 units, 4 were recorded"):
        ti.analyze(result, Asking(), scorer=scorer, chains=words)
    texts: Any = [chain.chain for chain in chains]
    with pytest.raises(AnalysisError, match="must be as ids, and one is a Chain; leave them out"):
        ti.analyze(result, Asking(), scorer=scorer, chains=texts)


def test_another_objective_can_be_given(run: xr.DataTree, tiny: ti.Scorer) -> None:
    """It takes the recorded one's place, even where that is unknown; a chain that lacks what it reads is an error."""
    node = ti.analyze(changed(run, "objective", "beauty"), Asking(), scorer=tiny, objective="joint")["analysis/asking"]
    assert node.attrs["objective"] == "joint"
    with pytest.raises(ObjectiveError, match="needs a wrong answer"):
        ti.analyze(run, Asking(), scorer=tiny, objective="contrast")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_every_node_comes_back_from_a_file(tmp_path: Path, run: xr.DataTree, tiny: ti.Scorer, suffix: str) -> None:
    """Numbers, texts, coordinates and attributes of each analysis are the same after saving and loading."""
    analyzed = ti.analyze(run, "agreement", minimum_units=2)
    for name in ("faithfulness", "answer_recovery"):
        few = {"keep_ratios": [0.5, 1.0], "n_uniform": 1}
        analyzed = ti.analyze(analyzed, name, scorer=tiny, **few)  # type: ignore[arg-type] # options of the analysis
    ti.save(analyzed, tmp_path / f"results{suffix}")
    assert ti.load(tmp_path / f"results{suffix}").identical(analyzed)
