"""Greedy pruning: which unit goes at which step, exactly and fast, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokimp_greedy import EXACT_BELOW, GreedyPruning
from tokimp_greedy.search_width import SearchWidth, fast_run_positions
from tokimp_greedy.strategies import Audit, audited_steps

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Answer, Contrast, Joint, Objective
from tokimp.contracts.scorer import DeletionScores
from tokimp.errors import EstimatorError, ObjectiveError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain

LETTERS = {letter: (ord(letter) * 37 % 101) / 16 for letter in "abcdefghijklmnopqrstuvwxyz. "}
texts = st.text("abcxyz. ", min_size=1, max_size=9).filter(str.strip)
units = st.sampled_from(["token", "word", "sentence"])
objectives = st.sampled_from([Joint(), Answer()])


class EntangledScorer(AdditiveScorer):
    """A scorer with which a token's worth depends on its place and its neighbour, so every step ranks the rest anew."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return a sum over neighbouring tokens and their places."""
        own = embeddings[:, 0]
        place = torch.arange(len(own), dtype=torch.float64)
        neighbour = torch.cat([own.new_zeros(1), own[:-1]]) if len(own) else own
        return self.answer_base + torch.sin(3 * own + 1.7 * place + neighbour).sum()


def brute_force(chain: TokenizedChain, scorer: AdditiveScorer, objective: Objective, keep: int) -> Importance:
    """Prune greedily in the plainest way: build every shortened id sequence, and score it as a whole."""
    alive = list(range(len(chain.units)))
    order = np.full(len(chain.units), -1)
    values: list[tuple[float, float]] = []
    while len(alive) > keep:
        best, best_value = -1, -np.inf
        for unit in alive:
            ids = [chain.reasoning_ids[p] for other in alive if other != unit for p in chain.units[other]]
            reasoning = len(ids) * scorer.reasoning_logprob
            answer = float(scorer.answer_loglik(scorer.embed(ids) if ids else torch.zeros(0, 2, dtype=torch.float64)))
            value = answer + (reasoning if isinstance(objective, Joint) else 0.0)
            if value > best_value:
                best, best_value, best_parts = unit, value, (reasoning, answer)
        order[best] = len(values)
        values.append(best_parts)
        alive.remove(best)
    scores = np.where(order < 0, len(values), order)
    return Importance(scores.astype(float), order, None, {str(step): sum(parts) for step, parts in enumerate(values)})


@given(text=texts, unit=units, objective=objectives, keep_ratio=st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_it_deletes_what_plain_greedy_pruning_deletes(
    text: str, unit: str, objective: Objective, keep_ratio: float
) -> None:
    """For any unit, order, scores and joint trajectory are those of scoring every shortened sequence as a whole."""
    chain, scorer = toy_chain(text, unit=unit), EntangledScorer(LETTERS)
    expected = brute_force(chain, scorer, objective, int(len(chain.units) * keep_ratio))
    importance = GreedyPruning(keep_ratio=keep_ratio).estimate(chain, scorer, objective)
    assert importance.order is not None
    assert importance.trajectory is not None
    np.testing.assert_array_equal(importance.order, expected.order)
    np.testing.assert_array_equal(importance.scores, expected.scores)
    np.testing.assert_allclose(importance.trajectory.joint, list(expected.diagnostics.values()), atol=1e-9)


def test_tokens_go_in_ascending_order_of_what_they_add() -> None:
    """On a scorer whose tokens add up, the token that adds least goes first, and its step is its score."""
    scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0, "d": 0.25})
    importance = GreedyPruning().estimate(toy_chain("abcd"), scorer, Answer())
    assert importance.scores.tolist() == [2, 0, 3, 1]
    assert importance.order is not None
    assert importance.order.tolist() == [2, 0, 3, 1]


def test_the_trajectory_describes_what_is_left() -> None:
    """After each step, down to the empty chain, the likelihoods are those of what is left."""
    scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0}, answer_base=-4.0, reasoning_logprob=-1.0)
    trajectory = GreedyPruning().estimate(toy_chain("abc"), scorer, Answer()).trajectory
    assert trajectory is not None
    assert trajectory.answer.tolist() == [-1.5, -2.0, -4.0]
    assert trajectory.reasoning.tolist() == [-2.0, -1.0, 0.0]
    assert trajectory.joint.tolist() == [-3.5, -3.0, -4.0]


