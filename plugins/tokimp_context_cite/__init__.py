"""ContextCite: a sparse linear model of what random halves of a reasoning do to the answer."""

from __future__ import annotations

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, TrueOrFalse, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Answer, Objective
from tokimp.contracts.operators import OPERATOR_CONSTRAINTS, RequiredByOperator, make_operator
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.seeded import seeded_generator
from tokimp.contracts.subset_scores import Subset, SubsetScores, every_subset

__all__ = ["ContextCite", "log_odds"]

_HIGHEST_LOGLIK = -1e-6
"""Where a log-probability is cut before it becomes log-odds: float32 resolves no more near 0 (log-odds 13.8)."""


class ContextCite(ImportanceEstimator):
    """Scores a unit by its weight in a Lasso that predicts the answer's log-odds from which units are kept.

    Some subsets of the units are drawn, each unit kept or taken away independently, and the model gives log P(answer)
    after each. The log-odds of the whole answer, ``l - log(1 - exp(l))``, divided by the m tokens of the answer, are
    regressed on the kept units. Columns are standardised (population standard deviation), and a Lasso with intercept
    minimises ``||y - b - Zw||^2 / 2N + regularization * ||w||_1``. The importance is ``m * w / sd``, in nats of
    log-odds (Cohen-Wang et al. 2024, "ContextCite: attributing model generation to context", arXiv 2409.00729;
    formulas and defaults from github.com/MadryLab/context-cite).

    It may be negative. Units that the Lasso sets to zero tie; ``regularization=0`` gives least squares, without ties.
    The penalty acts on nats per answer token, so for a long answer an effect must be larger to survive it. If the chain
    has so few units that all subsets are no more than `ablations`, all of them are scored, each once.

    The cost is one pass of a shortened chain for each subset, whatever the number of units. With fewer subsets than
    units the weights are told apart by the penalty alone; sentences are the units of the paper.

    Parameters
    ----------
    ablations
        How many subsets are drawn. The paper finds 32 sufficient; its code takes 64.
    keep_probability
        How likely each unit is kept.
    regularization
        The weight of the Lasso's penalty.
    of
        ``answer``: the log-odds of the answer, whatever the run's objective. ``objective``: the run's objective, which
        is turned into log-odds only where it is ``answer``. With ``joint`` and ``reasoning`` each subset is a sum over
        other tokens, and a unit mostly pays for its own log-probability.
    logit
        Whether log P(answer) is turned into log-odds at all.
    operator, replacement
        How units are taken away; see `tokimp.contracts.operators`.
    seed
        Any whole number. The k-th subset depends on it, on the chain's id and on k alone.

    Examples
    --------
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0})
    >>> ContextCite(logit=False).estimate(toy_chain("abc"), scorer, Answer()).scores.round(6).tolist()
    [0.48, -0.23, 1.98]
    """

    name = "context_cite"
    requires = RequiredByOperator()
    constraints = {
        "ablations": WholeNumber(2),
        "keep_probability": Number(above=0, below=1),
        "regularization": Number(0),
        "of": OneOf("answer", "objective"),
        "logit": TrueOrFalse(),
        **OPERATOR_CONSTRAINTS,
        "seed": WholeNumber(),
    }

    def __init__(
        self,
        ablations: int = 64,
        keep_probability: float = 0.5,
        regularization: float = 0.01,
        *,
        of: str = "answer",
        logit: bool = True,
        operator: str = "delete",
        replacement: str | int = "eos",
        seed: int = 0,
    ) -> None:
        self.ablations = ablations
        self.keep_probability = keep_probability
        self.regularization = regularization
        self.of = of
        self.logit = logit
        self.operator = operator
        self.replacement = replacement
        self.seed = seed

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's weight, [unit].

        The diagnostics are ``ablations``, how many subsets were scored; ``fit``, the share of the variance that the
        linear model explains on them (R squared; 1 if there is none); and ``nonzero``, how many units have a weight.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or the objective of a subset is no finite number.
        """
        self.validate_parameters()
        preserved = Answer() if self.of == "answer" else objective
        preserved.check(chain)
        subsets = self._subsets(chain)
        operator = make_operator(self.operator, self.replacement)
        values = SubsetScores(scorer, chain, preserved, operator).objective(subsets)
        if self.logit and isinstance(preserved, Answer):
            values = log_odds(values)
        kept = np.zeros((len(subsets), len(chain.units)))
        for row, subset in zip(kept, subsets, strict=True):
            row[list(subset)] = 1
        tokens = len(chain.answer_ids)
        weights, fit = _lasso(kept, values / tokens, self.regularization)
        return Importance(
            tokens * weights,
            diagnostics={
                "ablations": float(len(subsets)),
                "fit": fit,
                "nonzero": float(np.count_nonzero(weights)),
            },
        )

    def _subsets(self, chain: TokenizedChain) -> list[Subset]:
        n_units = len(chain.units)
        if 2**n_units <= self.ablations:
            return every_subset(chain)
        generators = (seeded_generator(self.seed, chain.id, f"kept units {k}") for k in range(self.ablations))
        return [tuple(np.flatnonzero(g.random(n_units) < self.keep_probability).tolist()) for g in generators]


def log_odds(loglik: FloatArray) -> FloatArray:
    """Return ``l - log(1 - exp(l))`` of log-probabilities, [...], which are first cut at -1e-6.

    Examples
    --------
    >>> log_odds(np.array([np.log(0.5), -800.0, 0.0])).round(3).tolist()
    [0.0, -800.0, 13.816]
    """
    cut = np.minimum(np.asarray(loglik, dtype=np.float64), _HIGHEST_LOGLIK)
    # Near 0 the first form keeps the digits of 1 - exp(l), far below 0 the second; they meet at log 1/2.
    near = np.log(-np.expm1(np.maximum(cut, np.log(0.5))))
    far = np.log1p(-np.exp(np.minimum(cut, np.log(0.5))))
    odds: FloatArray = cut - np.where(cut > np.log(0.5), near, far)
    return odds


def _lasso(kept: FloatArray, values: FloatArray, regularization: float) -> tuple[FloatArray, float]:
    """Return the weights of the columns, [unit], in the unit of `values`, and the share of variance explained."""
    from sklearn.linear_model import Lasso  # noqa: PLC0415 - slow to import, and needed by nobody else

    centred, deviation = kept - kept.mean(axis=0), kept.std(axis=0)
    varies = deviation > 0
    weights = np.zeros(kept.shape[1])
    target = values - values.mean()
    if varies.any() and np.ptp(values):
        standardised = centred[:, varies] / deviation[varies]
        if regularization:
            model = Lasso(regularization, fit_intercept=False, tol=1e-8, max_iter=100_000)
            found = model.fit(standardised, target).coef_
        else:
            found = np.linalg.lstsq(standardised, target, rcond=None)[0]
        weights[varies] = found / deviation[varies]
    total = float(target @ target) if np.ptp(values) else 0.0
    residual = target - centred @ weights
    return weights, 1 - float(residual @ residual) / total if total else 1.0
