"""The log-likelihoods along a run whose objective does not read the reasoning, where calls are dear."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import Scorer

# Steps that are scored in one call. More would share it, but their rows are in memory together.
_STEPS_AT_ONCE = 64


def loglikelihoods_after(
    scorer: Scorer, chain: TokenizedChain, kept: Sequence[int], deleted: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Return the log-likelihoods of reasoning and answer after each of several deletions, one after the other.

    Parameters
    ----------
    scorer, chain
        The model, and the full chain.
    kept
        Units that are kept before the first deletion, ascending.
    deleted
        Units in the order in which they are deleted.

    Returns
    -------
    reasoning, answer
        Nats, one for each deletion.
    """
    reasoning: list[float] = []
    answer: list[float] = []
    left = set(kept)
    for begin in range(0, len(deleted), _STEPS_AT_ONCE):
        part = deleted[begin : begin + _STEPS_AT_ONCE]
        tokens = sorted(position for unit in left for position in chain.units[unit])
        ends = range(1, len(part) + 1)
        gone = [[position for unit in part[:end] for position in chain.units[unit]] for end in ends]
        scores = scorer.score_deletions(chain, tokens, gone, Joint())
        reasoning += scores.reasoning.tolist()
        answer += scores.answer.tolist()
        left.difference_update(part)
    return reasoning, answer
