"""How close an estimator's order comes to the best order of a chain, and how far it is from the worst."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import or_

import numpy as np
import xarray as xr

from tokimp.analysis.against_chance.analysis import AgainstChance, ComparedChain, Texts
from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURE, ANSWER_MEASURES, AnswerScores
from tokimp.analysis.against_chance.comparison import Comparison
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.operators import (
    SEVERAL_OPERATORS,
    USUAL_OPERATORS,
    RequiredByOperators,
    make_operators,
)
from tokimp.analysis.against_chance.orders import REFERENCES, STOPPED, ChainOrders, silent_cells, stopped_cells
from tokimp.analysis.deletion_orders import DeletionOrder, Units
from tokimp.analysis.naopc.limits import Limits, beam_limits, exact_limits
from tokimp.analysis.statistics.intervals import SHARE
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import AnalysisInput
from tokimp.contracts.constraints import Number, WholeNumber

SIDES = {"comprehensiveness": "high", "sufficiency": "low"}
NARROW = "the limits are too close to each other"


class Naopc(AgainstChance):
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
    tie_threshold, tie_estimators
        Importances of these estimators are cut to whole multiples of so many nats towards 0 first; see
        `tokimp.results.ties.tie`. 0 cuts nothing.
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
    panels = (
        Panel("comprehensiveness", {"side": "comprehensiveness"}, "high"),
        Panel("sufficiency", {"side": "sufficiency"}, "low"),
    )

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
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
    ) -> None:
        super().__init__(n_uniform, confidence, seed, tie_threshold, tie_estimators)
        self.operators = operators
        self.replacement = replacement
        self.measure = measure
        self.exact_units = exact_units
        self.beam = beam
        self.narrowest = narrowest

    def _compute(self, inputs: AnalysisInput, result: xr.DataTree) -> xr.Dataset:
        """Return the node ``/analysis/naopc``, as ``docs/schema.md`` describes it."""
        found, all_orders = self._ask(inputs, result, self._areas)
        lengths = np.array([len(chain.units) for chain in inputs.scoring.chains])
        return self._node(result, found["area"], found["limits"], all_orders, lengths)

    def _areas(self, compared: ComparedChain) -> dict[str, FloatArray]:
        """Return areas [operator, side, row] and limits [operator, end] of one chain."""
        areas, limits, n_units = [], [], len(compared.chain.units)
        for operator in make_operators(self.operators, self.replacement):
            drops = _Drops(AnswerScores(compared.scorer, compared.chain, operator, self.measure), n_units)
            # Limits first: exact ones ask about every version in one call.
            ends = self._limits(drops, n_units)
            own = _order_areas(drops, compared.orders.whole_rows)
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
        lower, upper = limits[:, 0], limits[:, 1]
        width = upper - lower
        wide = (width >= self.narrowest) & (width > 0)
        normalised = (area - lower[:, None, None]) / np.where(wide, width, np.nan)[:, None, None]
        n_estimators = result.sizes["estimator"]
        return self._compared_node(
            result,
            Comparison.of_rows(normalised, n_estimators),
            {"operator": self.operators, "side": list(SIDES)},
            ("side", list(SIDES.values())),
            is_silent=silent_cells(all_orders),
            reasons={STOPPED: stopped_cells(all_orders), NARROW: ~wide[:, None, None]},
            bounds=SHARE,
            variables={
                "area": (("operator", "side", "estimator", "chain"), area[..., :n_estimators, :]),
                "lower": (("operator", "chain"), lower),
                "upper": (("operator", "chain"), upper),
                "exact": ("chain", lengths <= self.exact_units),
            },
            attrs={"measure": self.measure},
        )

    def texts(self, node: xr.Dataset) -> Texts:
        """Name the area, the measure that it is of, and how its limits were found."""
        searched = int((~node["exact"]).sum())
        return Texts(
            title=f"Normalised area over the perturbation curve, {ANSWER_MEASURES[node.attrs['measure']]}",
            note="normalised area over the perturbation curve (0 worst order, 1 best)",
            foot=f"The limits of {searched} of them are from a beam search." if searched else "All limits are exact.",
        )


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
