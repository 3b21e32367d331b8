"""How far fast greedy pruning looks around a deletion, and what that costs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective, Span

# Measured on GSM8K chains that no figure of the documentation rests on; docs/decisions/0012-fast-greedy-pruning.md.
# Of a look, the share that is read on average: what equal neighbours and earlier looks have in common is read once.
_READ_ANEW = 0.6
# (window, beam, horizon) by the number of units from which on they are taken; shorter chains afford more.
_PREDICTED = {0: (24, 10, 8), 100: (16, 6, 8), 200: (16, 6, 4)}
_SCORED_ONLY = {0: (4, 24, 0), 100: (4, 12, 0)}


@dataclass(frozen=True, slots=True)
class Looks:
    """What a fast step looks at.

    Attributes
    ----------
    predicts
        Whether scores are predicted from tokens, which the objective must read for that: those of the reasoning.
    window
        Units on either side of the last deletion.
    beam
        Units that are scored exactly because they seem best.
    horizon
        Tokens read beyond the deletion, where scores are predicted.
    """

    predicts: bool
    window: int
    beam: int
    horizon: int

    @classmethod
    def of(
        cls,
        chain: TokenizedChain,
        objective: Objective,
        *,
        window: int | None = None,
        beam: int | None = None,
        horizon: int | None = None,
    ) -> Looks:
        """Return what is looked at in a chain; what is ``None`` as the objective and the length of the chain suggest.

        Examples
        --------
        >>> from tokimp.contracts.objective import Answer, Joint
        >>> from tokimp.testing import toy_chain
        >>> Looks.of(toy_chain("abc"), Joint())
        Looks(predicts=True, window=24, beam=10, horizon=8)
        >>> Looks.of(toy_chain("abc" * 40), Joint(), beam=20)
        Looks(predicts=True, window=16, beam=20, horizon=8)
        >>> Looks.of(toy_chain("abc" * 80), Joint())
        Looks(predicts=True, window=16, beam=6, horizon=4)
        >>> Looks.of(toy_chain("abc"), Answer())
        Looks(predicts=False, window=4, beam=24, horizon=0)
        """
        predicts = Span.REASONING in objective.spans and Span.WRONG_ANSWER not in objective.spans
        table = _PREDICTED if predicts else _SCORED_ONLY
        usual = table[max(least for least in table if least <= len(chain.units))]
        chosen = [mine if given is None else given for mine, given in zip(usual, (window, beam, horizon), strict=True)]
        return cls(predicts, *chosen)


def expected_positions(chain: TokenizedChain, looks: Looks, steps: int, audited: Collection[int]) -> float:
    """Return about how many token positions a fast run reads of a scorer that reads nothing twice.

    Parameters
    ----------
    chain, looks
        What is pruned, and what a step looks at.
    steps
        How many units go.
    audited
        Steps that score all units.
    """
    left = np.arange(len(chain.units), len(chain.units) - steps, -1, dtype=np.float64)
    unit, answer = len(chain.reasoning_ids) / len(chain.units), len(chain.answer_ids)
    # A unit is read from where its past is new: from itself or the last deletion, whichever stands further right. Of
    # two places in a row of n the further one leaves n/3 behind it, on average.
    behind = left * unit / 3 + answer
    if looks.predicts:
        # Of the window, as much as there is on a side if the last deletion stood anywhere.
        near = np.where(left > looks.window, looks.window - looks.window**2 / (2 * left), left / 2)
        # Those on the right stand up to the window's end; on the left, what was not read of them since lies between.
        sides = np.minimum(2 * looks.horizon, behind), np.minimum(near * unit / 2 + looks.horizon, behind)
        read = _READ_ANEW * near * (sides[0] + sides[1])
        # Most of the best stand near as well, and are read on from where the look at them ended.
        read += np.minimum(looks.beam, left) * np.maximum(1, behind - near * unit / 2 - looks.horizon)
    else:
        read = np.minimum(2 * looks.window + looks.beam, left) * behind
    full = left * behind
    read[list(audited)] = full[list(audited)]
    read[0] = left[0] * (left[0] * unit / 2 + answer)
    return float(len(chain.prompt_ids) + len(chain.reasoning_ids) + read.sum())
