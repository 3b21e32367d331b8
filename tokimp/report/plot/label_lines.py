"""Labels of estimators in figures: on one line or two, without folders, and never wider than their room."""

from __future__ import annotations

import re

_LONGEST = 30
"""Characters of a line, where a label may have two."""
_LONGEST_ALONE = 36
"""Where it may have one."""
_AT_THE_BEGINNING = 0.75
"""Share of a shortened line that is the label's beginning; the rest is its end."""
_FOLDERS = re.compile(r"=[^,=\s]*/(?=[^,/=\s])")


def two_lines(label: str, longest: int = _LONGEST, widest: int | None = None) -> str:
    r"""Return a label that breaks where it is long: near its middle, after a slash, a colon, a comma or an underscore.

    Of a parameter that is a path, the last part is left. A line of more than ``widest`` characters (half as many again
    as ``longest``) loses its middle.

    Examples
    --------
    >>> two_lines("gradient:method=input_x_gradient,average=3")
    'gradient:\nmethod=input_x_gradient,average=3'
    >>> two_lines("surrogate:path=/data/runs/2026/fitted.safetensors", 20)
    'surrogate:path=…/\nfitted.safetensors'
    """
    widest = longest + longest // 2 if widest is None else widest
    label = _FOLDERS.sub("=\u2026/", label)
    if len(label) <= longest:
        return label
    breaks = [place for place in range(2, len(label)) if label[place - 1] in " :,/_="]
    if not breaks:
        return _without_middle(label, widest)
    middle = min(breaks, key=lambda place: (label[place - 1] not in " /:,", abs(place - len(label) / 2)))
    lines = (label[:middle].rstrip(), label[middle:].lstrip())
    return "\n".join(_without_middle(line, widest) for line in lines)


def one_line(label: str, longest: int = _LONGEST_ALONE) -> str:
    """Return a label on one line: of paths the last part, and without its middle where it is too long.

    Examples
    --------
    >>> one_line("resample:measure=accuracy,temperature=1.5,folder=runs/texts")
    'resample:measure=accuracy,…r=…/texts'
    """
    return _without_middle(_FOLDERS.sub("=\u2026/", label), longest)


def _without_middle(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    beginning = round(_AT_THE_BEGINNING * (longest - 1))
    return f"{text[:beginning]}\u2026{text[len(text) - (longest - 1 - beginning) :]}"
