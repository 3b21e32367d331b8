"""How the likelihoods change as each estimator's least important, or most important, units are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from rich.table import Table
from scipy.integrate import trapezoid

from tokimp.analysis.deletion_orders import (
    KEEP_RATIOS,
    DeletionOrder,
    Units,
    deletion_orders,
    kept_count,
    uniform_orders,
)
from tokimp.analysis.faithfulness.measures import Measures
from tokimp.analysis.faithfulness.report import curve_table, faithfulness_table
from tokimp.analysis.faithfulness.versions import VersionTables
from tokimp.analysis.statistics.intervals import CONFIDENCE, INTERVAL_OF_MEANS, mean_variables
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, WholeNumber
from tokimp.contracts.operators import OPERATOR_CONSTRAINTS, RequiredByOperator, make_operator
from tokimp.contracts.scorer import Capability
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate
from tokimp.results.ties import TIES, tie, tie_attributes, tie_variables

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure

CURVES = ("least_first", "most_first")
# The bins of DeYoung et al. (2020), section 4.2.
RATIONALE_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


class Faithfulness(Analysis):
    r"""Whether the likelihoods depend on the units that an estimator calls important.

    The model of the run scores every version of a chain on its ids: positions close up, and nothing is tokenised again.
    There are two curves over the keep ratio for each estimator and chain:

    - ``least_first``: the least important units are deleted first. Read from the left, units are inserted, the most
      important first (the insertion curve of Petsiuk et al. 2018). High is good.
    - ``most_first``: the most important units are deleted first (their deletion curve). Low is good.

    Each curve is given in these measures:

    - ``answer``: log P(answer | prompt, what is kept), nats;
    - ``answer_probability``: its exponential;
    - ``answer_per_token``: ``answer`` divided by the number of the answer's tokens, which are the same all along;
    - ``joint``: log P(what is kept, answer | prompt), nats. A shorter text is more likely whatever it says;
    - ``joint_per_token``: ``joint`` divided by the number of tokens it is a sum over. The fewer units are kept, the
      more of these tokens are the answer's;
    - the run's objective, if it is none of these.

    The last three may be about other tokens at each keep ratio. Their values at different ratios must not be compared;
    at one ratio all estimators keep equally many units. ``comparable`` says which measures are about the same tokens
    all along. Only these have what puts different ratios together, as follows; for others it is NaN.

    The area under a curve is a mean height (trapezoids, divided by the width). The gain is its difference from the mean
    area of random orders of the same chain. Comprehensiveness and sufficiency (DeYoung et al. 2020, equations 1 and 2)
    take the `rationale_shares` most important units as the rationale (``int(n * share)`` units, at least one), and are
    averaged over the shares. Comprehensiveness is :math:`m(x) - m(x \setminus r)`, high is good; sufficiency is
    :math:`m(x) - m(r)`, low is good.

    Units that tie are deleted in random order. The value is NaN where an estimator says nothing about a chain, or
    stopped deleting before a ratio. Means are over the chains that have a value, with their intervals
    (`tokimp.analysis.statistics.intervals.mean_interval`).

    Parameters
    ----------
    keep_ratios
        Shares of units kept, ascending, at least two; ``int(n * ratio)`` units stay.
    rationale_shares
        Shares of units that count as the rationale.
    n_uniform
        Number of random orders of each chain; at least 1.
    operator
        How units are taken away: ``delete``, ``knockout`` or ``mask``. The last two keep positions, so that what comes
        from moving tokens can be told from what comes from losing their content. With ``knockout`` the tokens taken
        away stay in joint sums, which are then comparable too.
    replacement
        For ``mask``: what stands in place of a token; see `tokimp.contracts.operators`.
    tie_threshold
        Units that matter less than this tie (`tokimp.results.ties.tie`); nats. 0 leaves importances as they are.
    tie_estimators
        Labels or names of the estimators whose importances are in nats, and so have the threshold.
    confidence
        Settings of the intervals.
    seed
        Seed of random orders, and ties.
    """

    name = "faithfulness"
    requires = RequiredByOperator(Capability.LOGPROBS)
    constraints = {
        "keep_ratios": ListOf(Number(0, 1), fewest=2, ascending=True),
        "rationale_shares": ListOf(Number(0, 1), fewest=1, ascending=True),
        "n_uniform": WholeNumber(1),
        **OPERATOR_CONSTRAINTS,
        **TIES,
        **CONFIDENCE,
        "seed": WholeNumber(0),
    }

    def __init__(
        self,
        *,
        keep_ratios: Sequence[float] = KEEP_RATIOS,
        rationale_shares: Sequence[float] = RATIONALE_SHARES,
        n_uniform: int = 5,
        operator: str = "delete",
        replacement: str | int = "eos",
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.keep_ratios = keep_ratios
        self.rationale_shares = rationale_shares
        self.n_uniform = n_uniform
        self.operator = operator
        self.replacement = replacement
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence
        self.seed = seed

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/faithfulness``, as ``docs/schema.md`` describes it."""
        scoring = inputs.scoring
        result = tie(inputs.result, self.tie_threshold, self.tie_estimators)
        measures = Measures(scoring.objective, make_operator(self.operator, self.replacement))
        tables_by_chain = []
        for index, (chain, (_, stored)) in enumerate(zip(scoring.chains, iterate(result), strict=True)):
            uniform = uniform_orders(chain.id, len(chain.units), self.n_uniform, self.seed)
            tables = self._tables(len(chain.units), deletion_orders(stored, self.seed), uniform)

            def score(chain: TokenizedChain = chain, tables: VersionTables = tables) -> dict[str, FloatArray]:
                return {"numbers": measures.score(scoring.scorer, chain, tables.versions)}

            tables_by_chain.append(tables.fill(inputs.keep(index, score)["numbers"]))
            inputs.report(index + 1, len(scoring.chains), chain.id, "faithfulness")
        names = tables_by_chain[0]
        stacked = {name: np.stack([tables[name] for tables in tables_by_chain], axis=-1) for name in names}
        return self._node(result, measures, stacked)

    def _tables(
        self, n_units: int, orders: Sequence[DeletionOrder | None], uniform: Sequence[DeletionOrder]
    ) -> VersionTables:
        """Return the versions of a chain that have to be scored, in the tables from which `_node` is computed."""
        tables = VersionTables()
        counts = [kept_count(n_units, ratio) for ratio in self.keep_ratios]
        rationales = [max(1, int(n_units * share)) for share in self.rationale_shares]
        # The two ends of a random order are equally random, so one curve is enough.
        tables.add("uniform_value", [[order.most_important(count) for count in counts] for order in uniform])
        tables.add("full", [tuple(range(n_units))])
        sides = (_most_important, _least_important)
        tables.add("value", [[[side(order, count) for count in counts] for order in orders] for side in sides])
        for prefix, rows in (("", list(orders)), ("uniform_", list(uniform))):
            tables.add(f"{prefix}without", [[_least_important(row, n_units - k) for k in rationales] for row in rows])
            tables.add(f"{prefix}alone", [[_most_important(row, k) for k in rationales] for row in rows])
        return tables

    def _node(self, result: xr.DataTree, measures: Measures, tables: dict[str, FloatArray]) -> xr.Dataset:
        """Return the node from the tables of `_tables`, filled and stacked along a last dimension, the chains."""
        curve, estimator = ("measure", "curve", "estimator"), ("measure", "estimator")
        values = tables["value"]
        # What is about other tokens at each keep ratio has no mean over keep ratios, and no whole to compare with.
        comparable = np.array(measures.comparable)
        area, uniform_area = (
            np.where(comparable.reshape(-1, *[1] * (curves.ndim - 2)), self._area(curves), np.nan)
            for curves in (values, tables["uniform_value"])
        )
        gain = area - uniform_area.mean(axis=1)[:, None, None]
        variables: dict[str, Any] = {
            "value": ((*curve, "keep_ratio", "chain"), values),
            **tie_variables(result),
            **mean_variables((*curve, "keep_ratio"), values, self.confidence),
            "chains_used": (("curve", "estimator", "keep_ratio"), (~np.isnan(values[0])).sum(axis=-1)),
            "area": ((*curve, "chain"), area),
            **mean_variables(curve, area, self.confidence, "area_"),
            "gain": ((*curve, "chain"), gain),
            **mean_variables(curve, gain, self.confidence, "gain_"),
            "uniform_value": (("measure", "draw", "keep_ratio", "chain"), tables["uniform_value"]),
            **_band("uniform_", ("measure", "keep_ratio"), tables["uniform_value"]),
            "uniform_area": (("measure", "draw", "chain"), uniform_area),
            **_band("uniform_area_", ("measure",), uniform_area),
        }
        whole = np.where(comparable[:, None], tables["full"][:, 0], np.nan)[:, None, None]
        for name, part in (("comprehensiveness", "without"), ("sufficiency", "alone")):
            drop, uniform_drop = whole - tables[part], whole - tables[f"uniform_{part}"]
            variables |= {
                name: ((*estimator, "share", "chain"), drop),
                **mean_variables(estimator, drop.mean(axis=-2), self.confidence, f"{name}_"),
                f"uniform_{name}": (("measure", "draw", "share", "chain"), uniform_drop),
                **_band(f"uniform_{name}_", ("measure",), uniform_drop.mean(axis=-2)),
            }
        return xr.Dataset(
            variables,
            coords={
                "measure": np.array(measures.names, dtype=object),
                "comparable": ("measure", comparable),
                "curve": np.array(CURVES, dtype=object),
                "estimator": result["estimator"].variable,
                "keep_ratio": np.array(self.keep_ratios, dtype=np.float64),
                "share": np.array(self.rationale_shares, dtype=np.float64),
                "draw": np.arange(self.n_uniform),
            },
            attrs={
                "confidence": self.confidence,
                "seed": self.seed,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
                "n_uniform": self.n_uniform,
                "interval": INTERVAL_OF_MEANS,
                # Results of deletion are as they were before there were other operators.
                **({} if self.operator == "delete" else {"operator": self.operator}),
            },
        )

    def _area(self, values: FloatArray) -> FloatArray:
        """Return the mean height, [..., chain], of curves, [..., keep_ratio, chain]."""
        width = self.keep_ratios[-1] - self.keep_ratios[0]
        area: FloatArray = trapezoid(values, self.keep_ratios, axis=-2) / width
        return area

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return areas, comprehensiveness and sufficiency on the answer, and the joint curves at some keep ratios."""
        name = stored_name(result, self)
        return [faithfulness_table(result, "answer", node_name=name), curve_table(result, node_name=name)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the areas and both curves of every estimator on the answer, with the band of random orders."""
        return plot.faithfulness_figure(result, node_name=stored_name(result, self))


def _most_important(order: DeletionOrder | None, count: int) -> Units | None:
    return None if order is None else order.most_important(count)


def _least_important(order: DeletionOrder | None, count: int) -> Units | None:
    return None if order is None else order.least_important(count)


def _band(prefix: str, dims: tuple[str, ...], values: FloatArray) -> dict[str, Any]:
    """Return the mean over chains of each draw, [measure, draw, ..., chain], as mean, lowest and highest over draws."""
    means = values.mean(axis=-1)
    ends = {"mean": means.mean(axis=1), "low": means.min(axis=1), "high": means.max(axis=1)}
    return {f"{prefix}{name}": (dims, numbers) for name, numbers in ends.items()}
