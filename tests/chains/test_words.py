"""Words: runs without white space, and Unicode's words where a script writes no white space between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.words import word_starts


@pytest.mark.parametrize(
    "words",
    [
        ["So ", "x=3, ", "and ", "(y) ", "don't."],
        ["那是", "七。", "我们", "有", "3", "个", "苹果", "（对", "吗？）"],  # noqa: RUF001 - full-width marks are meant
        ["So", "答案", "是", "7,", "对"],
        ["これ", "は、", "「七」", "です。"],
        ["ฉัน", "มี ", "3 ", "ลูก"],
        ["😀", "那是", "x"],
        ["राम ", "के ", "पास ", "5 ", "सेब"],
    ],
)
def test_words(words: list[str]) -> None:
    """White space parts words, and dictionaries part them in Chinese, Japanese and Thai; marks stay with their word."""
    text = "".join(words)
    starts = word_starts(text)
    assert [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)] == words


@given(text=st.text(st.characters(max_codepoint=0x0DFF), max_size=30))
def test_scripts_with_spaces_have_the_words_of_before(text: str) -> None:
    """In scripts that write white space between words, a word begins after white space and nowhere else."""
    places = range(len(text))
    after_space = [n for n in places if not text[n].isspace() and (n == 0 or text[n - 1].isspace())]
    assert word_starts(text) == after_space
