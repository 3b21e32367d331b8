"""Blocks of mathematics and code: where a box ends, and how long looking for it takes."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.chains.undivided import undivided_spans


def end_of_box(text: str, start: int) -> int:
    """Return where what a brace opens ends, character by character; the place itself if it is never closed."""
    depth = 1
    for place in range(start, len(text)):
        if text[place] in "{}" and text[place - 1] != "\\":
            depth += 1 if text[place] == "{" else -1
            if depth == 0:
                return place + 1
    return start


@given(parts=st.lists(st.sampled_from(["\\boxed{", "{", "}", "\\{", "\\}", "x"]), max_size=12))
@settings(max_examples=300, deadline=None)
def test_a_box_ends_with_its_brace(parts: list[str]) -> None:
    """Braces in braces are counted, escaped ones are not, and a box that is never closed ends at its own."""
    text = "".join(parts)
    expected: list[tuple[int, int]] = []
    place = text.find("\\boxed{")
    while place >= 0:
        if not expected or place >= expected[-1][1]:
            expected.append((place, end_of_box(text, place + len("\\boxed{"))))
        place = text.find("\\boxed{", place + 1)
    assert undivided_spans(text) == expected


def test_boxes_that_are_never_closed_are_passed_at_once() -> None:
    """The time grows with the length of the text, not with its square."""
    start = time.perf_counter()
    assert len(undivided_spans("\\boxed{" * 20_000)) == 20_000
    assert time.perf_counter() - start < 3
