"""Labels of estimators in figures: short enough for their room, on one line or two, and still told apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 30
"""Characters of a line, where a label may have two."""
_LONGEST_ALONE = 36
"""Where it may have one."""
_CUT = "\u2026"
_NAME = re.compile(r"(.*?)(?::(?=[A-Za-z_]\w*=)(.*))?", re.DOTALL)
_NEXT_PARAMETER = re.compile(r",(?=[A-Za-z_]\w*=)")
_SHARES = (0.75, 0.5, 0.25, 1.0, 0.0)
"""How much of a label that is cut is its beginning; the rest is its end."""


def short_labels(labels: Sequence[str], longest: int = _LONGEST_ALONE) -> list[str]:
    """Return labels of at most so many characters, different ones where the labels differ.

    A label that fits stays whole, and so does one that has a line break. Of those that do not fit, paths lose their
    folders, but for those that tell them apart; then parameters go that all long labels of one name share; then the
    middle goes.

    Parameters
    ----------
    labels
        As a result has them: ``name:parameter=value,...``.
    longest
        Characters, 8 or more.

    Examples
    --------
    >>> short_labels(["at2", "at2:path=/data/runs/a/at2.safetensors,heads=all"])
    ['at2', 'at2:path=…/at2.safetensors,heads=all']
    >>> short_labels([f"resample:measure={name},temperature=1.5,folder=/data/texts" for name in ("js", "kl")])
    ['resample:measure=js,…', 'resample:measure=kl,…']
    """
    whole = list(dict.fromkeys(labels))
    groups: dict[str, list[str]] = {}
    for label in whole:
        if len(label) > longest and "\n" not in label:
            groups.setdefault(_name_and_parameters(label)[0], []).append(label)
    long = {label for group in groups.values() for label in group}
    short = {label: label for label in whole if label not in long}
    for group in groups.values():
        short |= zip(group, _shortened(group, longest, set(short.values())), strict=True)
    return [short[label] for label in labels]


def two_lines(labels: Sequence[str], longest: int = _LONGEST, widest: int | None = None) -> list[str]:
    r"""Return labels that break where they are long: near the middle, after a slash, a colon, a comma or an underscore.

    Labels too long for two lines are shortened (`short_labels`).

    Parameters
    ----------
    labels
        As a result has them.
    longest
        Characters of a label on one line.
    widest
        The most characters of one of two lines, ``longest`` or more; by default half as many again as ``longest``.

    Examples
    --------
    >>> two_lines(["gradient", "gradient:method=input_x_gradient,average=3"])
    ['gradient', 'gradient:\nmethod=input_x_gradient,average=3']
    """
    widest = longest + longest // 2 if widest is None else widest
    return [_broken(label, longest, widest) for label in short_labels(labels, 2 * longest)]


def _broken(label: str, longest: int, widest: int) -> str:
    if len(label) <= longest or "\n" in label:
        return label
    breaks = [place for place in range(2, len(label)) if label[place - 1] in " :,/_="]
    if not breaks and len(label) <= widest:
        return label
    middle = (len(label) + 1) // 2
    best = min(breaks, key=lambda place: (label[place - 1] not in " /:,", abs(place - len(label) / 2)), default=middle)
    place = best if max(best, len(label) - best) <= widest else middle
    return f"{label[:place].rstrip()}\n{label[place:].lstrip()}"


def _shortened(group: Sequence[str], longest: int, taken: set[str]) -> list[str]:
    """Return short labels of estimators of one name, none of them among those that are taken."""
    parts = [_name_and_parameters(label) for label in group]
    shared = set.intersection(*(set(parameters) for _, parameters in parts)) if len(group) > 1 else set()
    texts: list[str] = []
    for dropped in (set[str](), shared):
        texts = _without_folders(parts, dropped, taken)
        if _are_apart(texts, taken) and max(map(len, texts)) <= longest:
            return texts
    for share in _SHARES:
        cut = [_without_middle(text, longest, share) for text in texts]
        if _are_apart(cut, taken):
            return cut
    numbered: list[str] = []
    for text in texts:
        numbers = (f"{_CUT} ({number})" for number in range(1, len(taken) + len(group) + 1))
        candidates = (text[: longest - len(number)] + number for number in numbers)
        numbered.append(next(found for found in candidates if found not in taken and found not in numbered))
    return numbered


def _without_folders(parts: Sequence[tuple[str, list[str]]], dropped: set[str], taken: set[str]) -> list[str]:
    """Return labels without some parameters, and of each path as few folders as tell the labels apart."""
    deepest = max(len(_steps(text)) for name, parameters in parts for text in (name, *parameters))
    texts: list[str] = []
    for kept in range(1, deepest + 1):
        texts = []
        for name, parameters in parts:
            shown = [_last_steps(text, kept) for text in parameters if text not in dropped]
            marks = [_CUT] if len(shown) < len(parameters) else []
            text = ",".join([*shown, *marks])
            texts.append(_last_steps(name, kept) + (f":{text}" if text else ""))
        if _are_apart(texts, taken):
            break
    return texts


def _are_apart(texts: Sequence[str], taken: set[str]) -> bool:
    return len(set(texts)) == len(texts) and taken.isdisjoint(texts)


def _name_and_parameters(label: str) -> tuple[str, list[str]]:
    """Return an estimator's name, and its parameters as ``name=value``."""
    found = _NAME.fullmatch(label)
    assert found is not None  # noqa: S101 - every text has a name, which may be empty
    name, parameters = found.groups()
    return name, _NEXT_PARAMETER.split(parameters) if parameters else []


def _steps(text: str) -> list[str]:
    """Return the folders and the last part of a path, or of a parameter whose value is one."""
    return [text] if "://" in text else re.split(r"[\\/]", text)


def _last_steps(text: str, kept: int) -> str:
    steps = _steps(text)
    if len(steps) <= kept:
        return text
    parameter, equals, _ = text.partition("=")
    last = f"{_CUT}/" + "/".join(steps[-kept:])
    shorter = f"{parameter}={last}" if equals and "/" not in parameter and "\\" not in parameter else last
    return shorter if len(shorter) < len(text) else text


def _without_middle(text: str, longest: int, share: float) -> str:
    if len(text) <= longest:
        return text
    beginning = round(share * (longest - 1))
    return f"{text[:beginning]}{_CUT}{text[len(text) - (longest - 1 - beginning) :]}"
