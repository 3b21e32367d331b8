"""The plan of deletions, and scoring them against the slow twin."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.contracts.objective import Joint
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.errors import ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.deletion.plan import DeletionBatch, check_deletions, plan_deletions
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_deletion

rows = st.lists(st.tuples(st.integers(-1, 20), st.integers(0, 9)), min_size=1, max_size=25)


@cache
def scorer() -> CausalLMScorer:
    """Return a small scorer."""
    loaded = load_scorer(random_model("qwen2"), "nnsight", device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    return loaded


@given(rows, st.integers(1, 200), st.integers(0, 100), st.integers(1, 9))
def test_batches_have_rows_of_one_end_within_the_budget(
    asked: list[tuple[int, int]], budget: int, cost: int, most: int
) -> None:
    """Batches partition the rows; rows of one end together, start at the earliest, and keep to the budget."""
    starts, ends = [start for start, _ in asked], [start + width for start, width in asked]
    plan = plan_deletions(starts, ends, max_positions=budget, call_cost=cost, max_rows=most)
    assert sorted(index for batch in plan for index in batch.rows) == list(range(len(asked)))
    for batch in plan:
        assert batch.start == min(starts[index] for index in batch.rows)
        (end,) = {ends[index] for index in batch.rows}
        assert batch.width == end - batch.start
        assert len(batch.rows) <= most
        assert len(batch.rows) == 1 or batch.positions <= budget


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(5, 60), st.integers(0, 30))
def test_the_plan_is_the_cheapest(starts: list[int], budget: int, cost: int) -> None:
    """No other way to cut the sorted rows into groups passes fewer positions plus calls."""

    def price(widths: list[int]) -> int | None:
        total = cost + len(widths) * max(1, widths[0])
        return total if len(widths) == 1 or len(widths) * max(1, widths[0]) <= budget else None

    widths = [10 - start for start in sorted(starts)]
    prices = []
    for count in range(len(widths)):
        for cuts in combinations(range(1, len(widths)), count):
            borders = [0, *cuts, len(widths)]
            groups = [price(widths[a:b]) for a, b in pairwise(borders)]
            prices.append(sum(group for group in groups if group is not None) if None not in groups else 10**9)
    plan = plan_deletions(starts, [10] * len(starts), max_positions=budget, call_cost=cost)
    assert sum(cost + len(batch.rows) * max(1, batch.width) for batch in plan) == min(prices)


def test_halves_hold_every_row_and_a_single_row_has_none() -> None:
    """Splitting a batch loses nothing, keeps its start, and ends at single rows."""
    halves = DeletionBatch(2, 9, (4, 0, 7)).halves()
    assert halves == (DeletionBatch(2, 9, (4,)), DeletionBatch(2, 9, (0, 7)))
    assert DeletionBatch(2, 9, (4,)).halves() is None


@pytest.mark.parametrize(
    ("kept", "candidates", "message"),
    [
        ([1, 0], [], "must ascend"),
        ([0, 8], [], "between 0 and 7"),
        ([0, 2], [[1]], "deletion 0 \\(1,\\)"),
        ([0, 2], [[0], [2, 3]], "deletion 1"),
        ([0, 2], [[0, 0]], "each once"),
    ],
)
def test_impossible_deletions_are_refused(kept: list[int], candidates: list[list[int]], message: str) -> None:
    """What is not a part of the reasoning, or not there any more, is an error that names the chain."""
    with pytest.raises(ScorerError, match=f"random-0.*{message}"):
        check_deletions(random_chain(2, 8, 1), kept, candidates)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_deletion_scores_what_the_shortened_ids_score(data: st.DataObject) -> None:
    """Whatever is kept, deleted (nothing included) and batched, scores equal a forward pass over the remaining ids."""
    prompt, length, answer = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 3)))
    chain = random_chain(prompt, length, answer, seed=data.draw(st.integers(0, 9)))
    kept = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1)))
    candidates = data.draw(st.lists(st.sets(st.sampled_from(kept)).map(sorted), min_size=1, max_size=4))
    subject = scorer()
    subject.budget.positions = data.draw(st.integers(1, 60))
    found = subject.score_deletions(chain, kept, candidates, Joint())
    for index, candidate in enumerate(candidates):
        reasoning, answered = reference_deletion(_plain(), chain, kept, candidate, chain.answer_ids)
        assert found.reasoning[index] == pytest.approx(reasoning, abs=1e-4)
        assert found.answer[index] == pytest.approx(answered, abs=1e-4)


@cache
def _plain() -> object:
    return random_model("qwen2")


def test_units_are_deleted_as_a_whole() -> None:
    """A unit's score is that of deleting all its tokens from the units still kept."""
    chain = random_chain(3, 6, 2)
    words = replace(chain, units=((0, 1), (2, 4), (3, 5)))
    found = score_unit_deletions(scorer(), words, [0, 2], Joint())
    expected = scorer().score_deletions(chain, [0, 1, 3, 5], [[0, 1], [3, 5]], Joint())
    np.testing.assert_allclose(found.objective, expected.objective, atol=1e-4)


def test_a_full_pruning_passes_a_quarter_of_the_positions_that_scoring_from_scratch_does() -> None:
    """Reading nothing twice passes 4 times fewer positions than the paper's procedure, and deletes the same."""
    prompt, length, answer = 30, 24, 6
    chain, subject = random_chain(prompt, length, answer), scorer()
    subject.budget.positions, subject.decoder.call_cost = (
        2048,
        8,
    )  # as for a large model, where calls cost little beside positions
    orders, spent = [], []
    for reuse in (True, False):
        subject.decoder.reuse_kv = reuse
        kept, order, before = list(range(length)), [], subject.tokens_forwarded
        while kept:
            order.append(kept.pop(int(score_unit_deletions(subject, chain, kept, Joint()).objective.argmax())))
        orders.append(order)
        spent.append(subject.tokens_forwarded - before)
    subject.decoder.reuse_kv = True
    published = sum(n * (prompt + n + answer) for n in range(1, length + 1))
    assert orders[0] == orders[1]
    assert published / spent[0] > 3.5
    assert spent[1] == published - 2 * sum(range(1, length + 1))  # nor is a row's deleted or last token read


def test_deletions_that_leave_the_same_ids_tie_exactly_and_are_scored_once() -> None:
    """Deleting either of two equal neighbours scores the same to the last bit, at the cost of one."""
    subject, chain = scorer(), random_chain(6, 12, 4)
    ids = list(chain.reasoning_ids)
    ids[4] = ids[5] = ids[6]
    twins = replace(chain, reasoning_ids=tuple(ids))
    model, costs = random_model("qwen2"), []
    for version in (twins, chain):
        before = subject.tokens_forwarded
        scores = score_unit_deletions(subject, version, range(12), Joint())
        costs.append(subject.tokens_forwarded - before)
        answer = version.answer_ids
        expected = [sum(reference_deletion(model, version, range(12), (unit,), answer)) for unit in range(12)]
        np.testing.assert_allclose(scores.objective, expected, atol=1e-4)
        if version is twins:
            assert scores.objective[4] == scores.objective[5] == scores.objective[6]
    assert costs[0] < costs[1]
