"""Subsets of units are scored once, and sharing what was scored changes no number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokimp_transformer_lens import TransformerLensScorer

import tokimp as ti
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.objective import Answer, Joint, Objective
from tokimp.contracts.operators import Delete, Knockout, Mask, Operator
from tokimp.contracts.scorer import DeletionScores
from tokimp.contracts.subset_scores import SubsetMemory, SubsetScores, every_subset, single_deletions
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model

SHARES = {"a": 0.5, "b": 1.0, "c": 2.0, "d": -4.0}


class CountingScorer(AdditiveScorer):
    """Remembers which deletions it was asked to score, and does not say that it reads each alone."""

    reads_alone = False

    def __init__(self) -> None:
        super().__init__(SHARES)
        self.calls: list[list[tuple[int, ...]]] = []

    def score_deletions(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        objective: Objective,
    ) -> DeletionScores:
        """Score, and remember."""
        self.calls.append([tuple(candidate) for candidate in candidates])
        return super().score_deletions(chain, kept, candidates, objective)


class AloneScorer(CountingScorer):
    """Has numbers that do not depend on what they are read with."""

    reads_alone = True


@given(
    requests=st.lists(st.lists(st.sets(st.integers(0, 3)), max_size=6), min_size=1, max_size=4),
    objective=st.sampled_from([Answer(), Joint()]),
)
def test_each_subset_has_the_score_of_its_shortened_chain(requests: list[list[set[int]]], objective: Objective) -> None:
    """Whatever was asked before, the numbers are those of scoring each subset from nothing."""
    scorer, chain = CountingScorer(), toy_chain("abcd")
    scores = SubsetScores(scorer, chain, objective)
    for subsets in requests:
        answer = scores.score(subsets)
        for index, kept in enumerate(subsets):
            alone = AdditiveScorer(SHARES).score_deletions(chain, sorted(kept), [()], objective)
            found = (answer.objective[index], answer.reasoning[index], answer.answer[index])
            assert found == (alone.objective[0], alone.reasoning[0], alone.answer[0])


@given(requests=st.lists(st.lists(st.sets(st.integers(0, 3)), max_size=6), max_size=4))
def test_no_subset_is_scored_twice(requests: list[list[set[int]]]) -> None:
    """Over several calls the scorer is asked about each subset once."""
    scorer = CountingScorer()
    scores = SubsetScores(scorer, toy_chain("abcd"), Answer())
    for subsets in requests:
        scores.score(subsets)
    asked = [candidate for call in scorer.calls for candidate in call]
    assert len(set(asked)) == len(asked) == len({frozenset(subset) for subsets in requests for subset in subsets})


def test_units_go_with_all_their_tokens() -> None:
    """A subset of words keeps the tokens of its words, and no others."""
    scores = SubsetScores(AdditiveScorer(SHARES, answer_base=0.0), toy_chain("aa b cc", unit="word"), Answer())
    assert scores.score([(0, 2), (1,), ()]).objective.tolist() == [5.0, 1.0, 0.0]


def test_a_call_that_was_made_in_the_run_costs_nothing() -> None:
    """With one memory, the same subsets in the same order are scored once, whoever asks."""
    scorer, memory, chain = CountingScorer(), SubsetMemory(), toy_chain("abc")
    first, second = (
        SubsetScores(CheckedScorer(scorer, memory), chain, Answer()).score(single_deletions(chain)) for _ in range(2)
    )
    assert len(scorer.calls) == 1
    np.testing.assert_array_equal(first.objective, second.objective)


@pytest.mark.parametrize("difference", ["chain", "objective", "operator", "order", "model"])
def test_what_differs_is_scored_anew(difference: str) -> None:
    """Another chain, objective, operator, order of subsets or model is another question."""
    scorer, memory = CountingScorer(), SubsetMemory().of_model("one")
    chain, objective, operator, subsets = toy_chain("abc"), Answer(), Delete(), [(0,), (1,)]
    SubsetScores(CheckedScorer(scorer, memory), chain, objective, operator).score(subsets)
    changed = {
        "chain": (toy_chain("abd"), objective, operator, subsets),
        "objective": (chain, Joint(), operator, subsets),
        "operator": (chain, objective, Knockout(), subsets),
        "order": (chain, objective, operator, subsets[::-1]),
        "model": (chain, objective, operator, subsets),
    }
    forwarded = scorer.tokens_forwarded
    asked_again = changed[difference]
    memory.of_model("another" if difference == "model" else "one")
    SubsetScores(CheckedScorer(scorer, memory), *asked_again[:3]).score(asked_again[3])
    assert scorer.tokens_forwarded > forwarded


def test_a_scorer_that_reads_alone_shares_single_subsets() -> None:
    """What another call has scored is left out of this one, and the numbers are the same."""
    scorer, memory, chain = AloneScorer(), SubsetMemory(), toy_chain("abc")
    SubsetScores(CheckedScorer(scorer, memory), chain, Answer()).score([(0,), (0, 1)])
    found = SubsetScores(CheckedScorer(scorer, memory), chain, Answer()).score([(1,), (0, 1), (0,), (1,)])
    assert scorer.calls == [[(1, 2), (2,)], [(0, 2)]]
    assert found.objective.tolist() == [-9.0, -8.5, -9.5, -9.0]


def test_the_memory_lets_go_of_what_was_not_asked_about_for_longest() -> None:
    """It holds no more scores than it may; what was found lately stays."""
    memory, one = SubsetMemory(most_scores=2), DeletionScores(np.zeros(1), np.zeros(1), np.zeros(1))
    for question in ("a", "b"):
        memory.keep(question, one)
    memory.find("a")
    memory.keep("c", one)
    assert [memory.find(question) is not None for question in ("a", "b", "c")] == [True, False, True]


def test_a_unit_that_there_is_not_is_refused() -> None:
    """The message names the chain and the unit."""
    with pytest.raises(EstimatorError, match=r"chain 'toy': there is no unit 3; the chain has 3"):
        SubsetScores(AdditiveScorer(), toy_chain("abc"), Answer()).score([(0, 3)])


def test_an_objective_that_is_no_number_is_refused() -> None:
    """The message names the objective, the subset and the operator."""
    scorer = AdditiveScorer(answer_base=float("nan"))
    with pytest.raises(EstimatorError, match=r"'answer' is nan with units \[0, 2\] kept \(delete\)"):
        SubsetScores(scorer, toy_chain("abc"), Answer()).objective([(0, 2)])


def test_the_usual_subsets() -> None:
    """Single deletions end with the full chain; all subsets begin with none."""
    chain = toy_chain("abc")
    assert single_deletions(chain) == [(1, 2), (0, 2), (0, 1), (0, 1, 2)]
    assert every_subset(chain) == [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


@pytest.mark.parametrize("operator", [Delete(), Mask("."), Knockout()], ids=lambda each: each.name)
def test_a_model_that_reads_alone_has_the_same_bits_in_any_company(operator: Operator) -> None:
    """Loaded so, it says so, and shares single subsets: what was asked for in another call is not read again."""
    options = {"tokenizer": byte_tokenizer(), "device": "cpu", "dtype": "float32"}
    scorer = TransformerLensScorer(random_model("llama"), reuse_kv=False, batch_positions=1, **options)
    assert scorer.reads_alone
    assert not TransformerLensScorer(random_model("llama"), **options).reads_alone
    text = Chain("sum", question="2+2?", reasoning="2+2 is 4, so it is 4.", answer="4 it is")
    chain = tokenize_chain(text, byte_tokenizer(), "plain", "word")
    together = SubsetScores(scorer, chain, Joint(), operator).score(every_subset(chain)[::3]).objective
    alone = [
        SubsetScores(scorer, chain, Joint(), operator).score([each]).objective[0] for each in every_subset(chain)[::3]
    ]
    assert together.tolist() == alone
    memory = SubsetMemory()
    for subsets in ([(0,), (0, 1)], [(0, 1), (0,)]):
        forwarded = scorer.tokens_forwarded
        SubsetScores(CheckedScorer(scorer, memory), chain, Joint(), operator).score(subsets)
    assert scorer.tokens_forwarded == forwarded


def test_estimators_of_a_run_have_the_same_bits_in_any_order(tmp_path: Path) -> None:
    """Whoever asks first, and wherever a run went on, every estimator has the very numbers that it has alone."""
    labels = ["leave_one_out", "shapley:permutations=2", "context_cite:ablations=8", "attention_knockout"]
    labels += ["leave_one_out:operator=knockout", "shapley:permutations=2,of=objective"]
    scorer = ti.load_scorer("tiny", device="cpu")
    chains = ti.demo_chains(limit=1)
    alone = {label: ti.compare(chains, scorer, [label], "joint", "word") for label in labels}
    together = ti.compare(chains, scorer, labels, "joint", "word", out=tmp_path / "one")
    ti.compare(chains, scorer, labels[3:1:-1], "joint", "word", out=tmp_path / "two")
    grown = ti.compare(chains, scorer, labels[::-1], "joint", "word", out=tmp_path / "two")
    for label in labels:
        for result in (together, grown):
            found = result["importance"].sel(estimator=label).to_numpy()
            np.testing.assert_array_equal(found, alone[label]["importance"].sel(estimator=label))
    cost = together["tokens_forwarded"].sel(chain=0)
    assert cost.sel(estimator="leave_one_out:operator=knockout").item() == 0
    assert cost.sel(estimator="attention_knockout").item() > 0
