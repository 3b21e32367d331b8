"""The order in which the units of a chain are deleted: by an estimator's importance, or at random."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.results.by_chain import unit_scores

KEEP_RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
Units = tuple[int, ...]
"""Indices of some units of a chain, ascending."""


@dataclass(frozen=True, slots=True)
class DeletionOrder:
    """The order in which the units of a chain are deleted.

    Attributes
    ----------
    units
        Indices of the units, [unit], the least important first.
    ranked
        How many units, from the first on, the estimator put in order. The others were never compared with each other,
        as by greedy pruning that stopped early.
    """

    units: IntArray
    ranked: int

    def most_important(self, count: int) -> Units | None:
        """Return the `count` most important units, in the chain's order; ``None`` if they are not known."""
        cut = len(self.units) - count
        return self._part(self.units[cut:], cut)

    def least_important(self, count: int) -> Units | None:
        """Return the `count` least important units, in the chain's order; ``None`` if they are not known."""
        return self._part(self.units[:count], count)

    def _part(self, units: IntArray, cut: int) -> Units | None:
        if self.ranked < cut < len(self.units):
            return None
        return tuple(sorted(units.tolist()))


def deletion_orders(chain: xr.Dataset, seed: int, *, by_size: bool = False) -> list[DeletionOrder | None]:
    """Return each estimator's order of one chain's units, [estimator]; ``None`` if it says nothing about the chain.

    Units that tie are put in random order, from a seed made of `seed`, the chain's id and the estimator's label. The
    rule of ``rank``, the leftmost first, would give an estimator that knows nothing the merits of position.

    Parameters
    ----------
    chain
        One chain's part of a result, as `tokimp.results.by_chain.iterate` gives it.
    seed
        Seed of the order of ties.
    by_size
        Whether to order by the absolute importance: the units that matter least, in whichever direction, first. An
        estimator that deletes in sequence and stopped early keeps its sequence.
    """
    chain_id = str(chain["chain_id"].item())
    orders: list[DeletionOrder | None] = []
    for label, scores, ranked in zip(
        chain["estimator"].to_numpy(), unit_scores(chain), ranked_counts(chain), strict=True
    ):
        if np.isnan(scores).any():
            orders.append(None)
            continue
        sizes = np.abs(scores) if by_size and ranked == len(scores) else scores
        orders.append(DeletionOrder(_ascending(sizes, _generator(seed, chain_id, str(label))), ranked))
    return orders


def ranked_counts(chain: xr.Dataset) -> list[int]:
    """Return how many units of one chain each estimator put in order, [estimator].

    These are the units that it deleted in sequence, or all units if it does not delete in sequence.
    """
    _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
    was_deleted = ~np.isnan(chain["loglik_joint"].to_numpy()[:, firsts])
    return [int(units.sum()) or len(firsts) for units in was_deleted]


def uniform_orders(chain_id: str, n_units: int, draws: int, seed: int) -> list[DeletionOrder]:
    """Return random orders of a chain's units, [draw], from a seed made of `seed`, the chain's id and the draw."""
    return [
        DeletionOrder(_generator(seed, chain_id, f"uniform draw {draw}").permutation(n_units), n_units)
        for draw in range(draws)
    ]


def kept_count(n_units: int, keep_ratio: float) -> int:
    """Return how many units stay at a keep ratio: ``int(n_units * keep_ratio)``."""
    return int(n_units * keep_ratio)


def positions_of(chain: TokenizedChain, units: Sequence[int]) -> list[int]:
    """Return the positions of the reasoning tokens of some units, ascending."""
    return sorted(position for unit in units for position in chain.units[unit])


def _ascending(scores: FloatArray, generator: np.random.Generator) -> IntArray:
    """Return the indices that sort scores, [unit], with ties in random order."""
    shuffled: IntArray = generator.permutation(len(scores))
    ascending: IntArray = shuffled[np.argsort(scores[shuffled], kind="stable")]
    return ascending


def _generator(seed: int, chain_id: str, name: str) -> np.random.Generator:
    """Return a generator that depends on neither the order of the chains nor that of the estimators."""
    digest = hashlib.sha256(f"{seed}\n{chain_id}\n{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
