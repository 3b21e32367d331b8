"""Which chains answer the same question: they stay together wherever some chains are held out to test on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokimp.chains.arrays import IntArray


def question_key(question: str, chain_id: str) -> str:
    r"""Return a key that chains have in common if, and only if, they answer the same question.

    Two chains answer the same question if its text is the same, white space aside. (GSM8K has four model solutions for
    each question.) A chain without a question shares its key with no other chain.

    >>> question_key("How  many?", "a") == question_key("How many?\n", "b")
    True
    >>> question_key("", "a") == question_key("", "b")
    False
    """
    text = " ".join(question.split())
    # Once its white space is made even, a text holds no line break, so that it never equals the key of an id.
    return text or f"\n{chain_id}"


def question_numbers(questions: Sequence[str], ids: Sequence[str]) -> IntArray:
    """Return the number of each chain's question, [chain], from 0, in the order in which they first occur.

    Parameters
    ----------
    questions, ids
        The text of the question and the id of each chain, [chain].
    """
    numbers: dict[str, int] = {}
    keys = [question_key(question, chain_id) for question, chain_id in zip(questions, ids, strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
