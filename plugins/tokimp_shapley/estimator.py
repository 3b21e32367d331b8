"""The estimator `Shapley`: its parameters, and what it asks the scorer."""

from __future__ import annotations

from math import comb

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf, Optional, TrueOrFalse, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Answer, Objective
from tokimp.contracts.operators import OPERATOR_CONSTRAINTS, RequiredByOperator, make_operator
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.seeded import seeded_generator
from tokimp.contracts.subset_scores import SubsetScores, every_subset
from tokimp_shapley.kernel import fitted_values, kernel_subsets
from tokimp_shapley.permutations import exact_values, marginal_gains, prefixes

_EVALUATIONS = 500
"""How many subsets permutations ask about by default, as in the package shap."""
_KERNEL_EVALUATIONS = 2048
"""How many subsets, beside two for each unit, the kernel asks about by default, as in the package shap."""


class Shapley(ImportanceEstimator):
    r"""Scores a unit by its Shapley value: what it adds to the units before it, averaged over all orders.

    A subset S of the units is worth v(S), the log-likelihood of the answer when the others are taken away. The Shapley
    value of unit u is the mean over all orders of the units of ``v(units before u and u) - v(units before u)``, in nats
    (Shapley 1953). The values of a chain add up to ``v(all) - v(none)``. They may be negative. Leave-one-out looks at
    one order's last step only: of two units that say the same it credits neither, the Shapley value half to each.

    ``permutation`` draws orders, and takes each forwards and backwards (`antithetic`). That is exact after one pair if
    units interact at most in pairs. ``kernel`` solves the weighted least squares of which Shapley values are the
    solution (Lundberg and Lee 2017, "A unified approach to interpreting model predictions", theorem 2) on subsets that
    begin with the smallest and the largest; the sum is held exactly, by substitution. If all subsets of a chain are no
    more than what sampling would ask about, all are scored, and the values are exact.

    Most subsets of half the units are far from any text that the model has seen. For n units a pair of permutations
    takes 2n - 2 passes of shortened chains, and the kernel 2n + 2048 by default; sentences are the units to begin with.

    Parameters
    ----------
    method
        ``permutation`` or ``kernel``.
    permutations
        How many orders are drawn; with `antithetic` each is used twice. By default as many as take 500 subsets
        (``500 // (2 n + 1)``), but at least two.
    antithetic
        Whether each order is also taken backwards.
    evaluations
        For ``kernel``: how many subsets are scored beside none and all; 2 n + 2048 by default.
    of
        ``answer``: log P(answer), whatever the run's objective. ``objective``: the run's objective. With ``joint`` and
        ``reasoning`` a unit mostly pays for its own log-probability, which no unit has in the empty subset.
    operator, replacement
        How units are taken away; see `tokimp.contracts.operators`. Each operator makes another game.
    seed
        Any whole number. The k-th order depends on it, on the chain's id and on k alone.

    Examples
    --------
    >>> import torch
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> class Pair(AdditiveScorer):
    ...     def answer_loglik(self, embeddings):
    ...         total = embeddings[:, 0].sum()
    ...         return total + 2.0 * (len(embeddings) == 2)  # both together are worth more
    >>> Shapley().estimate(toy_chain("ab"), Pair({"a": 1.0, "b": 2.0}), Answer()).scores.tolist()
    [2.0, 3.0]
    """

    name = "shapley"
    requires = RequiredByOperator()
    constraints = {
        "method": OneOf("permutation", "kernel"),
        "permutations": Optional(WholeNumber(1)),
        "antithetic": TrueOrFalse(),
        "evaluations": Optional(WholeNumber(2)),
        "of": OneOf("answer", "objective"),
        **OPERATOR_CONSTRAINTS,
        "seed": WholeNumber(),
    }

    def __init__(
        self,
        method: str = "permutation",
        permutations: int | None = None,
        *,
        antithetic: bool = True,
        evaluations: int | None = None,
        of: str = "answer",
        operator: str = "delete",
        replacement: str | int = "eos",
        seed: int = 0,
    ) -> None:
        self.method = method
        self.permutations = permutations
        self.antithetic = antithetic
        self.evaluations = evaluations
        self.of = of
        self.operator = operator
        self.replacement = replacement
        self.seed = seed

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's Shapley value, [unit], in nats.

        The diagnostics are ``subsets``, how many were scored; ``exact``, 1 if these were all; and for permutations
        ``standard_error_mean`` and ``standard_error_max``: over the units, the mean and the largest standard error of
        the mean over orders (each with its reverse counted as one; NaN of a single one, 0 if exact). They say whether
        more permutations are needed.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or the objective of a subset is no finite number.
        """
        self.validate_parameters()
        preserved = Answer() if self.of == "answer" else objective
        preserved.check(chain)
        scores = SubsetScores(scorer, chain, preserved, make_operator(self.operator, self.replacement))
        if 2 ** len(chain.units) <= self._subsets_asked(len(chain.units)):
            subsets = every_subset(chain)
            values = exact_values(len(chain.units), dict(zip(subsets, scores.objective(subsets), strict=True)))
            errors = {} if self.method == "kernel" else {"standard_error_mean": 0.0, "standard_error_max": 0.0}
            return Importance(values, diagnostics={"subsets": float(len(subsets)), "exact": 1.0, **errors})
        return self._by_kernel(chain, scores) if self.method == "kernel" else self._by_permutations(chain, scores)

    def expected_positions(self, chain: TokenizedChain, objective: Objective) -> float | None:
        """Return about how many token positions a chain takes where keys and values are shared; None for masks.

        A subset is read from the first unit that it lacks: what is before it was read already. Along an order all sizes
        are equally frequent, and the kernel asks about as many small subsets as large ones.
        """
        if self.operator != "delete":
            return None
        n_units, answer = len(chain.units), len(chain.answer_ids)
        length = len(chain.reasoning_ids) / n_units
        asked, sizes = self._subsets_asked(n_units), np.arange(1, n_units)
        if 2**n_units <= asked:
            asked, frequencies = 2**n_units, np.array([comb(n_units, int(size)) for size in sizes], dtype=np.float64)
        else:
            frequencies = np.ones(len(sizes))
        # The units before the first one that a subset of a size lacks, on average.
        begin = sizes / (n_units - sizes + 1)
        mean = float(np.average((sizes - begin) * length, weights=frequencies)) if n_units > 1 else 0.0
        return len(chain) + (asked - 1) * (mean + answer)

    def _subsets_asked(self, n_units: int) -> int:
        """Return about how many subsets sampling asks about, none and all among them."""
        if self.method == "kernel":
            return 2 + (2 * n_units + _KERNEL_EVALUATIONS if self.evaluations is None else self.evaluations)
        return 2 + self._orders(n_units) * (n_units - 1) * (2 if self.antithetic else 1)

    def _orders(self, n_units: int) -> int:
        return max(2, _EVALUATIONS // (2 * n_units + 1)) if self.permutations is None else self.permutations

    def _by_permutations(self, chain: TokenizedChain, scores: SubsetScores) -> Importance:
        n_units = len(chain.units)
        orders = [
            seeded_generator(self.seed, chain.id, f"permutation {k}").permutation(n_units)
            for k in range(self._orders(n_units))
        ]
        directions = [[order, order[::-1]] if self.antithetic else [order] for order in orders]
        asked = [subset for pair in directions for order in pair for subset in prefixes(order)]
        worth = dict(zip(asked, scores.objective(asked), strict=True))
        gains = np.array([np.mean([marginal_gains(order, worth) for order in pair], axis=0) for pair in directions])
        spread = gains.std(axis=0, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.full(n_units, np.nan)
        return Importance(
            gains.mean(axis=0),
            diagnostics={
                "subsets": float(len(worth)),
                "exact": 0.0,
                "standard_error_mean": float(spread.mean()),
                "standard_error_max": float(spread.max()),
            },
        )

    def _by_kernel(self, chain: TokenizedChain, scores: SubsetScores) -> Importance:
        n_units = len(chain.units)
        generator = seeded_generator(self.seed, chain.id, "kernel")
        subsets, weights = kernel_subsets(n_units, self._subsets_asked(n_units) - 2, generator)
        none, everything, *worth = scores.objective([(), tuple(range(n_units)), *subsets])
        values = fitted_values(n_units, subsets, weights, np.array(worth) - none, everything - none)
        return Importance(values, diagnostics={"subsets": float(len(subsets) + 2), "exact": 0.0})
