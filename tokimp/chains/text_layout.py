r"""Lines, paragraphs and steps of a reasoning text; a block of mathematics or code is never divided."""

from __future__ import annotations

import re

from tokimp.chains.sentences import first_visible, line_starts
from tokimp.chains.undivided import inside, masked, undivided_spans

__all__ = ["line_starts", "paragraph_starts", "step_starts"]

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_STEP = re.compile(
    r"[^\S\n]*(?:[-*>]\s+)?(?:\#{1,6}\s*)?[(*_]*(?:(?:step|part|stage|case)\s+(?:\d+|[a-z]|[ivx]+)\b|\d{1,3}[.):]\s|\d{1,3}\.\*\*)",
    re.IGNORECASE,
)


def paragraph_starts(text: str) -> list[int]:
    r"""Return where each paragraph begins: what blank lines part.

    >>> paragraph_starts("So 3.\nThen 4.\n\nDone.")
    [0, 15]
    """
    plain = masked(text, undivided_spans(text))
    starts = []
    begin = 0
    for end in [*(match.end() for match in _BLANK_LINE.finditer(plain)), len(plain)]:
        start = first_visible(text, begin, end)
        if start is not None:
            starts.append(start)
        begin = end
    return starts


def step_starts(text: str) -> list[int]:
    r"""Return where each step begins.

    Steps are what the text itself numbers (``Step 2:``, ``2. Add``, ``## Part b``) if it numbers two or more lines;
    what stands before the first of them is a step too. A text that numbers nothing has a step a paragraph, or, if it is
    one paragraph, a step a line.

    >>> step_starts("Plan:\n1. Add.\nWe get 7.\n2. Done.")
    [0, 6, 24]
    """
    spans = undivided_spans(text)
    lines = line_starts(text)
    numbered = [start for start in lines if _STEP.match(text, start) and not inside(spans, start)]
    if len(numbered) > 1:
        return sorted({*lines[:1], *numbered})
    paragraphs = paragraph_starts(text)
    return paragraphs if len(paragraphs) > 1 else lines
