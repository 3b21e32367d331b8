"""The orders that a metric is computed for: those of the estimators, the order of places, and random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import xarray as xr

from tokimp.analysis.against_chance.comparison import BoolArray
from tokimp.analysis.deletion_orders import DeletionOrder, deletion_orders, uniform_orders
from tokimp.contracts.constraints import Constraint, Number, WholeNumber
from tokimp.results.ties import TIES

STOPPED = "the estimator stopped deleting early"
"""Why an estimator has no value on a chain: it left units that were never compared with each other."""

REFERENCES: Mapping[str, Constraint] = MappingProxyType(
    {"n_uniform": WholeNumber(1), "confidence": Number(above=0, below=1), "seed": WholeNumber(0), **TIES}
)
"""The constraints of the parameters that all analyses have which compare with random orders."""


@dataclass(frozen=True, slots=True)
class ChainOrders:
    """The orders of one chain's units.

    Attributes
    ----------
    estimators
        Each estimator's order; ``None`` if it says nothing about the chain.
    position
        The order of places: the first unit is the least important, as the estimator ``position`` has it.
    uniform
        Random orders.
    """

    estimators: tuple[DeletionOrder | None, ...]
    position: DeletionOrder
    uniform: tuple[DeletionOrder, ...]

    @property
    def references(self) -> tuple[DeletionOrder, ...]:
        """The order of places, and the random ones."""
        return (self.position, *self.uniform)

    @property
    def rows(self) -> tuple[DeletionOrder | None, ...]:
        """All orders, [row]: the estimators, position, the random ones."""
        return (*self.estimators, *self.references)

    @property
    def whole_rows(self) -> tuple[DeletionOrder | None, ...]:
        """All orders, [row]; ``None`` also for an estimator that did not put every unit in order."""
        return tuple(None if is_partial(order) else order for order in self.rows)


def chain_orders(stored: xr.Dataset, n_uniform: int, seed: int, *, by_size: bool = False) -> ChainOrders:
    """Return the orders of a chain, as `tokimp.results.by_chain.iterate` gives it.

    With `by_size`, estimators order units by their absolute importance. Random orders and ties come from a seed made of
    `seed` and the chain's id, as for the analysis ``faithfulness``: neither the order of the chains nor that of the
    estimators matters.
    """
    n_units = int(stored["unit"].max()) + 1
    return ChainOrders(
        tuple(deletion_orders(stored, seed, by_size=by_size)),
        DeletionOrder(np.arange(n_units), n_units),
        tuple(uniform_orders(str(stored["chain_id"].item()), n_units, n_uniform, seed)),
    )


def is_partial(order: DeletionOrder | None) -> bool:
    """Return whether an order leaves units that were never compared with each other."""
    # The last unit need not be compared: its place follows from the others.
    return order is not None and order.ranked < len(order.units) - 1


def silent_cells(all_orders: Sequence[ChainOrders]) -> BoolArray:
    """Return whether an estimator says nothing of a chain, [estimator, chain]."""
    return np.array([[order is None for order in orders.estimators] for orders in all_orders]).T


def stopped_cells(all_orders: Sequence[ChainOrders]) -> BoolArray:
    """Return whether an estimator left units of a chain that were never compared, [estimator, chain]."""
    return np.array([[is_partial(order) for order in orders.estimators] for orders in all_orders]).T
