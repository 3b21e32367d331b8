"""Random generators of estimators: made of a seed, a chain and a purpose, never of what was drawn before."""

from __future__ import annotations

import hashlib

import numpy as np


def seeded_generator(seed: int, chain_id: str, purpose: str) -> np.random.Generator:
    """Return a generator that depends on nothing but a seed, a chain's id and what the numbers are for.

    So neither the order of the chains, nor what else is drawn, nor an interruption changes what it draws.

    Parameters
    ----------
    seed
        Any whole number.
    chain_id
        The id of the chain.
    purpose
        What is drawn, such as ``shapley permutation 3``.

    Examples
    --------
    >>> first, again, other = (seeded_generator(0, "c", name).random() for name in ("mask 1", "mask 1", "mask 2"))
    >>> first == again, first == other
    (True, False)
    """
    # A digest rather than hash(), which differs from one process to the next.
    digest = hashlib.sha256(f"{seed}\n{chain_id}\n{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
