"""How widely a step of fast greedy pruning searches, and what that costs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective, Span

# Measured on GSM8K chains that no figure of the documentation rests on; docs/decisions/0012-fast-greedy-pruning.md.
# The share of a window that is read on average: what equal neighbours and earlier steps have in common is read once.
_READ_SHARE = 0.6
# (window, beam, horizon) by the number of units from which on they are used. Shorter chains afford more.
_PREDICTING = {0: (24, 10, 8), 100: (16, 6, 8), 200: (16, 6, 4)}
DEAR_CALL = 256
"""From this call cost on, in token positions, fast steps are made of as few calls as possible: so it is on a GPU."""
# The same for dear calls, where a wider beam costs little. In long chains it would make calls longer, not fill them up
# (docs/performance.md).
_PREDICTING_IN_DEAR_CALLS = {0: (24, 24, 8), 100: (16, 24, 8), 200: (16, 6, 4)}
_SCORING_ONLY = {0: (4, 24, 0), 100: (4, 12, 0)}


@dataclass(frozen=True, slots=True)
class SearchWidth:
    """How many units a fast step looks at, and how far it reads them.

    Attributes
    ----------
    predicts
        Whether a step predicts the scores of all units from how deletions changed single tokens. That needs an
        objective that reads the reasoning; otherwise a step only scores units.
    window
        Units on either side of the last deletion.
    beam
        Units that are scored exactly because they seem best.
    horizon
        Tokens that are read beyond the last deletion, if scores are predicted.
    """

    predicts: bool
    window: int
    beam: int
    horizon: int

    @classmethod
    def for_chain(
        cls,
        chain: TokenizedChain,
        objective: Objective,
        *,
        window: int | None = None,
        beam: int | None = None,
        horizon: int | None = None,
        call_cost: float = 0,
    ) -> Self:
        """Return the search width for a chain; ``None`` stands for what suits the objective and the chain's length.

        `call_cost` is the scorer's.

        Examples
        --------
        >>> from tokimp.contracts.objective import Answer, Joint
        >>> from tokimp.testing import toy_chain
        >>> SearchWidth.for_chain(toy_chain("abc"), Joint())
        SearchWidth(predicts=True, window=24, beam=10, horizon=8)
        >>> SearchWidth.for_chain(toy_chain("abc" * 40), Joint(), beam=20)
        SearchWidth(predicts=True, window=16, beam=20, horizon=8)
        >>> SearchWidth.for_chain(toy_chain("abc" * 80), Joint())
        SearchWidth(predicts=True, window=16, beam=6, horizon=4)
        >>> SearchWidth.for_chain(toy_chain("abc" * 40), Joint(), call_cost=1024)
        SearchWidth(predicts=True, window=16, beam=24, horizon=8)
        >>> SearchWidth.for_chain(toy_chain("abc"), Answer())
        SearchWidth(predicts=False, window=4, beam=24, horizon=0)
        """
        predicts = Span.REASONING in objective.spans and Span.WRONG_ANSWER not in objective.spans
        predicting = _PREDICTING if call_cost < DEAR_CALL else _PREDICTING_IN_DEAR_CALLS
        table = predicting if predicts else _SCORING_ONLY
        defaults = table[max(least for least in table if least <= len(chain.units))]
        chosen = (window, beam, horizon)
        return cls(predicts, *(usual if own is None else own for usual, own in zip(defaults, chosen, strict=True)))


def fast_run_positions(chain: TokenizedChain, width: SearchWidth, steps: int, audited: Collection[int]) -> float:
    """Estimate how many token positions a fast run reads, for a scorer that recomputes only what changed.

    Parameters
    ----------
    chain
        The chain that is pruned.
    width
        How widely a step searches.
    steps
        How many units are deleted.
    audited
        Steps that score all units.
    """
    units_left = np.arange(len(chain.units), len(chain.units) - steps, -1, dtype=np.float64)
    unit, answer = len(chain.reasoning_ids) / len(chain.units), len(chain.answer_ids)
    # A unit's deletion is read from the unit itself or from the last deletion, whichever stands further right. Of two
    # random places in a row of n, the further one leaves n/3 behind it, on average.
    behind = units_left * unit / 3 + answer
    if width.predicts:
        # As much of the window as there is on one side, if the last deletion may stand anywhere.
        near = np.where(units_left > width.window, width.window - width.window**2 / (2 * units_left), units_left / 2)
        # Units on the right are read up to the end of the window. Those on the left are read from their own place to
        # the horizon, but for what was read of them before.
        sides = np.minimum(2 * width.horizon, behind), np.minimum(near * unit / 2 + width.horizon, behind)
        read = _READ_SHARE * near * (sides[0] + sides[1])
        # Most of the best units stand in the window as well, so they are read on from where its reading ended.
        read += np.minimum(width.beam, units_left) * np.maximum(1, behind - near * unit / 2 - width.horizon)
    else:
        read = np.minimum(2 * width.window + width.beam, units_left) * behind
    all_units = units_left * behind
    read[list(audited)] = all_units[list(audited)]
    read[0] = units_left[0] * (units_left[0] * unit / 2 + answer)
    return float(len(chain.prompt_ids) + len(chain.reasoning_ids) + read.sum())
