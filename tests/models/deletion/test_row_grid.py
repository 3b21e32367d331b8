"""Rows of one length as arrays: what they share with their sources, and what is read of them."""

from __future__ import annotations

import numpy as np

from tokimp.contracts.objective import Joint
from tokimp.models.deletion.row_grid import RowGrid, RowGroup
from tokimp.models.deletion.step import DeletionStep
from tokimp.models.deletion.stored_rows import Sources, StoredRow
from tokimp.testing import toy_chain


def test_a_row_is_read_from_its_start_to_the_last_token_but_one() -> None:
    """Of the row "abd" that continues the base at "d", what is read is "d" and the answer without its last token."""
    chain = toy_chain("abcd", question="?!", answer="xyz")
    step = DeletionStep(chain, range(4), [(2,)], Joint())
    slots = np.arange(100, 100 + len(chain.prompt_ids) + 4)
    next_ids, unknown = np.full((5, 2), -1), np.full((5, 2), np.nan, dtype=np.float32)
    sources = Sources([StoredRow.alone(np.array(chain.reasoning_ids), slots, next_ids, unknown)])
    ids = step.ids(step.rows[0])[None]
    grid = RowGrid(step, RowGroup([0], step.rows[0][None], ids, sources, np.array([2]), np.array([2]), np.array([2])))
    pack = grid.pack(np.array([7, 8, 9]))
    assert pack.ids.tolist() == [chain.reasoning_ids[3], *chain.answer_ids[:2]]
    assert pack.positions.tolist() == [len(chain.prompt_ids) + place for place in (2, 3, 4)]
    assert pack.key_slots.tolist() == [*slots[: len(chain.prompt_ids) + 2].tolist(), 7, 8, 9]
    assert pack.tokens[:, 0].tolist() == list(chain.answer_ids)
    assert grid.stored().slots[0].tolist() == [*slots[: len(chain.prompt_ids) + 2].tolist(), 7]
    assert grid.slots_to_release(np.array([True])).tolist() == [8, 9]  # the answer's, which nobody continues
    assert grid.slots_to_release(np.array([False])).tolist() == [7, 8, 9]
