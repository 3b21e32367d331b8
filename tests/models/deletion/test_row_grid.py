"""Rows of one length as arrays: what they share with their sources, and what is read of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tokimp.contracts.objective import Joint
from tokimp.models.deletion.row_grid import RowGrid, RowGroup, common_prefixes, shared_lengths
from tokimp.models.deletion.rows import StoredRow, common_prefix
from tokimp.models.deletion.step import DeletionStep
from tokimp.testing import toy_chain

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=5)


def stored(ids: list[int]) -> StoredRow:
    """Return a row of which nothing but the ids is known."""
    count = len(ids) + 1
    return StoredRow(
        np.array(ids, dtype=np.int64),
        np.arange(len(ids)),
        np.full((count, 2), -1),
        np.full((count, 2), np.nan, dtype=np.float32),
    )


@given(ROWS, st.lists(st.integers(0, 2), max_size=6))
def test_prefixes_are_those_found_one_by_one(rows: list[list[int]], other: list[int]) -> None:
    """Prefixes that several rows share with one sequence, of any length, are those of each row alone."""
    ids, kept = np.array(rows), np.array(other, dtype=np.int64)
    expected = [common_prefix(row, kept) for row in ids]
    assert common_prefixes(ids, kept[None]).tolist() == expected


@given(ROWS, st.data())
def test_each_row_is_compared_with_its_own_source(rows: list[list[int]], data: st.DataObject) -> None:
    """A row without a source shares nothing; the others share what they share with theirs."""
    ids = np.array(rows)
    sources = [
        None if given_ids is None else stored(given_ids)
        for given_ids in (data.draw(st.none() | st.lists(st.integers(0, 2), max_size=6)) for _ in rows)
    ]
    expected = [0 if source is None else source.shared_with(row) for source, row in zip(sources, ids, strict=True)]
    assert shared_lengths(sources, ids).tolist() == expected


def test_a_row_is_read_from_its_start_to_the_last_token_but_one() -> None:
    """Of the row "abd" that continues the base at "d", what is read is "d" and the answer without its last token."""
    chain = toy_chain("abcd", question="?!", answer="xyz")
    step = DeletionStep(chain, range(4), [(2,)], Joint())
    base = stored(list(chain.reasoning_ids))
    slots = np.arange(100, 100 + len(chain.prompt_ids) + 4)
    source = StoredRow(base.ids, slots, base.next_ids, base.logprobs)
    ids = step.ids(step.rows[0])[None]
    grid = RowGrid(step, RowGroup([0], step.rows[0][None], ids, [source], np.array([2]), np.array([2]), np.array([2])))
    pack = grid.pack(np.array([7, 8, 9]))
    assert pack.ids.tolist() == [chain.reasoning_ids[3], *chain.answer_ids[:2]]
    assert pack.positions.tolist() == [len(chain.prompt_ids) + place for place in (2, 3, 4)]
    assert pack.key_slots.tolist() == [*slots[: len(chain.prompt_ids) + 2].tolist(), 7, 8, 9]
    assert pack.tokens[:, 0].tolist() == list(chain.answer_ids)
    assert grid.stored_slots()[0].tolist() == [*slots[: len(chain.prompt_ids) + 2].tolist(), 7]
