"""A chain's effects in a result, as a labelled matrix."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tokimp.errors import EstimatorError
from tokimp.results.by_chain import one_chain, unit_texts
from tokimp.results.effects_node import read_effects
from tokimp.results.effects_schema import effect_labels
from tokimp.results.selection import estimator_label


def effects(result: xr.DataTree, chain_id: str, estimator: str) -> xr.DataArray:
    """Return what each unit of a chain does to each later one, by an estimator that says so.

    Parameters
    ----------
    result
        A result.
    chain_id
        The id of the chain.
    estimator
        The label or name of the estimator, as for `tokimp.top_units`.

    Returns
    -------
    xarray.DataArray
        [source, target], float32, nats: the log-probability that the target unit loses when the source unit is taken
        away; 0 where the target is not after the source. Coordinates: the units' indices ``source`` and ``target``,
        their texts ``source_text`` and ``target_text``, and ``on_answer`` [source], what the answer loses (NaN if the
        estimator does not say).

    Raises
    ------
    SchemaError
        If there is no such chain.
    EstimatorError
        If the estimator is not there, or says nothing about effects on the chain; the message lists those that do.
    """
    chain = one_chain(result, chain_id)
    label = estimator_label(result, estimator)
    found = read_effects(result, [chain_id]).get((label, chain_id))
    if found is None:
        known = effect_labels(result)
        raise EstimatorError(
            f"the estimator {label!r} says nothing about effects of units on units in chain {chain_id!r}; "
            + (f"those that do are {', '.join(known)}" if known else "compare with leave_one_out:effects=true, say")
        )
    texts = unit_texts(chain)
    units = np.arange(len(texts))
    return xr.DataArray(
        found.matrix(),
        dims=("source", "target"),
        coords={
            "source": units,
            "target": units,
            "source_text": ("source", texts),
            "target_text": ("target", texts),
            "on_answer": ("source", found.on_answer),
        },
        name="effect",
        attrs={"units": "nats", "chain_id": chain_id, "estimator": label},
    )
