"""Ways to divide a response that holds both: what comes first is the reasoning, the rest is the answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from tokimp.chains.sentences import line_starts, sentence_starts
from tokimp.chains.think_tags import split_at_thinking

ResponseSplit = Literal["think", "last-sentence", "last-line", "regex"]
"""How a response is divided; `split_response` says what each does."""

_GROUPS = {"reasoning", "answer"}


def split_response(response: str, how: ResponseSplit, pattern: str | None = None) -> tuple[str, str]:
    r"""Return a response's reasoning and answer; white space around both is left out.

    Parameters
    ----------
    response
        The whole text that a model wrote.
    how
        Where the answer begins:

        - ``think``: after the closing tag of thinking (``</think>`` and those like it); see
          `tokimp.chains.think_tags.split_at_thinking`
        - ``last-sentence``: at the last sentence, as the unit ``sentence`` finds it
        - ``last-line``: at the last line with something on it
        - ``regex``: at the last match of `pattern`. If the pattern has groups named ``reasoning`` and ``answer``, these
          are the two, in its first match.
    pattern
        For ``regex``: a regular expression of Python's module ``re``, searched for as it is, without flags.

    Raises
    ------
    ValueError
        If a response has no such place, or a part would be empty. The message says why, and holds no part of the
        response, so that equal reasons can be counted.

    Examples
    --------
    >>> split_response("3 + 4 = 7. So it is 7.", "last-sentence")
    ('3 + 4 = 7.', 'So it is 7.')
    >>> split_response("3 + 4 = 7\n#### 7", "regex", "####")
    ('3 + 4 = 7', '#### 7')
    """
    if how == "regex":
        return _at_pattern(response, compiled(pattern))
    return _SPLITS[how](response)


def compiled(pattern: str | None) -> re.Pattern[str]:
    """Return a regular expression ready to search; raise `ValueError` if it is none, or names one of its two groups."""
    if not pattern:
        raise ValueError("the split 'regex' needs a pattern")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression ({error})") from error
    if len(_GROUPS & expression.groupindex.keys()) == 1:
        raise ValueError(
            f"the pattern {pattern!r} names one of the groups 'reasoning' and 'answer'; name both, or none"
        )
    return expression


def _at_last(starts: Callable[[str], list[int]], what: str) -> Callable[[str], tuple[str, str]]:
    def split(response: str) -> tuple[str, str]:
        begins = starts(response)
        if len(begins) < 2:
            raise ValueError(f"it has only one {what}" if begins else "it is empty")
        return response[: begins[-1]].strip(), response[begins[-1] :].strip()

    return split


_SPLITS: dict[str, Callable[[str], tuple[str, str]]] = {
    "think": split_at_thinking,
    "last-sentence": _at_last(sentence_starts, "sentence"),
    "last-line": _at_last(line_starts, "line"),
}
RESPONSE_SPLITS = (*_SPLITS, "regex")


def _at_pattern(response: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    if pattern.groupindex.keys() >= _GROUPS:
        match = pattern.search(response)
        if match is None:
            raise ValueError("the pattern does not match")
        reasoning, answer = match["reasoning"] or "", match["answer"] or ""
    else:
        matches = [match for match in pattern.finditer(response) if match.group()]
        if not matches:
            raise ValueError("the pattern does not match")
        reasoning, answer = response[: matches[-1].start()], response[matches[-1].start() :]
    for part, text in (("reasoning", reasoning), ("answer", answer)):
        if not text.strip():
            raise ValueError(f"the pattern leaves no {part}")
    return reasoning.strip(), answer.strip()
