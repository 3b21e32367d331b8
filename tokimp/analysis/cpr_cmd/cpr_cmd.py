"""Whether the most important units alone do what the whole reasoning does for the answer, over all chains together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from tokimp.analysis.against_chance.analysis import AgainstChance, ComparedChain, Texts
from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURE, ANSWER_MEASURES, AnswerScores
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.operators import (
    SEVERAL_OPERATORS,
    USUAL_OPERATORS,
    RequiredByOperators,
    make_operators,
)
from tokimp.analysis.against_chance.orders import (
    REFERENCES,
    STOPPED,
    ChainOrders,
    chain_orders,
    silent_cells,
    stopped_cells,
)
from tokimp.analysis.against_chance.report import details_text
from tokimp.analysis.cpr_cmd.recovery import AREAS, Recovery
from tokimp.analysis.deletion_orders import kept_count
from tokimp.analysis.faithfulness.versions import VersionTables
from tokimp.analysis.statistics.pooled import INTERVAL_OF_POOLED
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import AnalysisInput
from tokimp.contracts.constraints import ListOf, Number
from tokimp.report import plot
from tokimp.results.analysis_nodes import analysis_node, stored_name

SHARES = tuple(round(0.05 * step, 2) for step in range(21))
BETTER = {"cpr": "high", "cmd": "low"}
NO_HELP = "the reasoning does not raise the mean of the measure enough"


class CprCmd(AgainstChance):
    r"""How much of what the reasoning does for the answer the most important units do alone (CPR and CMD of MIB).

    The measure m of the answer is averaged over the chains first: with all reasoning (N), with none of it (0), and with
    the share k of the most important units (C(k)). The recovery curve is

    .. math:: f(k) = \frac{m(C_k) - m(0)}{m(N) - m(0)}.

    - ``cpr``: the area :math:`\int f(k) dk`; high is good. It asks whether the important units do well, and may exceed
      1, since fewer units can do better than all. Units are ranked by importance.
    - ``cmd``: :math:`\int |1 - f(k)| dk`; low is good. It asks whether the important units behave like the whole
      reasoning. Units are ranked by absolute importance, since a unit that the reasoning does worse with is part of how
      it behaves.

    They are the integrated circuit performance ratio and model distance of Mueller et al., "MIB: A Mechanistic
    Interpretability Benchmark" (arXiv 2504.13151; repository hannamw/MIB-circuit-track, b759df3), with units in place
    of edges and operators in place of counterfactual patching. Areas are trapezoids over `shares`. ``int(n * k)`` units
    of n stay; in a chain of few units neighbouring shares coincide.

    The ratio is one of means, not the mean of the chains' ratios, which would blow up where the reasoning matters
    little. So there is no number for a single chain. Intervals leave out each chain in turn (jackknife). They are NaN
    where the reasoning no longer raises the measure without some chain.

    Parameters
    ----------
    shares
        Shares of units kept, ascending, at least two.
    operators
        How units are taken away: some of ``delete``, ``knockout`` and ``mask``.
    replacement
        For ``mask``: what stands in place of a token; see `tokimp.contracts.operators`.
    measure
        What of the answer is measured: ``answer`` (nats), ``answer_per_token``, ``answer_probability`` or
        ``answer_token_probability`` (the geometric mean over its tokens).
    narrowest
        The smallest mean difference between all reasoning and none at which there is a ratio, in the measure's unit.
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

    name = "cpr_cmd"
    requires = RequiredByOperators(*USUAL_OPERATORS)
    constraints = {
        "shares": ListOf(Number(0, 1), fewest=2, ascending=True),
        **SEVERAL_OPERATORS,
        "measure": ANSWER_MEASURE,
        "narrowest": Number(0),
        **REFERENCES,
    }
    panels = (Panel("CPR", {"area": "cpr"}, "high"), Panel("CMD", {"area": "cmd"}, "low"))

    def __init__(
        self,
        *,
        shares: Sequence[float] = SHARES,
        operators: Sequence[str] = USUAL_OPERATORS,
        replacement: str | int = "eos",
        measure: str = "answer",
        narrowest: float = 0.01,
        n_uniform: int = 5,
        confidence: float = 0.95,
        seed: int = 0,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
    ) -> None:
        super().__init__(n_uniform, confidence, seed, tie_threshold, tie_estimators)
        self.shares = shares
        self.operators = operators
        self.replacement = replacement
        self.measure = measure
        self.narrowest = narrowest

    def _compute(self, inputs: AnalysisInput, result: xr.DataTree) -> xr.Dataset:
        """Return the node ``/analysis/cpr_cmd``, as ``docs/schema.md`` describes it."""
        return self._node(result, *self._ask(inputs, result, self._kept))

    def _kept(self, compared: ComparedChain) -> dict[str, FloatArray]:
        """Return the measure with units kept, [operator, area, row, share], and with none and all, [operator]."""
        chain = compared.chain
        by_area = {
            "cpr": compared.orders,
            "cmd": chain_orders(compared.stored, self.n_uniform, self.seed, by_size=True),
        }
        counts = [kept_count(len(chain.units), share) for share in self.shares]
        tables = VersionTables()
        tables.add("empty", ())
        tables.add("full", tuple(range(len(chain.units))))
        rows = [
            [
                [None if order is None else order.most_important(count) for count in counts]
                for order in orders.whole_rows
            ]
            for orders in (by_area[area] for area in AREAS)
        ]
        tables.add("kept", rows)
        numbers = [
            AnswerScores(compared.scorer, chain, operator, self.measure).score(list(tables.versions))
            for operator in make_operators(self.operators, self.replacement)
        ]
        return tables.fill(np.stack(numbers))

    def _node(
        self, result: xr.DataTree, arrays: dict[str, FloatArray], all_orders: Sequence[ChainOrders]
    ) -> xr.Dataset:
        """Return the node from the arrays of `_kept`, stacked along a last dimension, the chains."""
        kept, n_estimators = arrays["kept"], result.sizes["estimator"]
        is_silent, stopped = silent_cells(all_orders), stopped_cells(all_orders)
        shape = (len(self.operators), len(AREAS), n_estimators)
        numbers = {name: np.full(shape, np.nan) for name in _NUMBERS}
        draws = np.full((*shape, self.n_uniform), np.nan)
        curves = np.full((*shape, len(self.shares)), np.nan)
        used, helpless = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        shares = np.array(self.shares, dtype=np.float64)
        for where in np.ndindex(*shape):
            operator, area, row = where
            known = ~(is_silent[row] | stopped[row])
            recovery = Recovery(shares, arrays["empty"][operator, known], arrays["full"][operator, known])
            if not known.any() or (recovery.full - recovery.empty).mean() < max(self.narrowest, 1e-12):
                helpless[where] = known.sum()
                continue
            used[where] = known.sum()
            rows = kept[operator, area][:, :, known]
            own, position, uniform = rows[row], rows[n_estimators], rows[n_estimators + 1 :]
            for name, number in self._compare(recovery, AREAS[area], own, position, uniform).items():
                numbers[name][where] = number
            together = np.ones((1, int(known.sum())))
            draws[where] = [recovery.areas(draw, together)[area, 0] for draw in uniform]
            curves[where] = recovery.curve(own, together)[0]
        everything = self._of_all_chains(arrays, shares, n_estimators)
        dims = ("operator", "area", "estimator")
        return xr.Dataset(
            {
                **{name: (dims, values) for name, values in numbers.items()},
                "chains_used": (dims, used),
                "uniform_mean": (dims, draws.mean(axis=-1)),
                "uniform_low": (dims, draws.min(axis=-1)),
                "uniform_high": (dims, draws.max(axis=-1)),
                "curve": ((*dims, "share"), curves),
                **everything,
                "kept": ((*dims, "share", "chain"), kept[:, :, :n_estimators]),
                "empty": (("operator", "chain"), arrays["empty"]),
                "full": (("operator", "chain"), arrays["full"]),
                "chains_absent": ("estimator", is_silent.sum(axis=-1)),
                "undefined": (
                    ("reason", *dims),
                    np.stack([np.broadcast_to((stopped & ~is_silent).sum(axis=-1), shape), helpless]),
                ),
            },
            coords={
                "operator": np.array(self.operators, dtype=object),
                "area": np.array(AREAS, dtype=object),
                "better": ("area", np.array([BETTER[area] for area in AREAS], dtype=object)),
                "estimator": result["estimator"].variable,
                "share": shares,
                "reason": np.array([STOPPED, NO_HELP], dtype=object),
                "draw": np.arange(self.n_uniform),
            },
            attrs={
                "confidence": self.confidence,
                "interval": INTERVAL_OF_POOLED,
                "measure": self.measure,
            },
        )

    def _compare(
        self, recovery: Recovery, area: str, own: FloatArray, position: FloatArray, uniform: FloatArray
    ) -> dict[str, float]:
        """Return one estimator's area and its differences from both references, with the ends of their intervals."""
        found = {
            "": recovery.difference(area, own, (), self.confidence),
            "above_uniform_": recovery.difference(area, own, list(uniform), self.confidence),
            "above_position_": recovery.difference(area, own, [position], self.confidence),
        }
        numbers = {
            f"{prefix}{end}": getattr(number.interval, end)
            for prefix, number in found.items()
            for end in ("mean", "low", "high")
        }
        numbers |= {f"{prefix}p": number.p_value for prefix, number in found.items() if prefix}
        return numbers | {"position_mean": numbers["mean"] - numbers["above_position_mean"]}

    def _of_all_chains(self, arrays: dict[str, FloatArray], shares: FloatArray, n_estimators: int) -> dict[str, Any]:
        """Return areas and curves of position and of random orders, over all chains."""
        n_chains = arrays["full"].shape[-1]
        together = np.ones((1, n_chains))
        n_rows = 1 + self.n_uniform
        areas = np.full((len(self.operators), len(AREAS), n_rows), np.nan)
        curves = np.full((len(self.operators), n_rows, len(shares)), np.nan)
        for operator in range(len(self.operators)):
            recovery = Recovery(shares, arrays["empty"][operator], arrays["full"][operator])
            if (recovery.full - recovery.empty).mean() < max(self.narrowest, 1e-12):
                continue
            for index in range(n_rows):
                # Random orders and position are the same for both areas.
                kept = arrays["kept"][operator, 0, n_estimators + index]
                areas[operator, :, index] = recovery.areas(kept, together)[:, 0]
                curves[operator, index] = recovery.curve(kept, together)[0]
        return {
            "position_value": (("operator", "area"), areas[..., 0]),
            "uniform_value": (("operator", "area", "draw"), areas[..., 1:]),
            "position_curve": (("operator", "share"), curves[:, 0]),
            "uniform_curve": (("operator", "draw", "share"), curves[:, 1:]),
        }

    def texts(self, node: xr.Dataset) -> Texts:
        """Name what is recovered, and the measure."""
        note = "Recovery by the most important units"
        foot = "CPR and CMD are of the means of all chains, so that a chain alone has none."
        return Texts(f"{note}, {ANSWER_MEASURES[node.attrs['measure']]}", note, foot)

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the recovery curves of every estimator and operator: by importance, and by absolute importance.

        The grey band spans random orders, the dotted line is position, and the thin line at 1 is the whole reasoning.

        Raises
        ------
        SchemaError
            If the analysis has not been run.
        """
        node = analysis_node(result, stored_name(result, self))
        return plot.recovery_curves(node, self.texts(node).note, details_text(result, node)).figure


_NUMBERS = (
    *("mean", "low", "high"),
    *("above_uniform_mean", "above_uniform_low", "above_uniform_high", "above_uniform_p"),
    *("above_position_mean", "above_position_low", "above_position_high", "above_position_p"),
    "position_mean",
)
