"""Stored rows as arrays: each gives what the row alone gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tokimp.models.deletion.stored_rows import (
    RowBlock,
    Sources,
    StoredRow,
    common_prefix,
    common_prefixes,
    known_logprobs,
)

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=5)


def stored(ids: list[int]) -> StoredRow:
    """Return a row of which nothing but the ids is known."""
    count = len(ids) + 1
    return StoredRow.alone(
        np.array(ids, dtype=np.int64),
        np.arange(len(ids)),
        np.full((count, 2), -1),
        np.full((count, 2), np.nan, dtype=np.float32),
    )


def blocks(draw: st.DrawFn) -> list[RowBlock]:
    """Draw blocks of rows of several lengths, with random predictions, some of which are not known."""
    made = []
    for length, choices in draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), min_size=1, max_size=3)):
        generator, rows = np.random.default_rng(draw(st.integers(0, 99))), draw(st.integers(1, 3))
        next_ids = generator.integers(0, 3, (rows, length + 1, choices))
        logprobs = np.where(generator.random(next_ids.shape) < 0.3, np.nan, -1.0 - next_ids).astype(np.float32)
        slots = generator.integers(0, 99, (rows, 2 + length))
        made.append(RowBlock(generator.integers(0, 3, (rows, length)), slots, next_ids, logprobs))
    return made


@st.composite
def sources(draw: st.DrawFn) -> list[StoredRow | None]:
    """Draw what several rows continue from: rows of several blocks, the same ones again, and none at all."""
    rows = [StoredRow(block, place) for block in blocks(draw) for place in range(len(block.ids))]
    return draw(st.lists(st.none() | st.sampled_from(rows), min_size=1, max_size=6))


@given(sources(), st.integers(0, 7))
def test_arrays_of_sources_hold_what_each_row_holds(rows: list[StoredRow | None], width: int) -> None:
    """Ids, slots and predictions are each row's own, and beyond its end there is a filler that equals nothing."""
    found = Sources(rows)
    ids, slots, (next_ids, logprobs) = found.ids(width), found.slots(width), found.boundaries(width)
    np.testing.assert_array_equal(found.first_choices(width), logprobs[:, :, 0])
    for index, row in enumerate(rows):
        assert found.missing[index] == (row is None)
        own = row or stored([])
        length = 0 if row is None else len(row.ids)
        assert ids[index].tolist() == [*own.ids.tolist(), *[-1] * width][:width]
        assert slots[index].tolist() == [*own.slots.tolist(), *[0] * width][:width]
        for boundary in range(width):
            there = row is not None and boundary <= length
            known = own.next_ids[boundary].tolist() if there else []
            assert next_ids[index, boundary].tolist() == [*known, *[-1] * found.choices][: found.choices]
            values = own.logprobs[boundary].tolist() if there else []
            expected = np.array([*values, *[np.nan] * found.choices][: found.choices], dtype=np.float32)
            np.testing.assert_array_equal(logprobs[index, boundary], expected)
    assert sorted(found.all_slots().tolist()) == sorted(slot for row in rows if row for slot in row.slots.tolist())


@given(sources(), st.data())
def test_what_sources_know_is_what_each_row_knows(rows: list[StoredRow | None], data: st.DataObject) -> None:
    """Whether a token's log-probability is known at a boundary, and which it is, are as for each row alone."""
    boundaries = np.array([0 if row is None else data.draw(st.integers(0, len(row.ids))) for row in rows])
    tokens = np.array([data.draw(st.integers(0, 2)) for _ in rows])
    known = Sources(rows).knows(tokens, boundaries)
    source_ids, source_logprobs = Sources(rows).boundaries(6)
    asked = np.repeat(np.repeat(tokens[:, None, None], 6, axis=1), 2, axis=2)
    values = known_logprobs(source_ids, source_logprobs, asked)
    for row, token, boundary, is_known, found in zip(rows, tokens, boundaries, known, values, strict=True):
        if row is None:
            assert not is_known
            assert np.isnan(found).all()
            continue
        own = row.known_logprobs(np.full((boundary + 1, 1), token))
        assert is_known == (not np.isnan(own[boundary, 0]))
        np.testing.assert_array_equal(found[: boundary + 1], np.repeat(own, 2, axis=1))


@given(st.lists(st.integers(0, 1), max_size=6), st.lists(st.integers(0, 1), max_size=6))
def test_the_common_prefix_ends_at_the_first_difference(first: list[int], second: list[int]) -> None:
    """It equals the longest length at which both begin alike."""
    lengths = [length for length in range(min(len(first), len(second)) + 1) if first[:length] == second[:length]]
    assert common_prefix(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)) == max(lengths)


@given(st.data())
def test_known_log_probabilities_are_looked_up_by_id(data: st.DataObject) -> None:
    """At each boundary an id has the value stored for it, wherever it stands among the choices, else NaN."""
    boundaries, choices = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    ids = st.integers(0, 3)
    stored_ids = np.array(data.draw(st.lists(st.lists(ids, min_size=2, max_size=2), min_size=boundaries, max_size=6)))
    logprobs = np.full(stored_ids.shape, np.nan, dtype=np.float32)
    for boundary, row in enumerate(stored_ids):
        for choice, token in enumerate(row):
            if data.draw(st.booleans()):
                logprobs[boundary, choice] = -10 * boundary - token
    row = StoredRow.alone(
        np.zeros(len(stored_ids) - 1, dtype=np.int64), np.zeros(0, dtype=np.int64), stored_ids, logprobs
    )
    asked = np.array(
        data.draw(st.lists(st.lists(ids, min_size=choices, max_size=choices), min_size=boundaries, max_size=boundaries))
    )
    known = row.known_logprobs(asked)
    assert known.shape == asked.shape
    for boundary, tokens in enumerate(asked):
        for choice, token in enumerate(tokens):
            pairs = zip(stored_ids[boundary], logprobs[boundary], strict=True)
            values = [value for stored_id, value in pairs if stored_id == token and not np.isnan(value)]
            np.testing.assert_equal(known[boundary, choice], values[0] if values else np.nan)


def test_a_cut_row_keeps_one_more_boundary_than_tokens() -> None:
    """After a cut, tokens, slots and predictions are those of the prefix, what follows its last token included."""
    next_ids = np.array([[10, 11, 12, 0]]).T
    row = StoredRow.alone(np.array([10, 11, 12]), np.arange(5), next_ids, -next_ids.astype(np.float32))
    cut = row.cut(1, prompt_length=2)
    assert cut.ids.tolist() == [10]
    assert cut.slots.tolist() == [0, 1, 2]
    assert cut.next_ids[:, 0].tolist() == [10, 11]
    assert cut.logprobs[:, 0].tolist() == [-10, -11]


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
    assert common_prefixes(ids, Sources(sources).ids(ids.shape[1])).tolist() == expected