@given(text=texts, unit=units, keep_ratio=st.sampled_from([0.0, 0.5]), strategy=st.sampled_from(["exact", "fast"]))
def test_where_calls_are_dear_the_trajectory_is_the_same(
    text: str, unit: str, keep_ratio: float, strategy: str
) -> None:
    """Scored for many steps together, what is left has the log-likelihoods that it has step by step."""
    chain, cheap, dear = toy_chain(text, unit=unit), EntangledScorer(LETTERS), EntangledScorer(LETTERS)
    dear.call_cost = 1024
    pruning = GreedyPruning(keep_ratio, strategy, window=1, beam=2)
    one, other = (pruning.estimate(chain, scorer, Answer()) for scorer in (cheap, dear))
    assert one.trajectory is not None
    assert other.trajectory is not None
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_allclose(one.trajectory.reasoning, other.trajectory.reasoning, atol=1e-9)
    np.testing.assert_allclose(one.trajectory.answer, other.trajectory.answer, atol=1e-9)


def test_ties_go_to_the_leftmost() -> None:
    """Units that leave exactly the same are deleted from left to right."""
    importance = GreedyPruning().estimate(toy_chain("babab"), AdditiveScorer({"a": 0.0, "b": 1.0}), Joint())
    assert importance.scores.tolist() == [2, 0, 3, 1, 4]


def test_words_go_as_a_whole() -> None:
    """A word is deleted with all its tokens, so a long enough word goes first though its tokens are worth more."""
    scorer = AdditiveScorer({"a": 0.75, "b": -0.5}, reasoning_logprob=-1.0)
    chain = toy_chain("aaa b", unit="word")  # without "aaa": 3 - 2.25 gained; without " b": 2 + 0.5
    assert GreedyPruning().estimate(chain, scorer, Joint()).scores.tolist() == [1, 0]
    assert GreedyPruning().estimate(toy_chain("aaaaaaaaaaaa b", unit="word"), scorer, Joint()).scores.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("n", "keep_ratio", "left"), [(10, 0.7, 7), (100, 0.29, 28), (3, 0.9, 2), (3, 0.3, 0), (1, 0.9, 0)]
)
def test_the_product_of_length_and_keep_ratio_is_cut(n: int, keep_ratio: float, left: int) -> None:
    """``int(n * keep_ratio)`` units stay, even where binary floating point makes the product a hair too small."""
    importance = GreedyPruning(keep_ratio=keep_ratio).estimate(toy_chain("a" * n), AdditiveScorer(), Joint())
    assert importance.order is not None
    assert (importance.order < 0).sum() == left


def test_what_stays_scores_above_what_went() -> None:
    """Units left at the keep ratio all score the number of steps made."""
    scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0, "d": 0.25})
    importance = GreedyPruning(keep_ratio=0.5).estimate(toy_chain("abcd"), scorer, Answer())
    assert importance.scores.tolist() == [2, 0, 2, 1]
    assert importance.order is not None
    assert importance.order.tolist() == [-1, 0, -1, 1]


@given(text=texts, objective=objectives, first=st.floats(0, 0.99), second=st.floats(0, 0.99))
def test_a_continued_run_equals_an_unbroken_one(text: str, objective: Objective, first: float, second: float) -> None:
    """Stopping at one keep ratio and continuing to a lower one gives the same result, and scores nothing twice."""
    chain, scorer, low = toy_chain(text), EntangledScorer(LETTERS), min(first, second)
    unbroken = GreedyPruning(low).estimate(chain, scorer, objective)
    cost = scorer.tokens_forwarded
    stopped = GreedyPruning(max(first, second)).estimate(chain, scorer, objective)
    continued = GreedyPruning(low).continue_from(stopped, chain, scorer, objective)
    assert scorer.tokens_forwarded == 2 * cost
    np.testing.assert_array_equal(continued.scores, unbroken.scores)
    assert continued.trajectory is not None
    assert unbroken.trajectory is not None
    np.testing.assert_array_equal(continued.trajectory.joint, unbroken.trajectory.joint)
    np.testing.assert_array_equal(continued.trajectory.answer, unbroken.trajectory.answer)
    np.testing.assert_array_equal(continued.trajectory.reasoning, unbroken.trajectory.reasoning)


