"""How much less likely the answer is when the most important units are replaced, positions kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tokimp.analysis.against_chance.analysis import AgainstChance, ComparedChain, Texts
from tokimp.analysis.against_chance.answer_measures import AnswerScores
from tokimp.analysis.against_chance.comparison import Comparison
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.operators import SEVERAL_OPERATORS, RequiredByOperators, make_operators
from tokimp.analysis.against_chance.orders import REFERENCES, STOPPED, silent_cells
from tokimp.analysis.faithfulness.versions import VersionTables
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import AnalysisInput
from tokimp.contracts.constraints import Number

USUAL = ("mask", "delete")


class LogOdds(AgainstChance):
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
    tie_threshold, tie_estimators
        Importances of these estimators are cut to whole multiples of so many nats towards 0 first; see
        `tokimp.results.ties.tie`. 0 cuts nothing.
    """

    name = "log_odds"
    requires = RequiredByOperators(*USUAL, replacement="mean")
    constraints = {"share": Number(0, 1), **SEVERAL_OPERATORS, **REFERENCES}
    panels = (Panel("log-odds, nats", better="low"),)

    def __init__(
        self,
        *,
        share: float = 0.2,
        operators: Sequence[str] = USUAL,
        replacement: str | int = "mean",
        n_uniform: int = 5,
        confidence: float = 0.95,
        seed: int = 0,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
    ) -> None:
        super().__init__(n_uniform, confidence, seed, tie_threshold, tie_estimators)
        self.share = share
        self.operators = operators
        self.replacement = replacement

    def _compute(self, inputs: AnalysisInput, result: xr.DataTree) -> xr.Dataset:
        """Return the node ``/analysis/log_odds``, as ``docs/schema.md`` describes it."""
        found, all_orders = self._ask(inputs, result, self._change)
        return self._compared_node(
            result,
            Comparison.of_rows(found["change"], result.sizes["estimator"]),
            {"operator": self.operators},
            "low",
            is_silent=silent_cells(all_orders),
            # Whoever says something of a chain has no value only if its deletions did not reach the border.
            reasons={STOPPED: np.array(True)},
            variables={},
            attrs={"measure": "answer"},
        )

    def _change(self, compared: ComparedChain) -> dict[str, FloatArray]:
        """Return what each order's most important units change, [operator, row], nats."""
        n_units = len(compared.chain.units)
        left = n_units - max(1, int(n_units * self.share))
        tables = VersionTables()
        tables.add("full", tuple(range(n_units)))
        tables.add("without", [order and order.least_important(left) for order in compared.orders.rows])
        versions = list(tables.versions)
        numbers = [
            AnswerScores(compared.scorer, compared.chain, operator, "answer").score(versions)
            for operator in make_operators(self.operators, self.replacement)
        ]
        measured = tables.fill(np.stack(numbers))
        return {"change": measured["without"] - measured["full"][:, None]}

    def texts(self, node: xr.Dataset) -> Texts:
        """Name the share that is replaced."""
        return Texts(
            title=f"Answer without the most important {self.share:.0%} of units",
            note="log-odds of the answer without the most important units",
        )
