"""Uniform: the baseline that deletes at random."""

from __future__ import annotations

import hashlib

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer

__all__ = ["Uniform"]


class Uniform(ImportanceEstimator):
    """Gives each unit a random number between 0 and 1: every deletion order is equally likely.

    One draw is one order, so an analysis that needs a baseline averages over several seeds and shows their spread. The
    numbers depend only on the seed, the chain's id and the number of its units. Other estimators and the run's own seed
    do not change them.

    Parameters
    ----------
    seed
        Any whole number; each one gives an independent draw.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> first, second = (Uniform(seed).estimate(toy_chain("abc"), AdditiveScorer(), Joint()) for seed in (0, 1))
    >>> bool((first.scores == second.scores).any())
    False
    """

    name = "uniform"
    constraints = {"seed": WholeNumber()}

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return a random number for each unit, [unit]; neither scorer nor objective is asked.

        Raises
        ------
        EstimatorError
            If the seed is not allowed.
        """
        self.validate_parameters()
        # A digest rather than hash(), which differs from one process to the next.
        digest = hashlib.sha256(f"{self.seed}\n{chain.id}".encode()).digest()
        return Importance(np.random.default_rng(int.from_bytes(digest, "big")).random(len(chain.units)))
