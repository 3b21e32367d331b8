"""What a unit does to later units: how much oftener continuations hold them once the unit is given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.registry import load_unit
from tokimp.contracts.unit_splitter import TextUnitSplitter
from tokimp.errors import EstimatorError
from tokimp_resample.answers import WrittenText
from tokimp_resample.similarity import similarity_matrix

Held = list[npt.NDArray[np.bool_]]
"""For each beginning whether each continuation holds each unit of the chain, [rollout, unit]."""


def units_held(
    written: Sequence[Sequence[WrittenText]], chain: TokenizedChain, own: Sequence[str], encoder: str, threshold: float
) -> Held:
    """Return which of the chain's units each continuation holds: one of its own units is similar to them.

    Parameters
    ----------
    written
        What was written after each beginning.
    chain
        The chain.
    own
        The text of each of its units.
    encoder, threshold
        What similarity is, and from where on a unit counts as another in other words.

    Raises
    ------
    EstimatorError
        If the chain's units are not found in text, so that none are known of what was written.
    """
    splitter = load_unit(chain.unit)
    if not isinstance(splitter, TextUnitSplitter):
        raise EstimatorError(
            f"{chain.chain.where}: which {chain.unit} units a continuation holds is not known, since they are not "
            "found in its text; take words or sentences (unit), or do without effects"
        )
    texts = {text.reasoning for after in written for text in after}
    divided = {text: _divide(text, splitter.starts(text)) for text in texts}
    known = sorted({unit for units in divided.values() for unit in units})
    is_similar = similarity_matrix(known, [unit.strip() for unit in own], encoder) >= threshold
    row_of = {unit: row for row, unit in enumerate(known)}
    holds = {
        text: is_similar[[row_of[unit] for unit in units]].any(axis=0)  # of no units, nothing is held
        for text, units in divided.items()
    }
    return [np.array([holds[text.reasoning] for text in after]).reshape(-1, len(own)) for after in written]


def _divide(text: str, starts: Sequence[int]) -> list[str]:
    """Return the units of a text without the white space around them; none are empty."""
    pieces = (text[begin:end] for begin, end in pairwise([*starts, len(text)]))
    return [unit for piece in pieces if (unit := piece.strip())]


def share_gained(without: npt.NDArray[np.bool_], given: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return how much larger a share is among continuations that are given a unit, and its standard error.

    Parameters
    ----------
    without, given
        Whether something holds, [rollout, ...]; of the continuations without the unit, and of those that are given it.

    Returns
    -------
    tuple of numpy.ndarray
        The difference of the shares, [...], and ``sqrt(p (1 - p) (1 / N + 1 / M))`` with the share p of both together.

    Examples
    --------
    >>> gained, error = share_gained(np.array([[True], [False]]), np.array([[True], [True]]))
    >>> gained.tolist(), error.round(2).tolist()
    ([0.5], [0.43])
    """
    together = np.concatenate([without, given]).mean(axis=0)
    error: FloatArray = np.sqrt(together * (1 - together) * (1 / len(without) + 1 / len(given)))
    return given.mean(axis=0) - without.mean(axis=0), error
