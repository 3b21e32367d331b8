"""Games: chains of up to six units whose every version has a log-likelihood that was chosen, and the metrics' twins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

LETTERS = "abcdef"


class GameScorer(AdditiveScorer):
    """Gives the answer's log-likelihood of each set of letters that is kept, from a table, nats.

    Parameters
    ----------
    table
        log P(answer | kept letters), by the sum of 1 for ``a``, 2 for ``b``, 4 for ``c``, ...; a letter stands once in
        a chain, and every other token counts nothing.
    """

    def __init__(self, table: Sequence[float] | FloatArray) -> None:
        super().__init__({letter: float(1 << place) for place, letter in enumerate(LETTERS)})
        self.table = torch.tensor(np.asarray(table, dtype=np.float64))

    def fingerprint(self) -> str:
        """Return a digest of the table."""
        return sha256(self.table.numpy().tobytes()).hexdigest()

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the table's entry of the letters that are there."""
        return self.table[int(embeddings[:, 0].sum())]

    def value(self, units: Iterable[int]) -> float:
        """Return the log-likelihood with these units kept, of a chain of the first letters."""
        return float(self.table[sum(1 << unit for unit in units)])


def random_game(n_units: int, seed: int) -> tuple[GameScorer, TokenizedChain]:
    """Return a chain of the first letters, and a scorer that gives random log-likelihoods of its versions."""
    table = -3 * np.random.default_rng(seed).random(1 << n_units)
    return GameScorer(table), toy_chain(LETTERS[:n_units], id=f"game-{n_units}-{seed}")


def random_scores(n_units: int, seed: int) -> FloatArray:
    """Return importances of some units, of both signs, without ties."""
    return np.random.default_rng([seed, n_units]).normal(size=n_units)
