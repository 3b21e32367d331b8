"""Units and categories of reasoning tokens, decided on the characters that the tokens cover."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.sentences import sentence_starts
from tokimp.chains.units import partition, token_categories, token_filler_kinds
from tokimp.chains.words import word_starts


@st.composite
def tokenized(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """Draw a text and offsets as tokenizers make them: no character left out, split characters shared."""
    text = draw(st.text(st.sampled_from(list("ab3. \n!é😀\u3000")), min_size=1, max_size=24))
    offsets: list[tuple[int, int]] = []
    start = 0
    while start < len(text):
        end = draw(st.integers(start + 1, min(len(text), start + 4)))
        offsets.append((start, end))
        splits = draw(st.integers(0, 2)) if not text[end - 1].isascii() else 0
        offsets += [(end - 1, end)] * splits
        shares = splits and draw(st.booleans())  # the rest of a split character, and what follows it, in one token
        start = end - 1 if shares and end < len(text) and offsets[-1] != (end - 1, end + 1) else end
        if start == end - 1:
            offsets.append((start, end + 1))
            start = end + 1
    return text, offsets


def obvious_partition(text: str, offsets: list[tuple[int, int]], starts: list[int]) -> list[list[int]]:
    """Say the rule character by character: the slow twin of `partition`."""
    units: list[list[int]] = []
    owner: list[int] = []
    for position, (start, _) in enumerate(offsets):
        visible = [index for index in range(start, len(text)) if not text[index].isspace()]
        segment = sum(begin <= visible[0] for begin in starts) if visible else (owner[-1] if owner else 0)
        characters = set(range(*offsets[position]))
        shared = any(characters & set(range(*offsets[earlier])) for earlier in range(position))
        if position and (shared or segment == owner[-1]):
            units[-1].append(position)
            owner.append(owner[-1])
        else:
            units.append([position])
            owner.append(segment)
    return units


STARTS = {"word": word_starts, "sentence": sentence_starts}


@given(drawn=tokenized(), unit=st.sampled_from(sorted(STARTS)))
@settings(max_examples=400, deadline=None)
@example(drawn=(" \n", [(0, 1), (1, 2)]), unit="word")
def test_units_are_a_partition_into_runs(drawn: tuple[str, list[tuple[int, int]]], unit: str) -> None:
    """Every token is in exactly one unit, no unit is empty, and units are runs in order."""
    text, offsets = drawn
    units = partition(text, offsets, STARTS[unit](text))
    assert all(units)
    assert [position for members in units for position in members] == list(range(len(offsets)))


@given(drawn=tokenized())
@settings(max_examples=400, deadline=None)
def test_words_and_sentences_follow_the_rule(drawn: tuple[str, list[tuple[int, int]]]) -> None:
    """Partitions equal those of the rule said character by character."""
    text, offsets = drawn
    for starts in (word_starts(text), sentence_starts(text)):
        members = [list(unit) for unit in partition(text, offsets, starts)]
        assert members == obvious_partition(text, offsets, starts)


@given(drawn=tokenized())
@settings(max_examples=300, deadline=None)
def test_tokens_that_share_a_character_stay_together(drawn: tuple[str, list[tuple[int, int]]]) -> None:
    """No word or sentence ends inside a character."""
    text, offsets = drawn
    for starts in (word_starts(text), sentence_starts(text)):
        units = partition(text, offsets, starts)
        for before, after in pairwise(units):
            assert max(offsets[position][1] for position in before) <= offsets[after[0]][0]


def spans(text: str, pieces: list[str]) -> list[tuple[int, int]]:
    """Return the offsets of pieces that make up a text."""
    assert "".join(pieces) == text
    ends = [sum(map(len, pieces[: n + 1])) for n in range(len(pieces))]
    return list(zip([0, *ends], ends, strict=False))


@pytest.mark.parametrize(
    ("unit", "pieces", "expected"),
    [
        ("word", ["So", " the", "re", " is"], [["So"], [" the", "re"], [" is"]]),
        ("word", ["So", "  ", "3", "+", "4"], [["So"], ["  ", "3", "+", "4"]]),
        ("word", ["a b", "c d", " e"], [["a b"], ["c d"], [" e"]]),
        ("word", ["a", " ", "\n"], [["a", " ", "\n"]]),
        ("sentence", ["A", " b", ".\n", "So", " c", ".", " "], [["A", " b", ".\n"], ["So", " c", ".", " "]]),
        ("sentence", ["A.", "\n", "B"], [["A."], ["\n", "B"]]),
        ("sentence", ["Ab. B", "ec", ". Do"], [["Ab. B"], ["ec", ". Do"]]),
    ],
)
def test_tokens_at_borders(unit: str, pieces: list[str], expected: list[list[str]]) -> None:
    """White space goes with what follows it, at the very end with what precedes; a straddling token with its first."""
    text = "".join(pieces)
    units = partition(text, spans(text, pieces), STARTS[unit](text))
    assert [[pieces[position] for position in members] for members in units] == expected


def labelled(reasoning: str, *labels: tuple[int, int, str]) -> Chain:
    """Return a chain whose reasoning has category spans."""
    return Chain("c", "q", reasoning, "a", category=tuple(CategorySpan(*label) for label in labels))


def test_a_token_has_the_category_of_most_of_its_visible_characters() -> None:
    """Spaces do not count, the earlier span wins a tie, and tokens outside all spans have no category."""
    chain = labelled("so   abc de.", (8, 11, "late"), (2, 6, "early"), (6, 8, "middle"))
    offsets = [(0, 2), (2, 5), (2, 7), (5, 8), (7, 9), (7, 11), (11, 12)]
    assert token_categories(chain, offsets) == ("", "", "early", "middle", "middle", "late", "")


@given(
    drawn=tokenized(),
    borders=st.lists(st.tuples(st.integers(0, 23), st.integers(1, 8), st.sampled_from("xyz")), max_size=6),
)
@settings(deadline=None)
def test_categories_equal_a_count_by_character(
    drawn: tuple[str, list[tuple[int, int]]], borders: list[tuple[int, int, str]]
) -> None:
    """The category is that of a span no other span covers more visible characters than."""
    text, offsets = "x" + drawn[0], [(0, 1), *((start + 1, end + 1) for start, end in drawn[1])]
    labels = [(start, min(start + size, len(text)), label) for start, size, label in borders if start < len(text)]
    chain = labelled(text, *labels)
    for (start, end), category in zip(offsets, token_categories(chain, offsets), strict=True):
        visible = [index for index in range(start, end) if not text[index].isspace()]
        counts = [
            (sum(a <= index < b for index in visible), label)
            for a, b, label in sorted(labels, key=lambda span: span[:2])
        ]
        most = max((count for count, _ in counts), default=0)
        assert category == (next(label for count, label in counts if count == most) if most else "")


def test_a_token_of_filler_has_the_kind_of_the_span_that_covers_most_of_it() -> None:
    """Tokens that are no filler have no kind, and neither has filler whose kinds are not told apart."""
    chain = Chain("a", "q", "ab cd ef", "#### 1", filler=((0, 1), (1, 5)), filler_kinds=("one", "two"))
    offsets = [(0, 2), (2, 5), (5, 8)]
    assert token_filler_kinds(chain, offsets) == ("one", "two", "")
    assert token_filler_kinds(replace(chain, filler_kinds=None), offsets) == ("", "", "")
