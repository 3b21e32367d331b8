"""How a text is laid out in lines: nothing lost, nothing over anything else, words whole."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.report.plot.text_layout import ARROW, advance, lay_out

SIZE, WIDTH = 6.5, 120.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab ,\n", min_size=1, max_size=12), max_size=12))
def test_every_token_is_drawn_once_and_in_order(texts: list[str]) -> None:
    """Pieces give the text back but for spaces at the beginnings of lines; none reaches over the edge or another."""
    pieces = lay_out(texts, SIZE, WIDTH)
    drawn = "".join(piece.text for piece in pieces).replace(" ", "")
    assert drawn == "".join(texts).replace(" ", "").replace("\n", ARROW)
    assert [piece.token for piece in pieces] == sorted(piece.token for piece in pieces)
    for one, other in pairwise(pieces):
        if one.line == other.line:
            assert other.left >= one.left + one.width - 1e-6
        else:
            assert other.line > one.line
    assert all(piece.left + piece.width <= WIDTH + 1e-6 or not piece.text.strip() for piece in pieces)


def test_a_word_of_several_tokens_is_not_divided() -> None:
    """A line breaks before the space that begins a word, not within the word."""
    pieces = lay_out(["aaaa", " bbbb", "cccc"], SIZE, advance("aaaa bbbbcc", SIZE))
    assert [piece.line for piece in pieces] == [0, 1, 1]
    assert [piece.text for piece in pieces] == ["aaaa", "bbbb", "cccc"]


def test_a_word_that_is_wider_than_a_line_is_divided() -> None:
    """Its characters go on in the next line."""
    pieces = lay_out(["a" * 50], SIZE, WIDTH)
    assert len(pieces) > 1
    assert "".join(piece.text for piece in pieces) == "a" * 50


def test_a_script_that_is_read_from_right_to_left_is_drawn_so() -> None:
    """Neighbouring tokens of Hebrew stand in reverse order; what is beside them stays where it is."""
    pieces = lay_out(["a", "\u05d0", "\u05d1", "b"], SIZE, WIDTH)
    lefts = [piece.left for piece in pieces]
    assert lefts[1] > lefts[2]
    assert lefts[0] < lefts[2] < lefts[1] < lefts[3]


def test_spaces_count() -> None:
    """A space moves what follows it, though nothing of it is inked."""
    assert advance(" ", SIZE) > 1
    assert advance("a b", SIZE) > advance("ab", SIZE)
