"""Score the deletion of one more unit of a chain, as greedy pruning and leave-one-out do."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint, Objective
from tokimp.contracts.scorer import DeletionScores, Scorer


def score_unit_deletions(
    scorer: Scorer, chain: TokenizedChain, kept_units: Sequence[int], objective: Objective, *, and_none: bool = False
) -> DeletionScores:
    """Score what is left of a chain after the deletion of one more unit, for every unit that is still kept.

    Parameters
    ----------
    scorer
        The model that scores.
    chain
        The full chain.
    kept_units
        Indices into ``chain.units`` of the units that are still kept, ascending.
    objective
        The number to compute for each shortened chain.
    and_none
        Whether to score also what is kept as it is, with nothing more deleted.

    Returns
    -------
    DeletionScores
        One entry for each of `kept_units`, in their order; with `and_none`, one more for what is kept as it is.
    """
    kept = sorted(position for unit in kept_units for position in chain.units[unit])
    candidates = [chain.units[unit] for unit in kept_units]
    if and_none:
        candidates.append(())
    return scorer.score_deletions(chain, kept, candidates, objective)


def score_kept(scorer: Scorer, chain: TokenizedChain, kept_units: Sequence[int]) -> tuple[float, float]:
    """Return the log-likelihoods of the reasoning and the answer, in nats, of a chain of which some units are kept."""
    kept = sorted(position for unit in kept_units for position in chain.units[unit])
    scores = scorer.score_deletions(chain, kept, [()], Joint())
    return float(scores.reasoning[0]), float(scores.answer[0])
