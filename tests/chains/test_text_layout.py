"""Lines, paragraphs, steps and equations of a reasoning text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tokimp.chains.equations import equation_starts
from tokimp.chains.text_layout import line_starts, paragraph_starts, step_starts


@pytest.mark.parametrize(
    ("starts_of", "pieces"),
    [
        (line_starts, ["So\n\n", "  then\n", "$$\nx\n\ny\n$$\n", "Done"]),
        (paragraph_starts, ["So 3.\nThen 4.\n \n", "```\na\n\nb\n```\n\n", "Done"]),
        (step_starts, ["Plan:\n", "1. Add.\nWe get 7.\n\n", "2. Done.\nOK"]),
        (step_starts, ["## Step 1: Add\n\nWe get 7.\n", "**Step 2** Done"]),
        (step_starts, ["So 3.\nThen 4.\n\n", "Done. 1. No step"]),
        (step_starts, ["So 3.\n", "Then 4."]),
        (equation_starts, ["She has ", "16 - 3 = 13 ", "eggs. ", "She sells them."]),
        (equation_starts, ["So ", "$x = 3.$ ", "Then ", "\\[ y. Z \\]\n", "and ", "x=2, ", "OK."]),
        (equation_starts, ["He makes ", "9*2=<<9*2=18>>18 ", "dollars."]),
        (equation_starts, ["A well-known 5-year plan, a man."]),
    ],
)
def test_segments(starts_of: Callable[[str], Sequence[int]], pieces: list[str]) -> None:
    """Each segment begins where the next piece does; a block of mathematics or code is never divided."""
    text = "".join(pieces)
    starts = starts_of(text)
    assert [text[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)] == [
        piece.strip() for piece in pieces
    ]
