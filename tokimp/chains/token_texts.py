"""The text that each token adds to a reasoning, so that the texts, joined, are the reasoning again."""

from __future__ import annotations

from collections.abc import Sequence


def token_texts(reasoning: str, ends: Sequence[int]) -> list[str]:
    """Return what each token adds to a text.

    A character that is split over several tokens belongs to the first of them, and what no token covers to the next.
    Joined, the texts are the whole text.

    Parameters
    ----------
    reasoning
        The text.
    ends
        Where the characters of each token end, [token], in order.

    Examples
    --------
    >>> token_texts("So 7 🙂", [2, 4, 6, 6])
    ['So', ' 7', ' 🙂', '']
    """
    texts: list[str] = []
    covered = 0
    for place, end in enumerate(ends):
        until = len(reasoning) if place == len(ends) - 1 else max(covered, int(end))
        texts.append(reasoning[covered:until])
        covered = until
    return texts