def test_a_run_that_was_continued_is_left_as_it_was() -> None:
    """Continuing a run makes a new importance and leaves the old one unchanged."""
    chain, scorer = toy_chain("abcd"), EntangledScorer(LETTERS)
    stopped = GreedyPruning(0.5).estimate(chain, scorer, Joint())
    assert stopped.order is not None
    order = stopped.order.tolist()
    GreedyPruning().continue_from(stopped, chain, scorer, Joint())
    assert stopped.order.tolist() == order


def test_only_greedy_runs_of_the_chain_can_be_continued() -> None:
    """An importance without order, of another length, or already past the keep ratio is refused."""
    chain, scorer = toy_chain("abcd"), AdditiveScorer()
    with pytest.raises(EstimatorError, match="order and trajectory"):
        GreedyPruning().continue_from(Importance(np.zeros(4)), chain, scorer, Joint())
    done = GreedyPruning().estimate(chain, scorer, Joint())
    with pytest.raises(EstimatorError, match=r"chain 'other'.*5 units"):
        GreedyPruning().continue_from(done, toy_chain("abcde", id="other"), scorer, Joint())
    with pytest.raises(EstimatorError, match=r"0 units are left.*until 2 are"):
        GreedyPruning(0.5).continue_from(done, chain, scorer, Joint())


@pytest.mark.parametrize("keep_ratio", [-0.1, 1, 1.5, float("nan"), "0.5", None, True])
def test_a_keep_ratio_must_be_a_share(keep_ratio: object) -> None:
    """Only numbers from 0 up to 1 are taken, and the message names the parameter and what it was."""
    with pytest.raises(
        EstimatorError, match=r"greedy: keep_ratio=.* is not allowed; give a number, 0 or more and below 1"
    ):
        GreedyPruning(keep_ratio=keep_ratio).validate_parameters()  # type: ignore[arg-type] # what is tested


def test_an_objective_that_is_no_number_is_named() -> None:
    """NaN after a deletion raises an error that names the chain and the unit, whatever the other candidates are."""

    class Broken(AdditiveScorer):
        def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
            return super().answer_loglik(embeddings) / (5.0 in embeddings[:, 0] or torch.nan)

    with pytest.raises(EstimatorError, match=r"chain 'sick'.*'answer' is not a number.*token 2 is deleted"):
        GreedyPruning().estimate(toy_chain("abcd", id="sick"), Broken({"c": 5.0}), Answer())


def test_an_objective_that_does_not_fit_is_refused() -> None:
    """A chain without a wrong answer cannot be pruned by contrast."""
    with pytest.raises(ObjectiveError, match="wrong answer"):
        GreedyPruning().estimate(toy_chain("ab"), AdditiveScorer(), Contrast())


def test_the_cost_is_the_published_one() -> None:
    """Without sharing, a step over n units passes n * (prompt + n - 1 + answer) token positions."""
    scorer = AdditiveScorer()
    GreedyPruning().estimate(toy_chain("abcde", question="qq", answer="zzz"), scorer, Joint())
    assert scorer.tokens_forwarded == sum(n * (2 + n - 1 + 3) for n in range(1, 6))


@pytest.mark.parametrize("keep_ratio", [0.0, 0.5])
def test_it_keeps_the_contract(keep_ratio: float) -> None:
    """Greedy pruning passes the check that every estimator must pass."""
    check_estimator(GreedyPruning(keep_ratio))


@given(text=texts, unit=units, objective=objectives, audit=st.integers(0, 3))
def test_fast_with_a_beam_over_all_units_is_exact(text: str, unit: str, objective: Objective, audit: int) -> None:
    """Where the beam holds every unit, the fast strategy deletes in the exact order, and its audits agree."""
    chain, scorer = toy_chain(text, unit=unit), EntangledScorer(LETTERS)
    exact = GreedyPruning(strategy="exact").estimate(chain, scorer, objective)
    fast = GreedyPruning(strategy="fast", beam=9, audit=audit).estimate(chain, scorer, objective)
    np.testing.assert_array_equal(fast.scores, exact.scores)
    assert fast.diagnostics["audit_agreement"] == 1 or fast.diagnostics["audited_steps"] == 0


