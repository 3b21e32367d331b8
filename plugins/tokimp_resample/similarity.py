"""How similar the unit that a model wrote is to the chain's own: by words, or by a sentence encoder."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.registry import load_unit
from tokimp.contracts.unit_splitter import TextUnitSplitter
from tokimp.errors import EstimatorError

WORDS = "words"

_WORD = re.compile(r"\w+|[^\w\s]")


def similarities(written: Sequence[str], own: str, encoder: str = WORDS) -> FloatArray:
    """Return the cosine of each written unit with the chain's own, [unit].

    Parameters
    ----------
    written
        The units that the model wrote.
    own
        The chain's unit.
    encoder
        ``words``: the cosine of how often each word, number and sign occurs, in any case; a unit without any is similar
        to another one only. Otherwise the name of a model of sentence-transformers, such as ``all-MiniLM-L6-v2``.

    Examples
    --------
    >>> similarities(["So 8/2 = 4.", "So 8/2 = 5.", ""], "so 8/2=4.").round(2).tolist()
    [1.0, 0.86, 0.0]
    """
    different = list(dict.fromkeys(written))
    of = dict(zip(different, similarity_matrix(different, [own], encoder)[:, 0].tolist(), strict=True))
    return np.array([of[text] for text in written], dtype=np.float64)


def similarity_matrix(written: Sequence[str], own: Sequence[str], encoder: str = WORDS) -> FloatArray:
    """Return the cosine of each written unit with each of the chain's own, [written, own]; see `similarities`."""
    if encoder == WORDS:
        counted = [_counts(text) for text in own]
        rows = [[_cosine(counts, other) for other in counted] for counts in map(_counts, written)]
        return np.array(rows, dtype=np.float64).reshape(len(written), len(own))
    vectors = np.asarray(_encoder(encoder).encode([*own, *written], normalize_embeddings=True), dtype=np.float64)
    matrix: FloatArray = vectors[len(own) :] @ vectors[: len(own)].T
    return matrix


def _counts(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.casefold()))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    if not one or not other:
        return float(not one and not other)
    product = sum(count * other[word] for word, count in one.items())
    sizes = sum(count**2 for count in one.values()) * sum(count**2 for count in other.values())
    return float(product / np.sqrt(sizes))


@lru_cache(maxsize=1)
def _encoder(name: str) -> Any:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - optional, and slow to import

    return SentenceTransformer(name)


def check_encoder(encoder: str) -> None:
    """Raise `EstimatorError` if an encoder is asked for and sentence-transformers is not installed."""
    if encoder != WORDS and importlib.util.find_spec("sentence_transformers") is None:
        raise EstimatorError(
            f"similarity={encoder!r} is a model of sentence-transformers, which is not installed; pip install "
            "sentence-transformers in this environment, or compare by words (similarity=words)"
        )


def unit_texts(chain: TokenizedChain) -> list[str]:
    """Return the text of each unit of a chain: the characters that its tokens cover."""
    texts = []
    for unit in chain.units:
        covered = sorted({place for position in unit for place in range(*chain.reasoning_offsets[position])})
        texts.append("".join(chain.chain.reasoning[place] for place in covered))
    return texts


def first_unit(written: str, chain: TokenizedChain, own: str) -> str:
    """Return the first unit of what a model wrote, divided as the chain is; empty if it wrote no reasoning.

    A unit that is not found in the text (a token) is taken to be as many characters as the chain's own has.
    """
    splitter = load_unit(chain.unit)
    if not isinstance(splitter, TextUnitSplitter):
        return written[: len(own)]
    starts = list(splitter.starts(written))
    return written[: starts[1]] if len(starts) > 1 else written
