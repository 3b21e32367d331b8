"""Parts of a result: some of its chains, some of its estimators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tokimp.errors import EstimatorError, SchemaError
from tokimp.results.by_chain import chain_ids, select
from tokimp.results.effects_node import add_effects, read_effects

Places = int | Sequence[int] | slice


def estimator_label(result: xr.DataTree | xr.Dataset, name: str) -> str:
    """Return the label of the estimator that a name stands for: the label itself, or the only one of that estimator.

    Parameters
    ----------
    result
        A result, or one chain's part of it.
    name
        A label (``greedy:keep_ratio=0.7``), or what stands before the colon of just one.

    Raises
    ------
    EstimatorError
        If there is none, or if there are several with other parameters.

    Examples
    --------
    >>> from tokimp.testing.toy_result import toy_result
    >>> estimator_label(toy_result({"greedy:keep_ratio=0.7": [[1, 2]]}), "greedy")
    'greedy:keep_ratio=0.7'
    """
    labels = [str(label) for label in result["estimator"].to_numpy()]
    if name in labels:
        return name
    named = [label for label in labels if label.partition(":")[0] == name]
    if len(named) == 1:
        return named[0]
    if named:
        raise EstimatorError(
            f"{name!r} stands for several estimators of the result: {', '.join(named)}; name one whole"
        )
    raise EstimatorError(f"there is no estimator {name!r} in the result; there are {', '.join(labels)}")


def sel(
    result: xr.DataTree, *, chain: str | Sequence[str] | None = None, estimator: str | Sequence[str] | None = None
) -> xr.DataTree:
    """Return a result of some chains and estimators, by name, in the order of the names.

    Analyses are left out, because they are about all chains and estimators of a result.

    Parameters
    ----------
    result
        A result.
    chain
        One id, or several; all chains by default.
    estimator
        One label or name (``greedy`` for the only ``greedy:keep_ratio=0.7``), or several; all by default.

    Raises
    ------
    SchemaError
        If there is no such chain, or a name is given twice.
    EstimatorError
        If there is no such estimator, or several have the name.
    """
    ids = chain_ids(result) if chain is None else [chain] if isinstance(chain, str) else list(chain)
    labels = [str(label) for label in result["estimator"].to_numpy()]
    if estimator is not None:
        names = [estimator] if isinstance(estimator, str) else list(estimator)
        labels = [estimator_label(result, name) for name in names]
    if not labels or len(set(labels)) != len(labels):
        raise SchemaError(f"the estimators to select must be at least one, and differ; these are {labels}")
    part = select(result, ids)
    selected = xr.DataTree(part.to_dataset().sel(estimator=labels))
    # The node of effects belongs to the numbers, not to the analyses.
    add_effects(selected, read_effects(part))
    return selected


def isel(result: xr.DataTree, *, chain: Places | None = None, estimator: Places | None = None) -> xr.DataTree:
    """Return a result of some chains and estimators, by their places.

    Parameters
    ----------
    result
        A result.
    chain, estimator
        A place, several, or a slice; negative ones count from the end. All by default.

    Raises
    ------
    SchemaError
        If there is no such place, or it is given twice.
    """
    labels = [str(label) for label in result["estimator"].to_numpy()]
    return sel(
        result,
        chain=None if chain is None else _named(chain_ids(result), chain, "chain"),
        estimator=None if estimator is None else _named(labels, estimator, "estimator"),
    )


def _named(names: Sequence[str], places: Places, what: str) -> list[str]:
    try:
        picked = np.arange(len(names))[[places] if isinstance(places, int | np.integer) else places]
    except IndexError as error:
        raise SchemaError(f"there is no {what} {places!r}: the result has {len(names)}, from 0") from error
    return [names[place] for place in picked]
