"""A text laid out in lines as a printed page has it: words at their natural width, tokens that touch each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tokimp.report.plot.fonts import drawable, families

ARROW = "\u21b5"
"""What a newline is drawn as."""
LINE_HEIGHT = 1.55
"""Height of a line, as a share of the size of the letters."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is drawn of a token on one line.

    Attributes
    ----------
    token
        The token's number.
    line
        The line, from 0.
    left, width
        Where it begins on the line, and how wide it is, in points.
    text
        What is drawn.
    """

    token: int
    line: int
    left: float
    width: float
    text: str


def lay_out(texts: Sequence[str], points: float, width: float) -> list[Piece]:
    """Lay tokens out in lines; a line breaks before a token that begins a word, and a newline ends its line.

    A token, or a word of tokens, that is wider than a line is broken between characters.

    Parameters
    ----------
    texts
        What each token adds to the text, [token].
    points
        Size of the letters.
    width
        Width of a line, in points.
    """
    pieces: list[Piece] = []
    line, left = 0, 0.0
    for word in _words([_shown(text) for text in texts]):
        needed = sum(advance(text.rstrip(" ") if last else text, points) for _, text, last in word)
        if left and left + needed > width:
            line, left = line + 1, 0.0
        for token, text, _ in word:
            # A line begins with a word, not with the space before it.
            own_text = text.lstrip(" ") if not left and line else text
            for part in _parts(own_text, points, width - left, width):
                own = advance(part, points)
                if left and left + own > width + 0.01:
                    line, left = line + 1, 0.0
                pieces.append(Piece(token, line, left, own, part))
                left += own
            if ARROW in text:
                line, left = line + 1, 0.0
    return _mirrored(pieces)


def _mirrored(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces, neighbours of a script that is read from right to left in that order on their line."""
    placed: list[Piece] = []
    for (_, is_mirrored), group in groupby(pieces, key=lambda piece: (piece.line, _is_right_to_left(piece.text))):
        run = list(group)
        if is_mirrored:
            ends = run[0].left + run[-1].left + run[-1].width
            run = [replace(piece, left=ends - piece.left - piece.width) for piece in run]
        placed += run
    return placed


def _is_right_to_left(text: str) -> bool:
    """Return whether the first letter of a text belongs to a script that is read from right to left."""
    kinds = (unicodedata.bidirectional(character) for character in text)
    return next((kind in {"R", "AL"} for kind in kinds if kind in {"L", "R", "AL"}), False)


def advance(text: str, points: float) -> float:
    """Return how far a text moves what follows it, in points; spaces at its ends count."""
    return _unit_advance(text, tuple(families())) * points


@lru_cache(maxsize=20_000)
def _unit_advance(text: str, names: tuple[str, ...]) -> float:
    if not text:
        return 0.0
    # The width that matplotlib gives is that of what is inked. Between two letters, all of a text counts.
    size = 100.0
    font = FontProperties(family=list(names), size=size)
    around, alone = (
        text_to_path.get_text_width_height_descent(shown, font, ismath=False)[0] for shown in (f"x{text}x", "xx")
    )
    return float(around - alone) / size


def _shown(text: str) -> str:
    return drawable(text.replace("\r", "").replace("\t", "  ").replace("\n", ARROW))[0]


def _words(texts: Sequence[str]) -> list[list[tuple[int, str, bool]]]:
    """Return the tokens in groups that no line break divides: number, text, and whether it is the last of its group."""
    groups: list[list[tuple[int, str]]] = []
    for token, text in enumerate(texts):
        begins = not groups or text[:1] in {" ", ""} or groups[-1][-1][1][-1:] in {" ", "", ARROW} or _is_wide(text)
        if begins:
            groups.append([(token, text)])
        else:
            groups[-1].append((token, text))
    return [[(token, text, place == len(group) - 1) for place, (token, text) in enumerate(group)] for group in groups]


def _is_wide(text: str) -> bool:
    """Return whether a text begins with a character before which a line may break, as in Chinese and Japanese."""
    return "\u2e80" <= text[:1] <= "\ua4cf" or "\uac00" <= text[:1] <= "\ud7af" or "\uf900" <= text[:1] <= "\ufaff"


def _parts(text: str, points: float, room: float, width: float) -> list[str]:
    """Return a token's text in parts that fit on lines: whole, unless it is wider than a line."""
    if not text or advance(text, points) <= max(room, width):
        return [text] if text else []
    parts, part, free = [], "", room
    for character in text:
        if part and advance(part + character, points) > free:
            parts.append(part)
            part, free = "", width
        part += character
    return [*parts, part]
