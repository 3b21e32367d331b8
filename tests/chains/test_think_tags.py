"""Thinking tags around a reasoning text."""

from __future__ import annotations

import pytest

from tokimp.chains.think_tags import inside_think_tags, marking_tag


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("<think>\nSo 7.\n</think>\n\n", "So 7."),
        ("So 7.</think>", "So 7."),
        ("[THINK]So 7.[/THINK]", "So 7."),
        (" So <think> 7. ", " So <think> 7. "),
        ("<seed:think>So.</seed:think>", "So."),
        ("<think></think>", ""),
    ],
)
def test_tags_around_a_text_are_found(text: str, inner: str) -> None:
    """Tags at both ends, or at one, are left out with the white space beside them; tags inside are text."""
    start, end = inside_think_tags(text)
    assert text[start:end] == inner


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("<think>So", "<think>"),
        ("So.\n</think>\nIt", "</think>"),
        ("So </think>", "</think>"),
        ("The </think> tag", None),
    ],
)
def test_a_tag_that_marks_is_told_from_one_that_is_spoken_of(text: str, tag: str | None) -> None:
    """A tag at the border of a line marks reasoning; one in the middle of a line does not."""
    assert marking_tag(text) == tag
