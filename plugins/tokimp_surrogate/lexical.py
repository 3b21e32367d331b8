"""The lexical baseline: what the ids of a unit's tokens and their neighbours predict, without a look at the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import Ridge

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp_surrogate.regressors import Scaling, Training

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
_BEFORE, _OWN, _AFTER = range(3)

PredictFromWords = Callable[["Words", FloatArray], FloatArray]
"""Predicts units from their words and their attention features, [unit]."""


@dataclass(frozen=True, slots=True)
class Words:
    """The ids of each unit's own tokens, of the token before it and of the token after it.

    Attributes
    ----------
    own
        [unit], each with the ids of its tokens.
    before, after
        [unit]; the prompt's last token precedes the first unit, and the answer's first follows the last.
    """

    own: tuple[tuple[int, ...], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    def of_units(self, chosen: npt.NDArray[np.bool_]) -> Words:
        """Return the words of the units for which `chosen`, [unit], is true."""
        units = np.flatnonzero(chosen).tolist()
        return Words(
            tuple(self.own[unit] for unit in units),
            tuple(self.before[unit] for unit in units),
            tuple(self.after[unit] for unit in units),
        )

    def columns(self) -> list[list[tuple[int, int]]]:
        """Return what each unit has, as (place, id), [unit]; an id that it has twice is there twice."""
        rows = zip(self.own, self.before, self.after, strict=True)
        return [[(_BEFORE, before), *((_OWN, token) for token in own), (_AFTER, after)] for own, before, after in rows]


def chain_words(chain: TokenizedChain) -> Words:
    """Return the words of a chain's units."""
    ids = [*chain.prompt_ids[-1:], *chain.reasoning_ids, *chain.answer_ids[:1]]
    first = len(chain.prompt_ids[-1:])
    own = tuple(tuple(chain.reasoning_ids[position] for position in unit) for unit in chain.units)
    before = tuple(ids[first + unit[0] - 1] for unit in chain.units)
    after = tuple(ids[first + unit[-1] + 1] for unit in chain.units)
    return Words(own, before, after)


def fit_lexical(words: Sequence[Words], training: Training, *, with_attention: bool = False) -> PredictFromWords:
    """Return the prediction function of a ridge regression on ids, and on attention features too if asked for.

    Ids are columns of zeros and ones, one for each id at each of the three places. Ids that no training unit has are
    not known, and count nothing. The penalty is the one of `PENALTIES` that does best on training questions held out;
    with it the regression is fitted on all training units.

    Parameters
    ----------
    words
        Words of each training chain, in the order of the units of `training`.
    training
        Attention features, targets and questions of the units.
    with_attention
        Whether the regression also gets the attention features, standardised and clipped to their range.
    """
    keys = [row for of_chain in words for row in of_chain.columns()]
    outside = training.held_out()
    inside_keys = [row for row, out in zip(keys, outside, strict=True) if not out]
    inside, held_out = training.of_units(~outside), training.of_units(outside)
    outside_keys = [row for row, out in zip(keys, outside, strict=True) if out]
    errors = []
    for penalty in PENALTIES:
        predict = _fit(inside_keys, inside, penalty, with_attention)
        errors.append(float(np.square(predict(outside_keys, held_out.features) - held_out.target).mean()))
    best = _fit(keys, training, PENALTIES[int(np.argmin(errors))], with_attention)
    return lambda of_chain, features: best(of_chain.columns(), features)


def _fit(
    keys: Sequence[Sequence[tuple[int, int]]], training: Training, penalty: float, with_attention: bool
) -> Callable[[Sequence[Sequence[tuple[int, int]]], FloatArray], FloatArray]:
    scaling = Scaling.of(training)
    columns = {key: place for place, key in enumerate(sorted({key for row in keys for key in row}))}

    def design(rows: Sequence[Sequence[tuple[int, int]]], features: FloatArray) -> sparse.csr_matrix:
        ids = _indicators(rows, columns)
        if not with_attention:
            return ids
        return sparse.csr_matrix(sparse.hstack([ids, sparse.csr_matrix(scaling.features(features))]))

    # Sparse designs need a solver that takes them together with an intercept.
    ridge = Ridge(alpha=penalty, solver="sparse_cg", tol=1e-6)
    ridge.fit(design(keys, training.features), scaling.target(training.target).astype(np.float64))

    def predict(rows: Sequence[Sequence[tuple[int, int]]], features: FloatArray) -> FloatArray:
        standardised: FloatArray = np.asarray(ridge.predict(design(rows, features)), dtype=np.float64)
        return standardised * scaling.target_scale + scaling.target_center

    return predict


def _indicators(rows: Sequence[Sequence[tuple[int, int]]], columns: dict[tuple[int, int], int]) -> sparse.csr_matrix:
    """Return how often each unit has each known id at each place, [unit, column]."""
    places: list[tuple[int, int]] = [
        (row, columns[key]) for row, keys in enumerate(rows) for key in keys if key in columns
    ]
    where: IntArray = np.array(places, dtype=np.int64).reshape(-1, 2)
    return sparse.csr_matrix((np.ones(len(where)), (where[:, 0], where[:, 1])), shape=(len(rows), len(columns)))
