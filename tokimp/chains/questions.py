"""Which chains answer the same question: they are kept together wherever some chains are to test the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokimp.chains.arrays import IntArray


def question_key(question: str, chain_id: str) -> str:
    r"""Return what chains of one question have in common, and no others.

    Several chains answer one question if its text is the same, white space aside (GSM8K's model solutions are four to
    a question). A chain without a question has, as far as is known, none in common with any other.

    >>> question_key("How  many?", "a") == question_key("How many?\n", "b")
    True
    >>> question_key("", "a") == question_key("", "b")
    False
    """
    text = " ".join(question.split())
    # A text holds no line break once its white space is made even, so the two can never be taken for each other.
    return text or f"\n{chain_id}"


def question_numbers(questions: Sequence[str], ids: Sequence[str]) -> IntArray:
    """Return the number of each chain's question, [chain], from 0, in the order in which they first occur.

    Parameters
    ----------
    questions, ids
        Text of the question and id of each chain.
    """
    numbers: dict[str, int] = {}
    keys = [question_key(question, chain_id) for question, chain_id in zip(questions, ids, strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
