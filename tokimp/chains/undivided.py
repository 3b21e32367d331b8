r"""Mathematics and code in a text, which no sentence, step or paragraph is divided in.

The marks are those of LaTeX (``$...$``, ``$$...$$``, ``\(...\)``, ``\[...\]``, ``\begin{...}...\end{...}``,
``\boxed{...}``, Asymptote's ``[asy]...[/asy]``) and of Markdown (``\`...\```, and fences of three and more marks).
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Sequence

Span = tuple[int, int]

# What opens a block, and what closes it. The first that fits at a place is taken, so fences stand before inline code.
# A fence that is never closed runs to the end of the text, as in Markdown; any other mark alone is ordinary text.
_BLOCK = re.compile(
    r"""
      (?P<fence>(?m:^)[ \t]*(?P<marks>`{3,}|~{3,})) .*? (?: (?m:^)[ \t]*(?P=marks)[`~]* [ \t]*(?m:$) | \Z)
    | (?P<ticks>`+) (?!`) .+? (?<!`)(?P=ticks)(?!`)
    | (?<!\\)\$\$ .+? (?<!\\)\$\$
    | \\\[ .+? \\\]
    | \\\( .+? \\\)
    | \\begin\{(?P<environment>[A-Za-z]+\*?)\} .*? \\end\{(?P=environment)\}
    | \[asy\] .*? \[/asy\]
    | (?<![\\$\w])\$ (?P<inline>(?=\S) (?: [^$\\\n] | \\. | \n(?!\s*\n) ){1,400}? ) (?<=\S)(?<!\\)\$ (?![\d$])
    """,
    re.VERBOSE | re.DOTALL,
)
# Two words in a row between dollars: amounts of money ("$5 for the hat and $3"), unless LaTeX stands there too.
_PROSE = re.compile(r"[A-Za-z]{2,},?\s+[A-Za-z]{2,}")
_BOXED = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"(?<!\\)[{}]")


def undivided_spans(text: str) -> list[Span]:
    r"""Return the characters ``(start, end)`` of each block of mathematics or code, in order and apart.

    >>> undivided_spans("So $x = 3.$ It cost $5, not $6.")
    [(3, 11)]
    """
    spans = []
    position = 0
    while (match := _BLOCK.search(text, position)) is not None:
        inline = match["inline"]
        if inline is not None and "\\" not in inline and _PROSE.search(inline):
            position = match.start() + 1
            continue
        spans.append(match.span())
        position = match.end()
    boxes = list(_BOXED.finditer(text))
    closed = _ends_of_braces(text) if boxes else {}
    for box in boxes:
        if not inside(spans, box.start()):
            # One that is never closed ends at its brace.
            insort(spans, (box.start(), closed.get(box.end(), box.end())))
    return spans


def _ends_of_braces(text: str) -> dict[int, int]:
    """Return where what stands in braces ends, by where it begins; of those that are closed."""
    ends, begun = dict[int, int](), list[int]()
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            begun.append(brace.end())
        elif begun:
            ends[begun.pop()] = brace.end()
    return ends


def inside(spans: Sequence[Span], place: int) -> bool:
    """Whether a character, or the border before it, lies inside one of the spans and not at its beginning."""
    index = bisect_right(spans, (place, -1)) - 1
    return index >= 0 and spans[index][0] < place < spans[index][1]


def masked(text: str, spans: Sequence[Span]) -> str:
    r"""Return a text of the same length in which each block is one word of the letter ``x``.

    A stop that ends a block's mathematics is kept, at the block's end, since it ends a sentence; ``!`` is a factorial.

    >>> masked("So $x = 3.$ It", [(3, 11)])
    'So xxxxxxx. It'
    """
    parts = []
    done = 0
    for start, end in spans:
        stop = re.search(r"(?<!\\)[.?](?=\s*(?:\$\$?|\\\]|\\\)|\\end\{[A-Za-z]+\*?\})\Z)", text[start:end])
        word = "x" * (end - start - 1) + (stop.group() if stop is not None else "x")
        parts += [text[done:start], word]
        done = end
    return "".join([*parts, text[done:]])
