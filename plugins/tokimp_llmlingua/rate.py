"""Compression at a rate, as LLMLingua-2 does it, and the search for the rate that keeps a wanted share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokimp.chains.chain import TokenizedChain
from tokimp_llmlingua.words import Word, token_values

_RATE_STEP = 0.01  # LLMLingua rounds rates to whole percentiles


@dataclass(frozen=True, slots=True)
class Compression:
    """The reasoning tokens of several chains that LLMLingua-2 keeps at one rate.

    Attributes
    ----------
    rate
        The rate asked of LLMLingua-2; 1 keeps everything.
    share
        The share of reasoning tokens kept, the mean over chains.
    kept
        Whether each reasoning token is kept, one array [reasoning token] of bool a chain.
    """

    rate: float
    share: float
    kept: tuple[npt.NDArray[np.bool_], ...]


def keep_words(chunks: Sequence[Sequence[Word]], rate: float) -> list[bool]:
    """Return which words LLMLingua-2 keeps at a rate (``PromptCompressor.compress_prompt``, no forced tokens).

    Parameters
    ----------
    chunks
        The words of each chunk of a text; every chunk has a threshold of its own.
    rate
        The share to keep, from 0 to 1. The threshold is a percentile of the words' probabilities, each counted as
        often as it has tokens, and rounded so that mostly less is kept.
    """
    removed = 1 - rate
    if removed <= 0:
        return [True for words in chunks for _ in words]
    kept: list[bool] = []
    for words in chunks:
        if not words:
            continue
        weighted = [word.probability for word in words for _ in range(word.weight)]
        threshold = np.percentile(weighted, min(100, int(100 * removed + 1)))
        kept.extend(bool(w.probability > threshold or threshold == w.probability == 1.0) for w in words)
    return kept


def compress_at(
    chains: Sequence[TokenizedChain], words: Sequence[Sequence[Sequence[Word]]], rate: float
) -> Compression:
    """Return what is kept of each chain's reasoning tokens at a rate: a token stays if a word it is part of does."""
    kept = []
    for chain, chunks in zip(chains, words, strict=True):
        if rate >= 1:
            kept.append(np.ones(len(chain.reasoning_ids), dtype=bool))
            continue
        stays = [float(stay) for stay in keep_words(chunks, rate)]
        kept.append(token_values(chain, [word for chunk in chunks for word in chunk], stays) > 0)
    return Compression(rate, float(np.mean([tokens.mean() for tokens in kept])), tuple(kept))


def search_rate(
    chains: Sequence[TokenizedChain],
    words: Sequence[Sequence[Sequence[Word]]],
    keep_ratio: float,
) -> Compression:
    """Bisect the rate until the mean share of reasoning tokens kept is as near to `keep_ratio` as it gets.

    The share grows with the rate in steps, because LLMLingua-2 keeps or drops whole words and knows a hundred rates.
    The wanted share lies between those of two rates. The rate with the nearer share is taken; in a tie, the lower.

    Parameters
    ----------
    chains
        The chains to compress, all at one rate.
    words
        The words of each chunk of each chain.
    keep_ratio
        The wanted share, counted in the chains' own tokens.
    """
    low, high = (compress_at(chains, words, rate) for rate in (0.0, 1.0))
    while high.rate - low.rate > _RATE_STEP / 2 and low.share < keep_ratio < high.share:
        middle = compress_at(chains, words, (low.rate + high.rate) / 2)
        low, high = (middle, high) if middle.share <= keep_ratio else (low, middle)
    return low if keep_ratio - low.share <= high.share - keep_ratio else high
