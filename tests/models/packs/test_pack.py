"""Packs: rows laid end to end, and packs joined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.models.packs.pack import Pack, PackRow


@st.composite
def rows(draw: st.DrawFn, choices: int) -> PackRow:
    """Draw a row that continues 0 to 5 positions, reads 1 to 6, and asks for the last 0 to 6 of them."""
    past, read = draw(st.integers(0, 5)), draw(st.integers(1, 6))
    slots = np.array(draw(st.lists(st.integers(0, 99), min_size=past + read, max_size=past + read)), dtype=np.int64)
    ids = np.array(draw(st.lists(st.integers(0, 9), min_size=read, max_size=read)), dtype=np.int64)
    scored = draw(st.integers(0, read))
    tokens = np.array(draw(st.lists(st.integers(0, 9), min_size=scored * choices, max_size=scored * choices)))
    return PackRow(ids, slots[:past], slots[past:], tokens.astype(np.int64).reshape(scored, choices))


@st.composite
def lists_of_rows(draw: st.DrawFn) -> list[PackRow]:
    """Draw the rows of one pack, which all ask for the same number of choices."""
    choices = draw(st.integers(1, 3))
    return draw(st.lists(rows(choices), min_size=1, max_size=4))


def rows_of(pack: Pack) -> list[tuple[list[int], list[int], list[int], list[int], list[list[int]]]]:
    """Return for each row of a pack its ids, positions, new slots, the slots it reads, and the choices asked for."""
    read = []
    for begin, end, first_key, last_key in zip(
        pack.row_starts, pack.row_starts[1:], pack.key_starts, pack.key_starts[1:], strict=False
    ):
        inside = (pack.scored >= begin) & (pack.scored < end)
        own = slice(begin, end)
        keys = pack.key_slots[first_key:last_key].tolist()
        asked = pack.tokens[inside].tolist()
        read.append((pack.ids[own].tolist(), pack.positions[own].tolist(), pack.new_slots[own].tolist(), keys, asked))
    return read


@given(lists_of_rows())
def test_a_pack_holds_each_row_as_it_is(members: list[PackRow]) -> None:
    """Each row has its own ids, places after what it continues, slots, and keys, its own last."""
    pack = Pack.of(members)
    for row, (ids, positions, slots, keys, asked) in zip(members, rows_of(pack), strict=True):
        assert ids == row.ids.tolist()
        assert positions == list(range(len(row.past), len(row.past) + len(row.ids)))
        assert slots == row.slots.tolist()
        assert keys == [*row.past.tolist(), *row.slots.tolist()]
        assert asked == row.tokens.tolist()
    expected = sum(len(row.past) * len(row.ids) + len(row.ids) * (len(row.ids) + 1) // 2 for row in members)
    assert pack.pairs == expected


@given(st.lists(lists_of_rows(), min_size=1, max_size=4))
def test_joined_packs_read_as_the_packs_one_by_one(groups: list[list[PackRow]]) -> None:
    """A joined pack has the rows of all packs in their order; missing choices repeat a row's first."""
    packs = [Pack.of(members) for members in groups]
    joined = Pack.joined(packs)
    choices = max(pack.tokens.shape[1] for pack in packs)
    expected = [row for pack in packs for row in rows_of(pack)]
    assert len(rows_of(joined)) == len(expected)
    for found, (*own, asked) in zip(rows_of(joined), expected, strict=True):
        widened = [[*tokens, *[tokens[0]] * (choices - len(tokens))] for tokens in asked]
        assert list(found) == [*own, widened]
    assert joined.pairs == sum(pack.pairs for pack in packs)
    assert len(joined.tokens) == len(joined.scored)
    assert joined.row_starts[-1] == len(joined.ids)
    assert joined.key_starts[-1] == len(joined.key_slots)


@pytest.mark.parametrize("count", [1, 3])
def test_joining_changes_no_pack(count: int) -> None:
    """Packs that were joined are what they were: a pack that did not fit is joined again in halves."""
    row = PackRow(np.array([5, 6]), np.array([1]), np.array([2, 3]), np.array([[7], [8]]))
    packs = [Pack.of([row]) for _ in range(count)]
    Pack.joined(packs)
    assert all(rows_of(pack) == rows_of(Pack.of([row])) for pack in packs)
