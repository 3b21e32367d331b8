"""Scores of deleting one more unit of a chain: what greedy pruning and leave-one-out ask a scorer for."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint, Objective
from tokimp.contracts.scorer import DeletionScores, Scorer


def score_unit_deletions(
    scorer: Scorer, chain: TokenizedChain, kept_units: Sequence[int], objective: Objective, *, and_none: bool = False
) -> DeletionScores:
    """Score what is left of a chain when one more unit goes, for every unit still kept.

    Parameters
    ----------
    scorer, chain, objective
        Who scores what, and by which number.
    kept_units
        Indices into ``chain.units`` of the units still there, ascending.
    and_none
        Also score what is kept as it is, as one more entry, the last.

    Returns
    -------
    DeletionScores
        One entry for each of `kept_units`, in their order.
    """
    kept = sorted(position for unit in kept_units for position in chain.units[unit])
    candidates = [chain.units[unit] for unit in kept_units]
    if and_none:
        candidates.append(())
    return scorer.score_deletions(chain, kept, candidates, objective)


def score_kept(scorer: Scorer, chain: TokenizedChain, kept_units: Sequence[int]) -> tuple[float, float]:
    """Return the log-likelihoods (nats) of the reasoning and the answer of what is kept, as it is."""
    kept = sorted(position for unit in kept_units for position in chain.units[unit])
    scores = scorer.score_deletions(chain, kept, [()], Joint())
    return float(scores.reasoning[0]), float(scores.answer[0])
