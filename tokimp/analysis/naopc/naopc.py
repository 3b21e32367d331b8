"""How close an estimator's order comes to the best order of a chain, and how far it is from the worst."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import or_

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURE, AnswerScores
from tokimp.analysis.against_chance.comparison import Comparison, undefined_variables
from tokimp.analysis.against_chance.operators import (
    SEVERAL_OPERATORS,
    USUAL_OPERATORS,
    RequiredByOperators,
    make_operators,
)
from tokimp.analysis.against_chance.orders import REFERENCES, STOPPED, ChainOrders, chain_orders, is_partial
from tokimp.analysis.deletion_orders import DeletionOrder, Units
from tokimp.analysis.naopc.limits import Limits, beam_limits, exact_limits
from tokimp.analysis.naopc.report import draw_naopc, naopc_tables
from tokimp.analysis.statistics.intervals import INTERVAL_OF_MEANS, SHARE, Resampling
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import Number, WholeNumber
from tokimp.contracts.scorer import Scorer
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate

SIDES = {"comprehensiveness": "high", "sufficiency": "low"}
NARROW = "the limits are too close to each other"


class Naopc(Analysis):
    r"""Normalised area over the perturbation curve: 1 is the best order of the chain, 0 the worst.

    The units of a chain are taken away one after another, until none is left. With the measure m of the answer, an
    order :math:`\pi` of n units has the area

    .. math:: A(\pi) = \frac{1}{n} \sum_{k=1}^{n} [m(x) - m(x \text{ without the first } k \text{ units of } \pi)].

    Its size depends on the chain and the model. So it is put between the smallest and the largest area that any order
    of this chain has: ``(A - lower) / (upper - lower)``, which compares across chains and models. There are two sides:

    - ``comprehensiveness``: the most important unit goes first; high is good;
    - ``sufficiency``: the least important unit goes first, the same limits; low is good.

    Chains of at most `exact_units` units have exact limits. For longer ones a beam search looks for both, and the
    areas of all orders that are compared count too, so that none is outside. Such limits may be too close to each
    other, which moves values toward 0 and 1. ``exact`` says which chains have exact ones.

    Chains whose limits are closer than `narrowest` have no value: their answer hardly depends on which units are there,
    and dividing by the width would blow up noise. They are counted, as are those on which an estimator stopped deleting
    before the end.

    The definition is that of the repository JoakimEdin/naopc (0976aa3), which belongs to Edin et al. (arXiv
    2408.08137). It replaces tokens by a mask; here there are several operators.

    Parameters
    ----------
    operators
        How units are taken away: some of ``delete``, ``knockout`` and ``mask``.
    replacement
        For ``mask``: what stands in place of a token; see `tokimp.contracts.operators`.
    measure
        What of the answer is measured: ``answer_token_probability`` (the geometric mean over its tokens),
        ``answer_probability``, ``answer`` (its logarithm, nats) or ``answer_per_token``. A log-likelihood has no lower
        bound, so that one unlikely version can set the limit.
    exact_units
        Chains of at most so many units have exact limits, from all 2 to the power of n versions.
    beam
        Width of the beam for longer chains: at most ``beam * n * (n + 1)`` versions.
    narrowest
        The smallest width of the limits at which a chain counts, in the measure's unit.
    n_uniform
        Number of random orders of each chain; at least 1.
    confidence
        Confidence of the intervals over chains.
    seed
        Seed of random orders and ties.
    """

    name = "naopc"
    requires = RequiredByOperators(*USUAL_OPERATORS)
    constraints = {
        **SEVERAL_OPERATORS,
        "measure": ANSWER_MEASURE,
        "exact_units": WholeNumber(0, 16),
        "beam": WholeNumber(1),
        "narrowest": Number(0),
        **REFERENCES,
    }

    def __init__(
        self,
        *,
        operators: Sequence[str] = USUAL_OPERATORS,
        replacement: str | int = "eos",
        measure: str = "answer_token_probability",
        exact_units: int = 12,
        beam: int = 5,
        narrowest: float = 0.01,
        n_uniform: int = 5,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.operators = operators
        self.replacement = replacement
        self.measure = measure
        self.exact_units = exact_units
        self.beam = beam
        self.narrowest = narrowest
        self.n_uniform = n_uniform
        self.confidence = confidence
        self.seed = seed

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/naopc``, as ``docs/schema.md`` describes it."""
        scoring = inputs.scoring
        found, all_orders = [], []
        for index, (chain, (_, stored)) in enumerate(zip(scoring.chains, iterate(inputs.result), strict=True)):
            orders = chain_orders(stored, self.n_uniform, self.seed)

            def areas(chain: TokenizedChain = chain, orders: ChainOrders = orders) -> dict[str, FloatArray]:
                return self._areas(scoring.scorer, chain, orders)

            found.append(inputs.keep(index, areas))
            all_orders.append(orders)
            inputs.report(index + 1, len(scoring.chains), chain.id, self.name)
        arrays = {name: np.stack([chain[name] for chain in found], axis=-1) for name in ("area", "limits")}
        lengths = np.array([len(chain.units) for chain in scoring.chains])
        return self._node(inputs.result, arrays["area"], arrays["limits"], all_orders, lengths)

    def _areas(self, scorer: Scorer, chain: TokenizedChain, orders: ChainOrders) -> dict[str, FloatArray]:
        """Return areas [operator, side, row] and limits [operator, end] of one chain."""
        areas, limits = [], []
        for operator in make_operators(self.operators, self.replacement):
            drops = _Drops(AnswerScores(scorer, chain, operator, self.measure), len(chain.units))
            # Limits first: exact ones ask about every version in one call.
            ends = self._limits(drops, len(chain.units))
            own = _order_areas(drops, orders.whole_rows)
            areas.append(own)
            limits.append([np.nanmin([ends.lower, *own.ravel()]), np.nanmax([ends.upper, *own.ravel()])])
        return {"area": np.array(areas), "limits": np.array(limits)}

    def _limits(self, drops: _Drops, n_units: int) -> Limits:
        if n_units <= self.exact_units:
            return exact_limits(n_units, drops)
        return beam_limits(n_units, drops, self.beam)

    def _node(
        self,
        result: xr.DataTree,
        area: FloatArray,
        limits: FloatArray,
        all_orders: Sequence[ChainOrders],
        lengths: np.ndarray[tuple[int], np.dtype[np.int64]],
    ) -> xr.Dataset:
        """Return the node from areas [operator, side, row, chain] and limits [operator, end, chain]."""
        resampling = Resampling(self.confidence, seed=self.seed)
        lower, upper = limits[:, 0], limits[:, 1]
        width = upper - lower
        wide = (width >= self.narrowest) & (width > 0)
        normalised = (area - lower[:, None, None]) / np.where(wide, width, np.nan)[:, None, None]
        dims, n_estimators = ("operator", "side"), result.sizes["estimator"]
        compared = Comparison.of_rows(normalised, n_estimators)
        estimators = [orders.estimators for orders in all_orders]
        reasons = {
            STOPPED: np.array([[is_partial(order) for order in row] for row in estimators]).T,
            NARROW: ~wide[:, None, None],
        }
        is_silent = np.array([[order is None for order in row] for row in estimators]).T
        undefined = undefined_variables(dims, compared.value, is_silent, reasons)
        return xr.Dataset(
            {
                **compared.variables(dims, resampling, bounds=SHARE),
                "area": ((*dims, "estimator", "chain"), area[..., :n_estimators, :]),
                "lower": (("operator", "chain"), lower),
                "upper": (("operator", "chain"), upper),
                "exact": ("chain", lengths <= self.exact_units),
                **{name: variable for name, variable in undefined.items() if name != "reason"},
            },
            coords={
                "operator": np.array(self.operators, dtype=object),
                "side": np.array(list(SIDES), dtype=object),
                "better": ("side", np.array(list(SIDES.values()), dtype=object)),
                "estimator": result["estimator"].variable,
                "reason": undefined["reason"],
                "draw": np.arange(self.n_uniform),
            },
            attrs={"confidence": self.confidence, "interval": INTERVAL_OF_MEANS, "measure": self.measure},
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return one table for each side and operator, beside random orders and position."""
        return naopc_tables(result, node_name=stored_name(result, self))

    def figure(self, result: xr.DataTree) -> Figure:
        """Return both sides of every estimator by each operator, beside random orders and position."""
        return draw_naopc(result, node_name=stored_name(result, self))


class _Drops:
    """How much the measure drops when units are taken away, each set of units scored once."""

    def __init__(self, scores: AnswerScores, n_units: int) -> None:
        self._scores, self._units = scores, tuple(range(n_units))

    def __call__(self, removed: Sequence[int]) -> FloatArray:
        """Return the drop of each removal set, [removal set]; a set is a whole number whose bits are the units."""
        kept: list[Units] = [tuple(unit for unit in self._units if not bits >> unit & 1) for bits in removed]
        full, *values = self._scores.score([self._units, *kept])
        return np.array(full - np.array(values))


def _order_areas(drops: _Drops, orders: Sequence[DeletionOrder | None]) -> FloatArray:
    """Return the area of each order with its most and with its least important unit first, [side, order]."""
    known = [order.units.tolist() for order in orders if order is not None]
    paths = [list(accumulate((1 << unit for unit in units), or_)) for order in known for units in (order[::-1], order)]
    means = drops([removed for path in paths for removed in path]).reshape(len(known), len(SIDES), -1).mean(axis=-1)
    areas = np.full((len(SIDES), len(orders)), np.nan)
    areas[:, [order is not None for order in orders]] = means.T
    return areas
