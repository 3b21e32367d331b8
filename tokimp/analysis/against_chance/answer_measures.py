"""Measures of an answer, whose log-likelihood is about the same tokens in every version of a chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from tokimp.analysis.deletion_orders import Units
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf
from tokimp.contracts.objective import Answer
from tokimp.contracts.operators import Operator
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetScores
from tokimp.errors import AnalysisError

ANSWER_MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "answer": "log P(answer), nats",
        "answer_per_token": "log P(answer), nats a token",
        "answer_probability": "P(answer)",
        "answer_token_probability": "geometric mean probability of an answer token",
    }
)
"""What the measures are called, and what they are. ``answer`` is the log-likelihood of the answer after the prompt and
what is kept of the reasoning. Divided by the answer's number of tokens it is ``answer_per_token``. The other two are
the exponentials of these, from 0 to 1; the first is close to 0 for any long answer."""

ANSWER_MEASURE = OneOf(*ANSWER_MEASURES)
"""The constraint of an analysis's parameter ``measure``."""


def as_measure(loglikelihood: FloatArray, measure: str, n_answer_tokens: int) -> FloatArray:
    """Return log-likelihoods of an answer, nats, as a measure.

    Parameters
    ----------
    loglikelihood
        log P(answer | prompt, kept), nats, of any shape.
    measure
        One of `ANSWER_MEASURES`.
    n_answer_tokens
        Number of the answer's tokens.

    Examples
    --------
    >>> as_measure(np.array([-2.0]), "answer_per_token", 4).tolist()
    [-0.5]
    """
    read: dict[str, Callable[[FloatArray], FloatArray]] = {
        "answer": lambda values: values,
        "answer_per_token": lambda values: values / n_answer_tokens,
        "answer_probability": np.exp,
        "answer_token_probability": lambda values: np.exp(values / n_answer_tokens),
    }
    return read[measure](loglikelihood)


class AnswerScores:
    """Scores versions of one chain in one measure of the answer, each version once.

    Parameters
    ----------
    scorer
        The model.
    chain
        The full chain.
    operator
        How units are taken away.
    measure
        One of `ANSWER_MEASURES`.
    """

    def __init__(self, scorer: Scorer, chain: TokenizedChain, operator: Operator, measure: str) -> None:
        self._scores = SubsetScores(scorer, chain, Answer(), operator)
        self._measure, self._n_answer_tokens = measure, len(chain.answer_ids)
        self._where, self._n_units, self._operator = chain.chain.where, len(chain.units), operator.name

    def score(self, versions: Sequence[Units]) -> FloatArray:
        """Return the measure of versions, each given by the units it keeps, [version].

        Raises
        ------
        AnalysisError
            If the measure of a version is no finite number.
        """
        if not versions:
            return np.zeros(0)
        values = as_measure(self._scores.score(versions).objective, self._measure, self._n_answer_tokens)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise AnalysisError(
                f"{self._where}: {self._measure} is {values[wrong[0]]} with {len(versions[wrong[0]])} of "
                f"{self._n_units} units kept ({self._operator}), which is no finite number; a probability "
                "(measure=answer_token_probability) is finite wherever the model gives numbers"
            )
        return values
