"""What all analyses share whose numbers stand beside those of random orders and of position."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.comparison import BoolArray, Comparison, undefined_variables
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.orders import ChainOrders, chain_orders
from tokimp.analysis.against_chance.report import comparison_tables, draw_comparison
from tokimp.analysis.statistics.intervals import INTERVAL_OF_MEANS, UNBOUNDED
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.scorer import Scorer
from tokimp.report.ties_text import ties_of
from tokimp.results.analysis_nodes import analysis_node, stored_name
from tokimp.results.by_chain import iterate
from tokimp.results.ties import tie, tie_attributes, tie_variables


@dataclass(frozen=True, slots=True)
class ComparedChain:
    """A chain that the model is asked about in several orders.

    Attributes
    ----------
    scorer
        The model.
    chain
        The chain as ids.
    stored
        What the result says of it, as `tokimp.results.by_chain.iterate` gives it.
    orders
        The orders of its units.
    """

    scorer: Scorer
    chain: TokenizedChain
    stored: xr.Dataset
    orders: ChainOrders


@dataclass(frozen=True, slots=True)
class Texts:
    """What tables and figure say of the numbers.

    Attributes
    ----------
    title
        What the numbers are, for the headings of tables.
    note
        What they are, for the heading of the figure.
    foot
        Said below the first table.
    """

    title: str
    note: str
    foot: str = ""


class AgainstChance(Analysis):
    """An analysis with a number of each estimator on each chain, beside that of random orders and of position.

    A subclass declares what its tables and its figure show, `panels`, and what they say, `texts`, and computes its node
    of a result whose ties are made already, `_compute`.

    Parameters
    ----------
    n_uniform
        Number of random orders of each chain; at least 1.
    confidence
        Confidence of the intervals over chains.
    seed
        Seed of random orders and ties.
    tie_threshold, tie_estimators
        Importances of these estimators are cut to whole multiples of so many nats towards 0 first; see
        `tokimp.results.ties.tie`. 0 cuts nothing.

    Attributes
    ----------
    panels
        The numbers that are shown.
    """

    panels: ClassVar[Sequence[Panel]]

    def __init__(
        self, n_uniform: int, confidence: float, seed: int, tie_threshold: float, tie_estimators: Sequence[str]
    ) -> None:
        self.n_uniform = n_uniform
        self.confidence = confidence
        self.seed = seed
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node of the analysis, as ``docs/schema.md`` describes it.

        Raises
        ------
        SchemaError, EstimatorError
            If importances cannot be tied (`tokimp.results.ties.tie`).
        """
        result = tie(inputs.result, self.tie_threshold, self.tie_estimators)
        node = self._compute(inputs, result).assign(tie_variables(result))
        return node.assign_attrs(tie_attributes(self.tie_threshold, self.tie_estimators))

    @abstractmethod
    def _compute(self, inputs: AnalysisInput, result: xr.DataTree) -> xr.Dataset:
        """Return the node; `result` is that of the inputs, with ties."""

    @abstractmethod
    def texts(self, node: xr.Dataset) -> Texts:
        """Return what is said of the numbers of a node."""

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return a table for each number and operator: every estimator, beside random orders and position.

        Raises
        ------
        SchemaError
            If the analysis has not been run.
        """
        node = analysis_node(result, stored_name(result, self))
        texts = self.texts(node)
        ties = ties_of(node)
        feet = [texts.foot, f"{ties[:1].upper()}{ties[1:]}." if ties else ""]
        return comparison_tables(node, texts.title, self.panels, " ".join(foot for foot in feet if foot))

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the numbers of every estimator by each operator, beside random orders and position.

        Raises
        ------
        SchemaError
            If the analysis has not been run.
        """
        node = analysis_node(result, stored_name(result, self))
        return draw_comparison(result, node, self.panels, self.texts(node).note)

    def _ask(
        self, inputs: AnalysisInput, result: xr.DataTree, find: Callable[[ComparedChain], dict[str, FloatArray]]
    ) -> tuple[dict[str, FloatArray], list[ChainOrders]]:
        """Return what `find` finds out of each chain, [..., chain], by its name, and the orders, [chain]."""
        scoring = inputs.scoring
        found, all_orders = [], []
        for index, (chain, (_, stored)) in enumerate(zip(scoring.chains, iterate(result), strict=True)):
            orders = chain_orders(stored, self.n_uniform, self.seed)
            found.append(inputs.keep(index, partial(find, ComparedChain(scoring.scorer, chain, stored, orders))))
            all_orders.append(orders)
            inputs.report(index + 1, len(scoring.chains), chain.id, self.name)
        return {name: np.stack([chain[name] for chain in found], axis=-1) for name in found[0]}, all_orders

    def _compared_node(
        self,
        result: xr.DataTree,
        compared: Comparison,
        coordinates: Mapping[str, Sequence[str]],
        better: str | tuple[str, list[str]],
        *,
        is_silent: BoolArray,
        reasons: Mapping[str, BoolArray],
        bounds: tuple[float, float] = UNBOUNDED,
        variables: Mapping[str, Any],
        attrs: Mapping[str, Any],
    ) -> xr.Dataset:
        """Return the node of an analysis.

        Parameters
        ----------
        result
            The result.
        compared
            The numbers.
        coordinates
            The dimensions before the last two of the numbers, with their coordinates.
        better
            Which values are good, ``high`` or ``low``: one text, or a dimension with a text for each coordinate.
        is_silent, reasons
            As of `undefined_variables`.
        bounds
            As of `Comparison.variables`.
        variables, attrs
            What else the node has.
        """
        dims = tuple(coordinates)
        undefined = undefined_variables(dims, compared.value, is_silent, reasons)
        reason = undefined.pop("reason")
        return xr.Dataset(
            {**compared.variables(dims, self.confidence, bounds=bounds), **variables, **undefined},
            coords={
                **{name: np.array(list(texts), dtype=object) for name, texts in coordinates.items()},
                "better": better if isinstance(better, str) else (better[0], np.array(better[1], dtype=object)),
                "estimator": result["estimator"].variable,
                "reason": reason,
                "draw": np.arange(self.n_uniform),
            },
            attrs={"confidence": self.confidence, "interval": INTERVAL_OF_MEANS, **attrs},
        )
