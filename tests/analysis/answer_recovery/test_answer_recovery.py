"""Answer recovery: a model that is known to need certain tokens, and what it is made to read on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.answer_recovery.answer_recovery import AnswerRecovery
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError, UnsupportedError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.toy_result import toy_result

FEW: dict[str, Any] = {"n_uniform": 2}


class Recaller(AdditiveScorer):
    """Writes the answer 7 after a text that holds the letter d, and 3 after any other."""

    capabilities = AdditiveScorer.capabilities | {Capability.GENERATION}

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[str] = []
        self.most: list[int] = []

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Return one text a prompt."""
        texts = [self.tokenizer.decode(prompt) for prompt in prompts]
        self.prompts += texts
        self.most.append(max_new_tokens)
        return [["7.0\nAnd now" if "d" in text else "3\n"] for text in texts]


def numbered(text: str, *, gold: str | None = None, **fields: str) -> TokenizedChain:
    """Return a chain that answers 7."""
    chain = toy_chain(text, answer="#### 7", **fields)
    return replace(chain, chain=replace(chain.chain, gold=gold))


def recovery(
    importances: dict[str, list[Any]], chains: list[TokenizedChain], scorer: Recaller | None = None, **options: Any
) -> xr.Dataset:
    """Return the analysis of toy chains."""
    scorer = scorer or Recaller()
    result = toy_result(importances, chains, scorer)
    analyzed = ti.analyze(result, AnswerRecovery(**{**FEW, **options}), scorer=scorer, chains=chains)
    return analysis_node(analyzed, "answer_recovery")


def test_an_answer_is_recovered_as_long_as_what_it_needs_is_kept() -> None:
    """Ranked last the letter d stays to the end, ranked first it goes at once; 7.0 is the answer 7."""
    importances = {"good": [[1, 2, 3, 4]], "bad": [[4, 3, 2, 1]]}
    node = recovery(importances, [numbered("abcd", gold="3")], keep_ratios=[0.0, 0.25, 0.75, 1.0])
    recovered = node["recovered"].isel(chain=0)
    assert recovered.sel(reference="chain", estimator="good").to_numpy().tolist() == [0, 1, 1, 1]
    assert recovered.sel(reference="chain", estimator="bad").to_numpy().tolist() == [0, 0, 0, 1]
    assert recovered.sel(reference="unpruned", estimator="bad").to_numpy().tolist() == [0, 0, 0, 1]
    assert recovered.sel(reference="gold", estimator="bad").to_numpy().tolist() == [1, 1, 1, 0]
    assert node["written"].sel(estimator="good").isel(chain=0).to_numpy().tolist() == ["3", "7.0", "7.0", "7.0"]
    assert node["written_unpruned"].to_numpy().tolist() == ["7.0"]


def test_the_model_reads_what_is_kept_and_the_opening_of_the_answer() -> None:
    """Prompts are question, kept reasoning and the answer's mark, each once; the value is left to the model."""
    scorer = Recaller()
    recovery({"mine": [[1, 2, 3, 4]]}, [numbered("abcd")], scorer, keep_ratios=[0.5], n_uniform=1)
    assert scorer.prompts[:2] == ["?abcd#### ", "?cd#### "]
    assert len(scorer.prompts) == len(set(scorer.prompts)) <= 3
    # One token is left of the chain's answer.
    assert scorer.most == [10]


def test_without_a_right_answer_there_is_none_to_recover() -> None:
    """Chains without gold are NaN there and are not counted."""
    chains = [numbered("abcd", id="one"), numbered("abcd", id="two", gold="7")]
    node = recovery({"mine": [[1, 2, 3, 4]] * 2}, chains, keep_ratios=[1.0])
    np.testing.assert_array_equal(node["recovered"].sel(reference="gold").to_numpy().ravel(), [np.nan, 1])
    assert node["chains_used"].sel(reference="gold").to_numpy().tolist() == [[1]]
    assert node["mean"].sel(reference="gold").to_numpy().tolist() == [[1]]
    assert node["uniform_mean"].sel(reference="gold").to_numpy().tolist() == [1]


def test_ratios_that_were_not_ranked_are_left_out() -> None:
    """Below where greedy pruning stopped there is no value; without reasoning there is."""
    stopped = Importance(
        np.array([0.0, 1, 2, 2]), np.array([0, 1, -1, -1]), Trajectory(np.zeros(2), np.zeros(2), np.zeros(2))
    )
    node = recovery({"mine": [stopped]}, [numbered("abcd")], keep_ratios=[0.0, 0.25, 0.5, 1.0])
    np.testing.assert_array_equal(
        node["recovered"].sel(reference="chain", estimator="mine").isel(chain=0), [0, np.nan, 1, 1]
    )
    assert node["written"].sel(estimator="mine").isel(chain=0).to_numpy().tolist() == ["3", "", "7.0", "7.0"]


def test_random_orders_are_the_same_whatever_the_order_of_chains() -> None:
    """The baseline of a chain depends on its id and the seed."""
    chains = [numbered("abcdefgh", id=name) for name in "xyz"]
    first = recovery({"mine": [list(range(8))] * 3}, chains, n_uniform=6)
    second = recovery({"mine": [list(range(8))] * 3}, chains[::-1], n_uniform=6)
    expected = first["uniform_recovered"].to_numpy()
    np.testing.assert_array_equal(second["uniform_recovered"].to_numpy(), expected[..., ::-1])
    other = recovery({"mine": [list(range(8))] * 3}, chains, n_uniform=6, seed=1)
    assert (other["uniform_recovered"].to_numpy() != expected).any()


def test_a_scorer_that_does_not_write_is_refused() -> None:
    """What the analysis requires is checked before any work."""
    chain = numbered("ab")
    scorer = AdditiveScorer()
    with pytest.raises(UnsupportedError, match="generation"):
        ti.analyze(toy_result({"a": [[1, 2]]}, [chain], scorer), "answer_recovery", scorer=scorer, chains=[chain])


def test_the_embedded_model_gives_its_answer_with_its_reasoning_and_not_without() -> None:
    """On real ids: all of the model's own chains are answered unpruned, hardly any without reasoning."""
    scorer = ti.load_scorer("tiny")
    result = ti.compare(ti.demo_chains(limit=4), scorer, ["position"])
    analyzed = ti.analyze(result, "answer_recovery", scorer=scorer, keep_ratios=[0.0, 1.0], n_uniform=1)
    node = analysis_node(analyzed, "answer_recovery")
    shares = node["mean"].sel(reference="chain", estimator="position").to_numpy()
    assert shares[1] == 1
    assert shares[0] <= 0.5
    assert node["written_unpruned"].to_numpy().tolist() == [
        answer.removeprefix("#### ") for answer in result["answer"].to_numpy()
    ]


@pytest.mark.parametrize(
    "option",
    [{"keep_ratios": []}, {"keep_ratios": [0.5, 0.2]}, {"max_new_tokens": 0}, {"n_uniform": 0}, {"confidence": 0}],
)
def test_options_out_of_range_are_errors(option: dict[str, Any]) -> None:
    """A parameter that is not allowed is named, with what is."""
    with pytest.raises(AnalysisError, match=next(iter(option))):
        ti.analyze(toy_result({"a": [[1.0, 2.0]]}), "answer_recovery", **option)
