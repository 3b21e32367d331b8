"""Which estimators stopped before they had deleted down to every keep ratio."""

from __future__ import annotations

import xarray as xr
from rich.markup import escape


def stopped_early(value: xr.DataArray) -> str:
    """Return the estimators that did not delete down to every keep ratio on some chain, as text for a table.

    Parameters
    ----------
    value
        Values [estimator, keep_ratio, ...]; NaN where an estimator did not delete down to the keep ratio.

    Returns
    -------
    str
        Their labels, joined by "and"; empty if every estimator has a value at all keep ratios or at none.
    """
    known = value.notnull()
    partly_known = known.any("keep_ratio") & ~known.all("keep_ratio")
    other_dims = [dim for dim in partly_known.dims if dim != "estimator"]
    labels = value["estimator"].to_numpy()[partly_known.any(other_dims).to_numpy()]
    return " and ".join(escape(str(label)) for label in labels)
