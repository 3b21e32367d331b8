"""How much less likely the answer is when the most important units are replaced, positions kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import AnswerScores
from tokimp.analysis.against_chance.comparison import Comparison, undefined_variables
from tokimp.analysis.against_chance.operators import SEVERAL_OPERATORS, RequiredByOperators, make_operators
from tokimp.analysis.against_chance.orders import REFERENCES, STOPPED, ChainOrders, chain_orders
from tokimp.analysis.faithfulness.versions import VersionTables
from tokimp.analysis.log_odds.report import draw_log_odds, log_odds_tables
from tokimp.analysis.statistics.intervals import INTERVAL_OF_MEANS, Resampling
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import Number
from tokimp.contracts.scorer import Scorer
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate

USUAL = ("mask", "delete")


class LogOdds(Analysis):
    """log P(answer) without the most important units, minus that of the full chain, nats; low is good.

    By default the units' embeddings are replaced by the mean embedding of the chain's reasoning, and positions stay, as
    in the repository INK-USC/DIG (d05f6dd); by deletion it is comprehensiveness at one share with the other sign.
    ``int(n * share)`` of n units are replaced, at least one.

    Parameters
    ----------
    share
        Share of units that are replaced.
    operators
        How units are taken away: some of ``mask``, ``delete`` and ``knockout``.
    replacement
        For ``mask``: what stands in place of a token; see `tokimp.contracts.operators`.
    n_uniform
        Number of random orders of each chain; at least 1.
    confidence
        Confidence of the intervals over chains.
    seed
        Seed of random orders and ties.
    """

    name = "log_odds"
    requires = RequiredByOperators(*USUAL, replacement="mean")
    constraints = {"share": Number(0, 1), **SEVERAL_OPERATORS, **REFERENCES}

    def __init__(
        self,
        *,
        share: float = 0.2,
        operators: Sequence[str] = USUAL,
        replacement: str | int = "mean",
        n_uniform: int = 5,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.share = share
        self.operators = operators
        self.replacement = replacement
        self.n_uniform = n_uniform
        self.confidence = confidence
        self.seed = seed

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/log_odds``, as ``docs/schema.md`` describes it."""
        scoring = inputs.scoring
        changes, all_orders = [], []
        for index, (chain, (_, stored)) in enumerate(zip(scoring.chains, iterate(inputs.result), strict=True)):
            orders = chain_orders(stored, self.n_uniform, self.seed)

            def change(chain: TokenizedChain = chain, orders: ChainOrders = orders) -> dict[str, FloatArray]:
                return {"change": self._change(scoring.scorer, chain, orders)}

            changes.append(inputs.keep(index, change)["change"])
            all_orders.append(orders)
            inputs.report(index + 1, len(scoring.chains), chain.id, self.name)
        return self._node(inputs.result, np.stack(changes, axis=-1), all_orders)

    def _change(self, scorer: Scorer, chain: TokenizedChain, orders: ChainOrders) -> FloatArray:
        """Return what each order's most important units change, [operator, row], nats."""
        n_units = len(chain.units)
        left = n_units - max(1, int(n_units * self.share))
        tables = VersionTables()
        tables.add("full", tuple(range(n_units)))
        tables.add("without", [order and order.least_important(left) for order in orders.rows])
        versions = list(tables.versions)
        numbers = [
            AnswerScores(scorer, chain, operator, "answer").score(versions)
            for operator in make_operators(self.operators, self.replacement)
        ]
        measured = tables.fill(np.stack(numbers))
        change: FloatArray = measured["without"] - measured["full"][:, None]
        return change

    def _node(self, result: xr.DataTree, changes: FloatArray, all_orders: Sequence[ChainOrders]) -> xr.Dataset:
        """Return the node from changes, [operator, row, chain]."""
        dims, n_estimators = ("operator",), result.sizes["estimator"]
        compared = Comparison.of_rows(changes, n_estimators)
        is_silent = np.array([[order is None for order in orders.estimators] for orders in all_orders]).T
        # Whoever says something of a chain has no value only if its deletions did not reach the border.
        undefined = undefined_variables(dims, compared.value, is_silent, {STOPPED: np.array(True)})
        return xr.Dataset(
            {
                **compared.variables(dims, Resampling(self.confidence, seed=self.seed)),
                **{name: variable for name, variable in undefined.items() if name != "reason"},
            },
            coords={
                "operator": np.array(self.operators, dtype=object),
                "better": "low",
                "estimator": result["estimator"].variable,
                "reason": undefined["reason"],
                "draw": np.arange(self.n_uniform),
            },
            attrs={"confidence": self.confidence, "interval": INTERVAL_OF_MEANS, "measure": "answer"},
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return one table for each operator, beside random orders and position."""
        return log_odds_tables(result, self.share, node_name=stored_name(result, self))

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the changes by each operator, beside random orders and position."""
        return draw_log_odds(result, node_name=stored_name(result, self))
