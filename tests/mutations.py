"""Damage done to files, as a bad disk, a torn write or a person who means harm would do it."""

from __future__ import annotations

import numpy as np

# What a reader of texts may stumble over: depth, length, numbers that are none, signs that a terminal obeys.
_HOSTILE = (
    b"[" * 3000,
    b'{"a":' * 3000,
    b"9" * 5000,
    b"1e999",
    b"-1",
    b"NaN",
    b"null",
    b"true",
    b'"',
    b"\x1b]0;title\x07",
    b"\\ud800",
    b"\xff\xfe",
    b"\0",
    b"\r\n\r\n",
    b"[/]",
    b"*a: &a [*a]\n",
    b"x" * 20_000,
    b"os:system",
    b"../../etc",
)
N_KINDS = 7


def damaged(content: bytes, generator: np.random.Generator, *, kinds: int = 6) -> bytes:
    """Return a file with a byte changed, a bit changed, a block of zeros, a part lost, doubled or cut off.

    Parameters
    ----------
    content
        The whole file.
    generator
        Decides what happens to it, and where.
    kinds
        6, or 7 for texts of which some are to be hostile: something is then put in, too.
    """
    at = int(generator.integers(max(1, len(content))))
    length = int(generator.integers(1, 5000))
    kind = generator.integers(kinds)
    if not content:
        return b"x"
    put = _HOSTILE[int(generator.integers(len(_HOSTILE)))]
    changed = content[at] ^ (1 << int(generator.integers(8)) if kind else int(generator.integers(1, 256)))
    begin, rest = content[:at], content[at + length :]
    return (
        begin + bytes([changed]) + content[at + 1 :],
        begin + bytes([changed]) + content[at + 1 :],
        begin + bytes(len(content[at : at + length])) + rest,
        begin + rest,
        content[: at + length] + content[at:],
        begin,
        begin + put + content[at + (0 if generator.integers(2) else len(put)) :],
    )[kind]
