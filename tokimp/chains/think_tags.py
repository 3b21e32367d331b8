"""The tags that models write around their reasoning: ``<think>`` and ``</think>``, and those like them."""

from __future__ import annotations

import re

ThinkTags = tuple[str, str]
"""The opening and the closing tag of thinking."""

_NAME = r"(?:\w+:)?(?:think|thinking|thought)"
_CLOSING_TAG = re.compile(rf"</({_NAME})>|\[/(THINK)\]")
_OPENING_TAG = re.compile(rf"<{_NAME}>|\[THINK\]")
_OPENS = re.compile(rf"\s*(?:<{_NAME}>|\[THINK\])\s*")
_CLOSES = re.compile(rf"\s*(?:</{_NAME}>|\[/THINK\])\s*\Z")
# A tag that marks the reasoning stands at its beginning, or next to a line's border; one inside a line is spoken of.
_MARKING = re.compile(
    rf"\A\s*(?P<opens><{_NAME}>|\[THINK\])"
    rf"|^\s*(?P<first></?{_NAME}>|\[/?THINK\])|(?P<last></?{_NAME}>|\[/?THINK\])\s*$",
    re.MULTILINE,
)


def tag_names(template: str) -> ThinkTags | None:
    """Return the opening and closing tag that a chat template's source mentions, without white space."""
    closing = _CLOSING_TAG.search(template)
    if closing is None:
        return None
    return closing.group().replace("/", "", 1), closing.group()


def marking_tag(text: str) -> str | None:
    """Return the first tag that marks where thinking begins or ends in a text; ``None`` if there is none."""
    match = _MARKING.search(text)
    return None if match is None else match["opens"] or match["first"] or match["last"]


def inside_think_tags(text: str) -> tuple[int, int]:
    r"""Return the characters ``(start, end)`` of a text without the tags around it, and the white space beside them.

    A text that a prompt opened the thinking of has a closing tag alone. Without tags it is all of the text.

    >>> text = "<think>\nSo 7.\n</think>\n"
    >>> start, end = inside_think_tags(text)
    >>> text[start:end]
    'So 7.'
    """
    opening, closing = _OPENS.match(text), _CLOSES.search(text)
    start = opening.end() if opening is not None else 0
    end = closing.start() if closing is not None else len(text)
    return start, max(start, end)


def split_at_thinking(response: str) -> tuple[str, str]:
    r"""Return the reasoning between a response's tags and the answer after them, without white space around them.

    A response whose prompt opened the thinking has a closing tag alone.

    >>> split_at_thinking("<think>\nSo 7.\n</think>\n\n**7**")
    ('So 7.', '**7**')

    Raises
    ------
    ValueError
        If that is not plain: there is no closing tag, there are several, something stands before the opening tag, the
        two do not match, or one of the parts is empty. The message says which.
    """
    closing = list(_CLOSING_TAG.finditer(response))
    opening = list(_OPENING_TAG.finditer(response))
    if not closing:
        raise ValueError(
            "the thinking is not closed: it was cut off, perhaps" if opening else "there is no tag of thinking in it"
        )
    if len(closing) > 1 or len(opening) > 1:
        raise ValueError("there are several tags of thinking of one kind, so the answer's beginning is not plain")
    begin = 0
    if opening:
        if response[: opening[0].start()].strip():
            raise ValueError("text stands before the opening tag of thinking")
        if opening[0].group() != closing[0].group().replace("/", "", 1):
            raise ValueError("the opening and the closing tag of thinking do not match")
        begin = opening[0].end()
    if not (reasoning := response[begin : closing[0].start()].strip()):
        raise ValueError("nothing stands between the tags of thinking")
    if not (answer := response[closing[0].end() :].strip()):
        raise ValueError("nothing stands after the closing tag of thinking")
    return reasoning, answer
