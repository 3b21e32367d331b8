"""The one place where text becomes terminal text: nothing in it moves the cursor, sets a title or hides other text."""

from __future__ import annotations

import re

# Control characters except newline and tab, the marks that turn the direction of writing, other line separators, and
# halves of surrogate pairs, which no terminal can be sent. Joiners stay: scripts and emoji are written with them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return a text with every character that a terminal would obey, instead of showing it, written as an escape.

    Ids, categories, labels and model names are anybody's text, so all that commands write goes through here.

    >>> visible("red: \x1b[31m, \u202eback")
    'red: \\x1b[31m, \\u202eback'
    """
    return _INVISIBLE.sub(lambda match: _escape(match.group()), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
