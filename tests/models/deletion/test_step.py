"""What one step asks for, and how scores find their way back to the deletions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Contrast, Joint, LogprobTensors
from tokimp.models.deletion.step import DeletionStep
from tokimp.testing.reference import random_chain


def chain_of(*reasoning_ids: int) -> TokenizedChain:
    """Return a chain with these ids as its reasoning, each a unit."""
    return replace(random_chain(2, len(reasoning_ids), 2, wrong_answer=2), reasoning_ids=reasoning_ids)


def test_rows_are_what_is_left_in_the_order_of_the_candidates() -> None:
    """Each candidate has a row of the kept positions without its own, and deleting nothing leaves all of them."""
    step = DeletionStep(chain_of(10, 11, 12, 13, 14), [0, 1, 3, 4], [(3,), (0, 4), ()], Joint())
    assert [row.tolist() for row in step.rows] == [[0, 1, 4], [1, 3], [0, 1, 3, 4]]
    assert step.deletions == [(3,), (0, 4), ()]
    assert step.waiting == {0, 1, 2}
    assert not step.nothing_deleted
    assert DeletionStep(chain_of(10, 11), [0, 1], [], Joint()).nothing_deleted


def test_candidates_that_leave_the_same_ids_share_a_row_and_its_score() -> None:
    """Deleting either of two equal neighbours is one row; its score is given to both, and others keep their own."""
    step = DeletionStep(chain_of(10, 11, 11, 12), [0, 1, 2, 3], [(3,), (1,), (2,), (0,)], Answer())
    assert step.deletions == [(3,), (1,), (0,)]
    answer = torch.tensor([[-1.0, -1.0], [-2.0, -2.0], [-3.0, -3.0]])
    step.store([0, 1, 2], LogprobTensors(torch.zeros(3, 3), answer, None))
    assert step.scores.objective.tolist() == [-2, -4, -4, -6]
    assert not step.waiting


def test_rows_may_be_stored_in_any_order_and_parts() -> None:
    """What is stored of a row stays its own whichever batch it came in; the others are still waiting, with NaN."""
    step = DeletionStep(chain_of(10, 11, 12), [0, 1, 2], [(0,), (1,), (2,)], Joint())
    step.store([2], LogprobTensors(torch.tensor([[-1.0, -2.0]]), torch.tensor([[-4.0, -8.0]]), None))
    assert step.waiting == {0, 1}
    np.testing.assert_array_equal(step.scores.objective, [np.nan, np.nan, -15])
    step.store([1, 0], LogprobTensors(torch.full((2, 2), -1.0), torch.tensor([[-1.0, 0.0], [0.0, 0.0]]), None))
    assert step.scores.objective.tolist() == [-2, -3, -15]
    assert step.scores.reasoning.tolist() == [-2, -2, -3]
    assert step.scores.answer.tolist() == [0, -1, -12]


def test_log_probabilities_stand_at_the_tokens_they_belong_to() -> None:
    """Each value is in the column of its kept token or answer token; the deleted token's column is NaN."""
    step = DeletionStep(chain_of(10, 11, 12, 13), [0, 2, 3], [(2,), ()], Joint())
    step.store([0], LogprobTensors(torch.tensor([[-1.0, -3.0]]), torch.tensor([[-4.0, -5.0]]), None))
    step.store([1], LogprobTensors(torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[-6.0, -7.0]]), None))
    np.testing.assert_array_equal(step.logprobs, [[-1, np.nan, -3, -4, -5], [-1, -2, -3, -6, -7]])


def test_reading_that_stops_early_ends_with_the_token_that_comes_next() -> None:
    """With `until`, rows end there, the next kept token stands for the answer, and columns after it are NaN."""
    chain = chain_of(10, 11, 12, 13, 14)
    step = DeletionStep(chain, [0, 1, 3, 4], [(1,)], Joint(), until=2)
    assert [row.tolist() for row in step.rows] == [[0]]
    assert step.answer.tolist() == [13]
    step.store([0], LogprobTensors(torch.tensor([[-1.0]]), torch.tensor([[-2.0]]), None))
    np.testing.assert_array_equal(step.logprobs, [[-1, np.nan, -2, np.nan, np.nan, np.nan]])
    whole = DeletionStep(chain, [0, 1, 3, 4], [(1,)], Joint(), until=9)
    assert whole.answer.tolist() == list(chain.answer_ids)


@pytest.mark.parametrize(
    ("objective", "reads_reasoning", "needs_wrong"), [(Joint(), True, False), (Answer(), False, False)]
)
def test_a_step_asks_for_no_more_than_the_objective_reads(
    objective: Joint | Answer, reads_reasoning: bool, needs_wrong: bool
) -> None:
    """Reasoning and wrong answer are asked for only where the objective reads them."""
    step = DeletionStep(chain_of(10, 11), [0, 1], [(0,)], objective)
    assert step.reads_reasoning == reads_reasoning
    assert (step.wrong_answer is not None) == needs_wrong
    assert DeletionStep(chain_of(10, 11), [0, 1], [(0,)], Contrast()).wrong_answer is not None


def test_the_text_of_rows_is_the_prompts_last_token_what_is_left_and_the_answer() -> None:
    """Made by hand: two rows of two tokens."""
    chain = replace(chain_of(10, 11, 12), prompt_ids=(1, 2), answer_ids=(8, 9))
    step = DeletionStep(chain, [0, 1, 2], [(0,), (2,)], Joint())
    assert step.text(np.stack(step.rows)).tolist() == [[2, 11, 12, 8, 9], [2, 10, 11, 8, 9]]


def test_a_boundary_asks_for_the_next_token_and_for_the_one_after_the_unit() -> None:
    """Made by hand: a row of a word of two tokens and one of one, before an answer and a wrong answer."""
    chain = replace(chain_of(10, 11, 12), units=((0, 1), (2,)), answer_ids=(8, 9), wrong_answer_ids=(7,))
    step = DeletionStep(chain, [0, 1, 2], [()], Contrast())
    assert step.next_ids(np.array([[0, 1, 2]])).tolist() == [
        [[10, 12, 12], [11, 12, 12], [12, 8, 7], [8, 8, 7], [9, 9, 9]]
    ]


@given(st.data())
def test_next_ids_are_those_of_really_deleting_the_unit(data: st.DataObject) -> None:
    """For any units and whatever is left, choice 0 is what follows, choice 1 what follows once the unit is gone."""
    length = data.draw(st.integers(1, 8))
    labels = data.draw(st.lists(st.integers(-1, 3), min_size=length, max_size=length))  # -1: a token of no unit
    units = tuple(
        tuple(np.flatnonzero(np.equal(labels, label)).tolist()) for label in sorted(set(labels)) if label >= 0
    )
    chain = replace(random_chain(1, length, 2, seed=length), units=units)
    left = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1)))
    next_ids = DeletionStep(chain, left, [()], Joint()).next_ids(np.array([left]))[0]
    for boundary, position in enumerate(left):
        label = labels[position]
        after_unit = [
            chain.reasoning_ids[other]
            for other in left[boundary:]
            if other != position and (label < 0 or labels[other] != label)
        ]
        expected = [chain.reasoning_ids[position], [*after_unit, chain.answer_ids[0]][0]]
        assert next_ids[boundary].tolist() == expected
    assert next_ids[len(left) :].tolist() == [[token, token] for token in chain.answer_ids]
