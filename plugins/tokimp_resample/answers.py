"""The answers that continuations end with: found in the text, and counted as the dataset compares values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.chains.arrays import IntArray
from tokimp.chains.chain import Chain
from tokimp.chains.datasets.correctness import split_answer
from tokimp.chains.datasets.values import same_value
from tokimp.chains.sentences import sentence_starts
from tokimp.errors import EstimatorError

_FIRST_MARK = re.compile(r"^\s*####[^\n]*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class WrittenText:
    """What a model wrote after the beginning of a reasoning, divided.

    Attributes
    ----------
    reasoning
        What it wrote of the reasoning, up to the answer's sentence or line; may be empty.
    answer
        The answer as it stands there; empty if there is none.
    value
        The value that the answer gives; ``None`` if there is none, because the model stopped or was cut off before.
    """

    reasoning: str
    answer: str
    value: str | None


def divide(text: str, chain: Chain) -> WrittenText:
    r"""Divide what a model wrote on into the rest of the reasoning and the answer.

    The answer is found as `tokimp.chains.datasets.correctness.split_answer` finds it: a choice, JSON, a box, ``####``
    or "the answer is", of several the last. After a line with ``####`` nothing counts, since models without an end
    token go on with another question. A text without any of these has an answer only if the chain's own answer has none
    either: its last line.

    Examples
    --------
    >>> divide(" So 3 are left.\n#### 3\nNext: #### 9", Chain("c", "q", "r", "#### 4"))
    WrittenText(reasoning=' So 3 are left.\n', answer='#### 3', value='3')
    """
    mark = _FIRST_MARK.search(text)
    if mark is not None:
        text = text[: mark.end()]
    parts = split_answer(text)
    if parts.kind == "plain":
        last = text.rstrip().rpartition("\n")[2]
        if split_answer(chain.answer).kind != "plain" or not last.strip():
            return WrittenText(text, "", None)
        begin = len(text.rstrip()) - len(last)
        return WrittenText(text[:begin], last, split_answer(last).value)
    if not parts.value:
        return WrittenText(text, "", None)
    opened = len(parts.opening.rstrip())
    begin = max((start for start in sentence_starts(text) if start < max(1, opened)), default=0)
    return WrittenText(text[:begin], text[begin:].strip(), parts.value)


class AnswerCounts:
    """How often each answer was given in each of several groups of continuations of one chain.

    Answers are the same if `tokimp.chains.datasets.values.same_value` says so; an answer that it cannot compare is one
    of its own. No answer counts as an answer too. Those that occur once in the whole chain are pooled into one, before
    any group is looked at: an answer that is never met again only adds to the noise.

    Parameters
    ----------
    values
        The values of the answers in each group, in the order of the continuations.
    kind
        The kind of the chain's answer, by which values are compared.

    Attributes
    ----------
    labels
        For each group the index of each continuation's answer.
    size
        The number of different answers, pooled.
    """

    def __init__(self, values: Mapping[int, Sequence[str | None]], kind: str) -> None:
        known: dict[str | None, int] = {}
        representatives: list[str] = []
        for value in (value for group in values.values() for value in group):
            if value not in known:
                known[value] = _class_of(value, representatives, kind)
        often = Counter(known[value] for group in values.values() for value in group)
        single = sorted(label for label, count in often.items() if count == 1)
        pooled = dict.fromkeys(single, min(single, default=0))
        final = {label: place for place, label in enumerate(sorted({pooled.get(label, label) for label in often}))}
        self.size = len(final)
        self.labels: dict[int, IntArray] = {
            group: np.array([final[pooled.get(known[value], known[value])] for value in each], dtype=np.int64)
            for group, each in values.items()
        }

    def counts(self, labels: IntArray) -> IntArray:
        """Return how often each answer is among some labels, [answer]."""
        return np.bincount(labels, minlength=self.size)


def _class_of(value: str | None, representatives: list[str], kind: str) -> int:
    """Return the index of the representative that a value is the same as, which may be itself; -1 for no answer."""
    if value is None:
        return -1
    for label, other in enumerate(representatives):
        if same_value(value, other, kind) is True:
            return label
    representatives.append(value)
    return len(representatives) - 1


def successes(values: Sequence[str | None], chain: Chain, success: str) -> IntArray:
    """Return 1 for each continuation that ends with the value that counts as success, and 0 for the others.

    Parameters
    ----------
    values
        The values that continuations end with.
    chain
        Their chain.
    success
        ``gold``: the right answer. ``answer``: the chain's own answer, right or wrong.

    Raises
    ------
    EstimatorError
        If the right answer is asked for, and the chain has none.
    """
    if success == "gold" and chain.gold is None:
        raise EstimatorError(
            f"{chain.where}: which answers are right is not known, since the chain has no gold answer; add it (gold), "
            "or count the continuations that end with the chain's own answer (success=answer)"
        )
    wanted = split_answer(chain.gold if success == "gold" and chain.gold is not None else chain.answer).value
    kind = split_answer(chain.answer).kind
    # The same few values come again and again, and comparing formulas takes time.
    verdicts = {value: value is not None and same_value(value, wanted, kind) is True for value in set(values)}
    return np.array([verdicts[value] for value in values], dtype=np.int64)
