"""Agreement that place alone makes: scores of other chains, at the same relative places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tokimp.analysis.statistics.rank_measures import is_constant
from tokimp.chains.arrays import FloatArray, IntArray

Features = list[FloatArray] | None
"""One vector for each measure; ``None`` where scores are constant."""


class OtherChains:
    """What estimators give other chains, at the relative places of a chain's units.

    Two methods that know nothing of each other agree if both favour the same places. How much is seen where they cannot
    agree for any other reason: one method's scores of a chain beside the other's scores of *another* chain, each unit
    beside the one at the same relative place. Whatever shape the preferences have, this agreement has it too.

    Parameters
    ----------
    scores
        The scores of each chain, [estimator, unit]; NaN where an estimator says nothing.
    questions
        Number of the question that each chain answers. Chains of the same question do not count as others, since their
        texts have much in common.
    count
        The most other chains for each; those that are nearest in length. Ends and beginnings of chains have about the
        same number of units, so they are the same share of chains of about one length.
    fewest
        Chains with fewer units do not count.
    among
        The chains that there are, ascending, [chain]; all others are as if they were not in the result. All by default.
    """

    def __init__(
        self,
        scores: Sequence[FloatArray],
        questions: Sequence[int],
        count: int,
        fewest: int,
        *,
        among: IntArray | None = None,
    ) -> None:
        self._scores = scores
        chains = np.arange(len(scores)) if among is None else among
        lengths = np.array([scores[chain].shape[1] for chain in chains.tolist()])
        asked = np.asarray(questions)[chains]
        self._others: dict[int, list[int]] = {}
        for place, (chain, length) in enumerate(zip(chains.tolist(), lengths.tolist(), strict=True)):
            may = np.flatnonzero((asked != asked[place]) & (lengths >= fewest))
            # Of equally long ones those nearest in the result are taken, so that not all chains have the same others.
            apart = np.minimum((may - place) % len(lengths), (place - may) % len(lengths))
            order = np.lexsort((may, apart, np.abs(lengths[may] - length)))
            self._others[chain] = chains[may[order][:count]].tolist()

    def at_places_of(self, chain: int, row: int) -> dict[int, FloatArray]:
        """Return an estimator's scores of other chains at the places of a chain's units, [unit], by other chain."""
        n_units = self._scores[chain].shape[1]
        scored = {other: self._scores[other][row] for other in self._others[chain]}
        return {
            other: scores[same_places(n_units, len(scores))]
            for other, scores in scored.items()
            if not np.isnan(scores).any()
        }

    def mean_features(
        self,
        chain: int,
        row: int,
        features: Callable[[FloatArray], Features],
        known: dict[tuple[int, int], Features] | None = None,
    ) -> Features:
        """Return the mean of the features of such scores; ``None`` if there are no others that rank anything.

        Parameters
        ----------
        chain, row
            Whose scores are asked for.
        features
            What makes vectors of scores.
        known
            What it made of another chain's row at the places of this chain, by other chain and row. It is added to, so
            that instances for the same scores which are `among` other chains need not compute it again.
        """
        known = {} if known is None else known
        vectors = []
        for other, scores in self.at_places_of(chain, row).items():
            if (other, row) not in known:
                known[other, row] = features(scores)
            if (vector := known[other, row]) is not None:
                vectors.append(vector)
        return [np.mean(of_measure, axis=0) for of_measure in zip(*vectors, strict=True)] if vectors else None


def is_ranking(scores: FloatArray) -> bool:
    """Return whether scores, [unit], tell units apart; NaN says nothing, and neither do scores that are all alike."""
    return not (np.isnan(scores).any() or is_constant(scores))


def ranked_by_both(scores: Sequence[FloatArray]) -> Iterator[tuple[IntArray, NDArray[np.bool_]]]:
    """Yield each set of chains that some two rows rank, and the pairs of rows that rank just those.

    What place makes of a pair is seen in the chains that both rank, as if the result held no others.

    Parameters
    ----------
    scores
        The scores of each chain, [row, unit]; NaN where a row says nothing.

    Yields
    ------
    tuple of numpy.ndarray
        The indices of the chains, ascending, and whether a pair of rows ranks these and no others, [row, row].

    Examples
    --------
    The first row ranks both chains, the second one only the first:

    >>> scores = [np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[1.0, 2.0], [np.nan, np.nan]])]
    >>> for chains, pairs in ranked_by_both(scores):
    ...     print(chains.tolist(), pairs.tolist())
    [0] [[False, True], [True, True]]
    [0, 1] [[True, False], [False, False]]
    """
    ranked = np.array([[is_ranking(row) for row in rows] for rows in scores]).T
    by_pair = ranked[:, None] & ranked[None]
    sets, number = np.unique(by_pair.reshape(-1, len(scores)), axis=0, return_inverse=True)
    for index, chains in enumerate(sets):
        if chains.any():
            yield np.flatnonzero(chains), number.reshape(by_pair.shape[:2]) == index


def same_places(n_units: int, n_other: int) -> IntArray:
    """Return the unit of another chain, of `n_other` units, at the relative place of each of `n_units`, [unit].

    The middle of each unit decides. Nothing is interpolated: means of neighbours would have less noise than scores.

    >>> same_places(4, 2).tolist(), same_places(3, 6).tolist()
    ([0, 0, 1, 1], [1, 3, 5])
    """
    places: IntArray = ((2 * np.arange(n_units) + 1) * n_other // (2 * n_units)).astype(np.int64)
    return places


def products(own: Sequence[Features], others: Sequence[Features], n_measures: int) -> FloatArray:
    """Return the agreement that place alone makes, [measure, row, row]: the mean of either's chain and other's others.

    Parameters
    ----------
    own
        The features of each row's scores of a chain.
    others
        The mean features of each row's scores of other chains.
    n_measures
        Number of features; all values are NaN where a row has none.
    """
    chance = np.full((n_measures, len(own), len(own)), np.nan)
    known = [row for row, (one, other) in enumerate(zip(own, others, strict=True)) if one is not None and other]
    if not known:
        return chance
    for measure in range(n_measures):
        mine = np.stack([vectors[measure] for row in known if (vectors := own[row]) is not None])
        theirs = mine
        if others is not own:
            theirs = np.stack([vectors[measure] for row in known if (vectors := others[row]) is not None])
        one_way = (mine @ theirs.T).astype(np.float64)
        chance[measure][np.ix_(known, known)] = (one_way + one_way.T) / 2
    return chance
