"""Scoring every one-unit deletion of a chain: the hot path, shared by greedy pruning and leave-one-out."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chain import TokenizedChain
from tokimp.objective import Objective
from tokimp.scorer import DeletionScores, Scorer


def score_unit_deletions(
    scorer: Scorer, chain: TokenizedChain, kept_units: Sequence[int], objective: Objective
) -> DeletionScores:
    """Score what is left of a chain when one more unit goes, for every unit still kept.

    Parameters
    ----------
    scorer, chain, objective
        Who scores what, and by which number.
    kept_units
        Indices into ``chain.units`` of the units still there, ascending.

    Returns
    -------
    DeletionScores
        One entry for each of `kept_units`, in their order.
    """
    kept = sorted(position for unit in kept_units for position in chain.units[unit])
    return scorer.score_deletions(chain, kept, [chain.units[unit] for unit in kept_units], objective)
