"""Attention within the rows of a pack: what each row alone attends to, at little more than the rows' own cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.models.packs import attention
from tokimp.models.packs.attention import PackLayout, attend_within_rows
from tokimp.models.packs.pack import Pack, PackRow

HEADS, KEY_HEADS, DIMENSION = 4, 2, 8
CPU = torch.device("cpu")


def pack_of(lengths: list[tuple[int, int]]) -> Pack:
    """Return a pack of rows of so many stored and new positions."""
    nothing = np.zeros((0, 1), dtype=np.int64)
    return Pack.of(
        [PackRow(np.zeros(new, dtype=np.int64), np.arange(old), np.arange(new), nothing) for old, new in lengths]
    )


def row_by_row(
    pack: Pack, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | None
) -> torch.Tensor:
    """Attend in the plainest way: one position after another, over the keys that it sees; [position, head, dim]."""
    found = []
    for first, end, key_first, key_end in zip(
        pack.row_starts, pack.row_starts[1:], pack.key_starts, pack.key_starts[1:], strict=False
    ):
        for place in range(end - first):
            seen_end = int(key_end - (end - first) + place + 1)
            seen = slice(max(int(key_first), seen_end - window) if window else int(key_first), seen_end)
            keys, values = (of[0, :, seen].repeat_interleave(HEADS // KEY_HEADS, dim=0) for of in (key, value))
            weights = torch.einsum("hd,hkd->hk", query[0, :, first + place], keys).mul(0.3).softmax(dim=-1)
            found.append(torch.einsum("hk,hkd->hd", weights, values))
    return torch.stack(found)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 7)), min_size=1, max_size=7),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([0, 2, 10**6]),
)
def test_each_position_attends_to_its_own_row(lengths: list[tuple[int, int]], window: int | None, cost: int) -> None:
    """However rows are grouped, and within whatever window, a position attends to what precedes it in its row."""
    pack = pack_of(lengths)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, count, DIMENSION, generator=generator)
        for heads, count in ((HEADS, len(pack.ids)), (KEY_HEADS, len(pack.key_slots)), (KEY_HEADS, len(pack.key_slots)))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(attention._GROUP_COST, "cpu", cost)
        found, _ = attend_within_rows(
            torch.nn.Identity(), query, key, value, None, 0.3, sliding_window=window, pack_layout=PackLayout(pack, CPU)
        )
    torch.testing.assert_close(found[0], row_by_row(pack, query, key, value, window), atol=1e-5, rtol=1e-5)


def test_a_ragged_pack_costs_about_its_own_positions() -> None:
    """The rows of a step, of 1 to 120 positions, are padded by less than a sixth; in one rectangle, to the double."""
    pack = pack_of([(200 - new, new) for new in range(1, 121)])
    rectangles, order = PackLayout(pack, CPU).rectangles
    computed = sum(rectangle.queries.numel() for rectangle in rectangles)
    assert computed <= 1.16 * len(pack.ids) < 120 * 120
    assert order is not None
    assert sorted(order.tolist()) == list(range(len(pack.ids)))


def test_rows_of_one_length_are_one_rectangle_in_their_order() -> None:
    """Where nothing is to be padded, positions stay where they are."""
    rectangles, order = PackLayout(pack_of([(3, 4)] * 5), CPU).rectangles
    assert len(rectangles) == 1
    assert order is None
