"""Soft-NS and Soft-NC: their formulas, and the noise on embeddings that they are measured with."""

from __future__ import annotations

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.contracts.seeded import seeded_generator


def soft_scores(
    full: FloatArray, without: FloatArray, sufficient: FloatArray, comprehensive: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the normalised soft sufficiency and comprehensiveness, from 0 to 1 each; high is good for both.

    ``S = 1 - max(0, p - p')`` is the sufficiency of a perturbed input with the probability p', and S0 that of an input
    without anything. Then ``NS = (S - S0) / (1 - S0)`` and ``NC = max(0, p - p'') / (1 - S0)``, both cut at 0 and 1
    (Zhao and Aletras 2023, arXiv 2305.10496).

    Parameters
    ----------
    full
        p: the probability on the full input.
    without
        That on an input of which nothing is left.
    sufficient, comprehensive
        p' and p'': those on inputs that keep, and that lose, units in proportion to their importance.

    Returns
    -------
    tuple of numpy.ndarray
        NS and NC, as the arguments are broadcast; NaN where `without` is not below `full`.

    Examples
    --------
    >>> [float(score.round(4)) for score in soft_scores(*map(np.array, (0.9, 0.3, 0.7, 0.4)))]
    [0.6667, 0.8333]
    """
    there = np.where(full > without, full - without, np.nan)
    lost, gone = np.maximum(0, full - sufficient), np.maximum(0, full - comprehensive)
    return np.clip((there - lost) / there, 0, 1), np.clip(gone / there, 0, 1)


def noise(chain_id: str, draw: int, shape: tuple[int, ...], seed: int) -> tuple[FloatArray, FloatArray]:
    """Return random numbers from 0 to 1 that decide which coordinates stay, for sufficiency and for comprehensiveness.

    They are the same for all that is compared on a chain, so that differences are not of the noise.

    Parameters
    ----------
    chain_id
        The chain.
    draw
        Which draw.
    shape
        The shape of the chain's embeddings.
    seed
        The analysis's seed.

    Returns
    -------
    tuple of numpy.ndarray
        Two arrays, [reasoning token, coordinate].
    """
    to_keep, to_lose = (
        seeded_generator(seed, chain_id, f"soft {use} {draw}").random(shape) for use in ("keep", "lose")
    )
    return to_keep, to_lose


def perturbed(
    embeddings: FloatArray, stand_in: FloatArray, shares: FloatArray, drawn: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return embeddings that keep coordinates in proportion to importance, and ones that lose them in proportion.

    Parameters
    ----------
    embeddings
        Those of the reasoning tokens, [reasoning token, coordinate].
    stand_in
        What stands in place of a coordinate that is dropped, [coordinate].
    shares
        Each token's probability to stay in the first, and to go in the second, from 0 to 1, [reasoning token].
    drawn
        What `noise` returns.
    """
    to_keep, to_lose = drawn
    kept = np.where(to_keep < shares[:, None], embeddings, stand_in)
    left = np.where(to_lose < 1 - shares[:, None], embeddings, stand_in)
    return kept.astype(embeddings.dtype), left.astype(embeddings.dtype)
