"""Stored rows: what is known along them, and which of them the bank keeps from step to step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from tokimp.chains.arrays import IntArray
from tokimp.contracts.objective import Joint
from tokimp.models.deletion.key_value_pool import new_cache
from tokimp.models.deletion.rows import RowBank
from tokimp.models.deletion.step import Deletion, DeletionStep
from tokimp.models.deletion.stored_rows import StoredRow
from tokimp.testing.reference import random_chain

PROMPT = [101, 102]
REASONING = (10, 11, 12, 13, 14)
CHAIN = replace(random_chain(2, 5, 1), prompt_ids=tuple(PROMPT), reasoning_ids=REASONING)
POSITION_BYTES = 2 * 4  # keys and values of one layer, one head, one float32


def row_of(*ids: int, slots: IntArray | None = None) -> StoredRow:
    """Return a row of these ids, in no slots by default, at whose boundaries the next id is known: minus its number."""
    next_ids = np.array([[*ids, 0]]).T
    logprobs = np.full(next_ids.shape, np.nan, dtype=np.float32)
    logprobs[: len(ids)] = -next_ids[: len(ids)]
    slots = np.zeros(0, dtype=np.int64) if slots is None else slots
    return StoredRow.alone(np.array(ids, dtype=np.int64), slots, next_ids, logprobs)


def cache_of(*rows: list[int]) -> DynamicCache:
    """Return a cache of rows whose every key and value is the id that was read there."""
    cache = new_cache()
    states = torch.tensor(rows, dtype=torch.float32)[:, None, :, None]
    cache.update(states, -states, 0)
    return cache


def read_back(bank: RowBank, slots: IntArray) -> list[float]:
    """Return the keys in some slots."""
    layers: Any = bank.pool.gather(slots[None], 0).layers
    return layers[0].keys[0, 0, :, 0].tolist()  # type: ignore[no-any-return] # a list of numbers


def step(kept: list[int], *deletions: Deletion) -> DeletionStep:
    """Return a step of the chain above."""
    return DeletionStep(CHAIN, kept, deletions, Joint())


def bank_after(*deletions: Deletion, cache_memory: int = 10**6) -> RowBank:
    """Return a bank that stored the whole chain and, read from their deletion on, what some deletions leave."""
    bank = RowBank(cache_memory)
    bank.begin(step([0, 1, 2, 3, 4], *deletions))
    bank.store_base(row_of(*REASONING), cache_of([*PROMPT, *REASONING]), 0)
    store(bank, *deletions)
    return bank


def store(bank: RowBank, *deletions: Deletion) -> None:
    """Store what deletions leave of the whole chain, each continuing from the base."""
    assert bank.base is not None
    for deletion in deletions:
        ids = [token for position, token in enumerate(REASONING) if position not in deletion]
        row = row_of(*ids, slots=bank.base.slots)
        first_new = len(PROMPT) + bank.base.shared_with(np.array(ids))
        bank.store_rows({deletion: row}, [first_new], cache_of([*PROMPT, *ids]))


def test_a_row_is_stored_behind_what_it_shares_with_the_base() -> None:
    """What two rows share takes memory once, and each row reads as its own ids."""
    bank = bank_after((2,), (4,))
    assert bank.pool.used == 7 + 2 + 0  # prompt and chain; 13 and 14 at their new positions; nothing new
    for deletion, ids in (((2,), [10, 11, 13, 14]), ((4,), [10, 11, 12, 13])):
        row = bank.row(deletion)
        assert row is not None
        assert read_back(bank, row.slots) == [*PROMPT, *ids]
    assert bank.row((1,)) is None


def test_the_row_of_the_deletion_that_was_made_becomes_the_base() -> None:
    """A step that keeps what a deletion left has all of it as its base; rows that cannot be asked for again go."""
    bank = bank_after((2,), (0,), (1, 2))
    bank.begin(step([0, 1, 3, 4], (0,)))
    assert bank.base is not None
    assert bank.base.ids.tolist() == [10, 11, 13, 14]
    assert read_back(bank, bank.base.slots) == [*PROMPT, 10, 11, 13, 14]
    assert bank.row((2,)) is None
    assert bank.row((1, 2)) is None
    older = bank.row((0,))
    assert older is not None
    assert read_back(bank, older.slots) == [*PROMPT, 11, 12, 13, 14]
    assert bank.pool.used == 2 + 4 + 4  # prompt, base, the row without the first token


def test_a_step_that_jumps_has_as_its_base_what_still_agrees() -> None:
    """Where no stored row is what is kept now, the base is the longest common prefix there is."""
    bank = bank_after((1,), (2,))
    bank.begin(step([0, 2, 4], (4,)))
    assert bank.base is not None
    assert bank.base.ids.tolist() == [10, 12]


def test_another_prompt_or_a_new_run_drops_everything() -> None:
    """A step of another chain, or one with nothing deleted, finds an empty bank."""
    other = replace(CHAIN, prompt_ids=(5, 6))
    for beginning in (step([0, 1, 2, 3, 4], (2,)), DeletionStep(other, [0, 1, 3, 4], [(0,)], Joint())):
        bank = bank_after((2,))
        bank.begin(beginning)
        assert bank.base is None
        assert bank.row((2,)) is None
        assert bank.pool.used == 0


def test_rows_are_stored_only_within_the_limit() -> None:
    """A row beyond the limit is left out, those within it stay, and the base has its place whatever the limit."""
    bank = bank_after((0,), (3,), (2,), cache_memory=12 * POSITION_BYTES)
    assert bank.pool.used == 7 + 4 + 1
    assert [bank.row(deletion) is not None for deletion in ((0,), (3,), (2,))] == [True, True, False]
    assert bank_after((0,), cache_memory=0).pool.used == 7


def test_a_newer_version_of_a_row_takes_the_place_of_the_older() -> None:
    """After a row is read again, its old slots are free, but for those that the new version shares."""
    bank = bank_after((1,))
    store(bank, (1,))
    assert bank.pool.used == 7 + 3
    row = bank.row((1,))
    assert row is not None
    assert read_back(bank, row.slots) == [*PROMPT, 10, 12, 13, 14]


def test_the_base_grows_from_what_is_stored_of_it() -> None:
    """A longer base keeps its first slots and gets new ones for the rest."""
    bank = RowBank(10**6)
    bank.begin(step([0, 1, 2, 3, 4]))
    bank.store_base(row_of(10, 11), cache_of([*PROMPT, 10, 11]), 0)
    assert bank.base is not None
    shorter = bank.base.slots
    bank.store_base(row_of(10, 11, 12, slots=shorter), cache_of([*PROMPT, 10, 11, 12]), 4)
    assert bank.base.slots[:4].tolist() == shorter.tolist()
    assert read_back(bank, bank.base.slots) == [*PROMPT, 10, 11, 12]
    assert bank.pool.used == 5


def test_a_prediction_is_added_where_a_row_leaves_the_base() -> None:
    """The base learns the log-probability it lacks for an id that it asks for there, and keeps what it knows."""
    bank = RowBank(10**6)
    bank.begin(step([0, 1, 2]))
    next_ids, unknown = np.array([[10, 11], [11, 12], [12, 0], [0, 0]]), np.full((4, 2), np.nan, dtype=np.float32)
    base = StoredRow.alone(np.array([10, 11, 12]), np.zeros(0, dtype=np.int64), next_ids, unknown.copy())
    bank.store_base(base, cache_of([*PROMPT, 10, 11, 12]), 0)
    predicted = np.full((3, 1), -0.5, dtype=np.float32)
    bank.add_prediction(np.array([10, 12]), np.array([[10], [12], [0]]), predicted)
    assert bank.base is not None
    np.testing.assert_array_equal(bank.base.logprobs[1], np.array([np.nan, -0.5], dtype=np.float32))
    bank.add_prediction(np.array([10, 12]), np.array([[10], [12], [0]]), 2 * predicted)
    assert bank.base.logprobs[1, 1] == -0.5
    bank.add_prediction(np.array([10, 13]), np.array([[10], [13], [0]]), predicted)
    assert np.isnan(bank.base.logprobs[[0, 2, 3]]).all()
    assert np.isnan(bank.base.logprobs[1, 0])


def test_giving_up_memory_halves_what_may_be_stored() -> None:
    """Everything goes, the limit falls to half of what was in use, and without rows there is nothing to give up."""
    bank = bank_after((0,), (1,))
    assert bank.pool.used == 7 + 4 + 3
    assert bank.give_up_memory()
    assert bank.base is None
    assert bank.pool.used == 0
    assert not bank.give_up_memory()
    bank.store_base(row_of(*REASONING), cache_of([*PROMPT, *REASONING]), 0)
    store(bank, (0,), (1,))
    assert bank.pool.used == 7  # the limit is 7 positions now


def test_reserving_keeps_to_the_limit() -> None:
    """Slots are made for what was asked beside the base, or up to the limit, in one go."""
    bank = bank_after()
    bank.reserve(600)
    first = bank.pool.allocate(600)
    assert len(set(first.tolist()) | set(range(7))) == 607
    small = bank_after(cache_memory=20 * POSITION_BYTES)
    small.reserve(10**9)  # would not fit in memory without the limit
    assert small.pool.used == 7