@pytest.mark.parametrize("objective", [Joint(), Answer()], ids=lambda objective: objective.name)
def test_fast_is_exact_where_deletions_do_not_interact(objective: Objective) -> None:
    """If importances add up, what the first step sees stays true, so a beam of one suffices."""
    chain, scorer = toy_chain("the quick brown fox"), AdditiveScorer(LETTERS)
    exact = GreedyPruning(strategy="exact").estimate(chain, scorer, objective)
    fast = GreedyPruning(strategy="fast", window=0, beam=1, audit=0).estimate(chain, scorer, objective)
    np.testing.assert_array_equal(fast.scores, exact.scores)
    assert np.isnan(fast.diagnostics["audit_agreement"])


class CountingScorer(EntangledScorer):
    """A scorer that records which units each step asks for."""

    def __init__(self, values: dict[str, float]) -> None:
        super().__init__(values)
        self.asked: list[list[int]] = []

    def score_deletions(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Record what is asked for, and score it."""
        if asked := [position for candidate in candidates for position in candidate]:  # else what is kept is scored
            self.asked.append(asked)
        return super().score_deletions(chain, kept, candidates, objective)


def test_where_only_the_answer_is_read_fast_scores_the_neighbours_of_the_last_deletion_and_the_best() -> None:
    """After the first step only `window` units on either side and the `beam` best are scored; audits score all."""
    chain, scorer = toy_chain("abcdefghijklmnopqrst"), CountingScorer(LETTERS)
    importance = GreedyPruning(strategy="fast", window=1, beam=2, audit=2).estimate(chain, scorer, Answer())
    assert importance.order is not None
    order = np.argsort(importance.order).tolist()
    kept = set(range(20))
    for step, asked in enumerate(scorer.asked):
        if step in {0, 5, 15}:
            assert set(asked) == kept
        else:
            left = max((unit for unit in kept if unit < order[step - 1]), default=None)
            right = min((unit for unit in kept if unit > order[step - 1]), default=None)
            assert {left, right} - {None} <= set(asked)
            assert len(asked) <= 4
        assert order[step] in asked
        kept.remove(order[step])
    assert importance.diagnostics["audited_steps"] == 2
    assert importance.diagnostics["audit_loss"] >= 0


class ReadingScorer(EntangledScorer):
    """A scorer that records which units each call reads, and how far."""

    def __init__(self, values: dict[str, float]) -> None:
        super().__init__(values)
        self.read: list[tuple[list[int], list[int], int | None]] = []

    def deletion_logprobs(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        *,
        until: int | None = None,
    ) -> FloatArray:
        """Record what is asked for, and return it: NaN after `until`."""
        self.read.append((list(kept), [position for candidate in candidates for position in candidate], until))
        logprobs = super().deletion_logprobs(chain, kept, candidates)
        if until is not None:
            logprobs[:, until + 1 :] = np.nan
        return logprobs


def test_where_the_reasoning_is_read_fast_looks_around_the_last_deletion_and_scores_the_best_predictions() -> None:
    """Units near the last deletion are read a few tokens beyond it, then `beam` units to the end; audits read all."""
    chain, scorer = toy_chain("abcdefghijklmnopqrstuvwxyz abcdef"), ReadingScorer(LETTERS)
    importance = GreedyPruning(strategy="fast", window=2, beam=3, horizon=1, audit=1).estimate(chain, scorer, Joint())
    assert importance.order is not None
    order, read = np.argsort(importance.order).tolist(), iter(scorer.read)
    kept, asked, until = next(read)
    assert asked == kept == list(range(33))
    assert until is None
    for step, deleted in enumerate(order[:-1], start=1):
        kept = sorted(order[step:])
        place = int(np.searchsorted(kept, deleted))
        for side in (kept[max(0, place - 2) : place], kept[place : place + 2]):
            if side:
                end = max(place, kept.index(side[-1]) + 1) + 1
                assert next(read) == (kept, side, end if end < len(kept) else None)
        there, asked, until = next(read)
        assert there == kept
        assert until is None
        assert len(asked) == (len(kept) if step == 16 else min(3, len(kept)))
        assert order[step] in asked
    assert next(read, None) is None
    assert importance.diagnostics["audited_steps"] == 1


@given(text=texts, unit=units, first=st.floats(0, 0.99))
def test_a_fast_run_that_is_continued_goes_on_from_where_it_stopped(text: str, unit: str, first: float) -> None:
    """With a beam over all units, a fast run continued from a higher keep ratio ends as an exact one does."""
    chain, scorer = toy_chain(text, unit=unit), EntangledScorer(LETTERS)
    exact = GreedyPruning(strategy="exact").estimate(chain, scorer, Joint())
    stopped = GreedyPruning(first, strategy="fast", beam=9).estimate(chain, scorer, Joint())
    continued = GreedyPruning(strategy="fast", beam=9).continue_from(stopped, chain, scorer, Joint())
    np.testing.assert_array_equal(continued.scores, exact.scores)


@pytest.mark.parametrize(("length", "fast"), [(EXACT_BELOW - 1, 0.0), (EXACT_BELOW, 1.0)])
def test_auto_is_exact_below_the_stated_length(length: int, fast: float) -> None:
    """The default strategy is exact up to its bound and fast from there on, and the result says which it was."""
    chain = toy_chain("abcdefghij" * (length // 10) + "k" * (length % 10))
    assert GreedyPruning(keep_ratio=0.98).estimate(chain, AdditiveScorer(LETTERS), Answer()).diagnostics["fast"] == fast


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strategy": "quick"}, "give 'auto', 'exact' or 'fast'"),
        ({"window": -1}, "window=-1 is not allowed; give a whole number, 0 or more"),
        ({"horizon": -1}, "horizon=-1 is not allowed; give a whole number, 0 or more"),
        ({"beam": 0}, "beam=0 is not allowed; give a whole number, 1 or more"),
        ({"audit": 0.5}, "audit=0.5 is not allowed"),
    ],
)
def test_parameters_of_the_fast_strategy_are_checked(parameters: dict[str, Any], message: str) -> None:
    """An unknown strategy and impossible counts are refused before any work."""
    with pytest.raises(EstimatorError, match=message):
        GreedyPruning(**parameters).validate_parameters()


def test_an_audit_records_how_far_a_choice_is_below_the_best() -> None:
    """Agreement is the share of audited steps whose chosen units hold the best one, loss the mean of what is missed."""
    audit = Audit(frozenset({3, 5}))
    audit.record([0, 2, 4], np.array([-1.0, -3.0, -2.0]), [2, 4])
    audit.record([0, 2], np.array([-1.0, -3.0]), [0])
    assert audit.diagnostics() == {"audited_steps": 2.0, "audit_agreement": 0.5, "audit_loss": 0.5}


@given(steps=st.integers(1, 300), count=st.integers(1, 10))
def test_audited_steps_are_spread_over_the_run(steps: int, count: int) -> None:
    """They lie within the run, leave out the first step, and no stretch of it is longer than twice the even one."""
    audited = sorted(audited_steps(steps, count))
    assert all(0 < step < steps for step in audited)
    assert len(audited) <= count
    assert all(later - earlier <= 2 * steps / count + 1 for earlier, later in pairwise([0, *audited, steps]))


@pytest.mark.parametrize("predicts", [True, False])
def test_a_wider_search_is_estimated_to_cost_more(predicts: bool) -> None:
    """A larger window, beam or horizon, or more audited steps, each raise the estimate."""
    chain = toy_chain("abcdefghij" * 12)
    narrow = SearchWidth(predicts, window=4, beam=4, horizon=2 if predicts else 0)
    least = fast_run_positions(chain, narrow, 120, frozenset())
    wider = [replace(narrow, window=8), replace(narrow, beam=12)]
    wider += [replace(narrow, horizon=6)] if predicts else []
    assert all(fast_run_positions(chain, width, 120, frozenset()) > least for width in wider)
    assert fast_run_positions(chain, narrow, 120, {30, 60}) > least
