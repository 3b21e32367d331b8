"""The estimator `Pivotal`: where the chance of success jumps."""

from __future__ import annotations

import numpy as np

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp_resample.answers import successes
from tokimp_resample.continuations import beginnings
from tokimp_resample.sampled import SAMPLING_CONSTRAINTS, FromContinuations, unanswered_share

_TWO_SIDED_95 = 1.96


class Pivotal(FromContinuations):
    r"""Scores a unit by how far it moves the chance that the model ends with the right answer.

    ``p(i)`` is the share of `rollouts` continuations that succeed when the model is given the first i units. The
    importance of unit i is ``p(i) - p(i - 1)``, with its sign, where that is at least `p_gap` in size, and 0 elsewhere
    (pivotal tokens; Abdin et al. 2024, "Phi-4 technical report", arXiv 2412.08905, section 4.3).

    The report finds single tokens by dividing a chain where the log-probability is half, and going on in parts across
    which p moves. Here p is estimated at every border of units, which finds also what moves p up and down again, and
    costs ``(n + 1) * rollouts`` continuations: take sentences first. They are shared with `resample`.

    The difference of two estimates has a standard error of ``sqrt(2 p (1 - p) / rollouts)``: 0.16 of 20 continuations
    at p = 0.5. With the defaults many a gap of 0.2 is noise, and ``diagnostic_within_noise`` counts those; the report
    takes 529 continuations.

    Parameters
    ----------
    p_gap
        Smallest change that counts; 0 keeps all.
    success
        ``gold``: a continuation succeeds if its answer is the right one. ``answer``: if it is the chain's own.
    rollouts
        How many continuations each beginning gets.
    temperature
        Divides the logits before a token is drawn.
    top_p
        Tokens are drawn from the nucleus: the fewest most likely ones that have at least this probability together.
    max_new_tokens
        The most tokens of a continuation; ``None`` is twice the tokens that the chain still has from there on, its
        answer included, and 16 more.
    seed
        Any whole number. The texts after a beginning depend on it, the chain's id and the beginning alone.
    folder
        A folder that keeps the continuations; memory keeps those of the last 256 chains otherwise.
    """

    name = "pivotal"
    constraints = {"p_gap": Number(0, 1), **SAMPLING_CONSTRAINTS}

    def __init__(
        self,
        p_gap: float = 0.2,
        *,
        success: str = "gold",
        rollouts: int = 20,
        temperature: float = 0.6,
        top_p: float = 0.95,
        max_new_tokens: int | None = None,
        folder: str | None = None,
        seed: int = 0,
    ) -> None:
        self.p_gap = p_gap
        self.success = success
        self.rollouts = rollouts
        self.temperature = temperature
        self.top_p = top_p
        self.max_new_tokens = max_new_tokens
        self.folder = folder
        self.seed = seed

    def _beginnings(self, chain: TokenizedChain) -> list[tuple[int, ...]]:
        return beginnings(chain)

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's change of the chance of success, [unit]; the objective is not looked at.

        The diagnostics: ``pivotal_units``, how many do not score 0; ``within_noise``, how many of these are less than
        1.96 standard errors from 0; ``noise``, the mean standard error; ``p_before`` and ``p_after``, the chance of
        success without any reasoning and with all of it; ``unanswered``, the share of continuations without an answer.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or the chain has no gold answer and successes are told by it.
        """
        del objective
        self.validate_parameters()
        written = self._written(chain, scorer)
        counts = np.array(
            [successes([text.value for text in after], chain.chain, self.success).sum() for after in written]
        )
        scores, errors = pivotal_changes(counts, self.rollouts, self.p_gap)
        return Importance(
            scores,
            diagnostics={
                "pivotal_units": float(np.count_nonzero(scores)),
                "within_noise": float(np.count_nonzero(scores[np.abs(scores) < _TWO_SIDED_95 * errors])),
                "noise": float(errors.mean()),
                "p_before": float(counts[0] / self.rollouts),
                "p_after": float(counts[-1] / self.rollouts),
                "unanswered": unanswered_share(written),
            },
        )


def pivotal_changes(counts: IntArray, rollouts: int, p_gap: float) -> tuple[FloatArray, FloatArray]:
    """Return the changes of a share that are at least `p_gap` in size, and the standard error of each change.

    Parameters
    ----------
    counts
        How many of the rollouts succeed before each unit and after the last, [unit + 1].
    rollouts
        How many there are.
    p_gap
        The smallest change that counts.

    Returns
    -------
    changes : FloatArray
        [unit]; 0 where the change is smaller.
    errors : FloatArray
        ``sqrt(2 p (1 - p) / rollouts)`` with the mean p of both sides, [unit].

    Examples
    --------
    >>> pivotal_changes(np.array([50, 55, 90, 85]), 100, 0.2)[0].tolist()
    [0.0, 0.35, 0.0]
    """
    # Whole numbers are subtracted, so that a change of exactly the gap counts.
    changes = np.diff(counts) / rollouts
    share = (counts[1:] + counts[:-1]) / (2 * rollouts)
    return np.where(np.abs(changes) >= p_gap, changes, 0.0), np.sqrt(2 * share * (1 - share) / rollouts)
