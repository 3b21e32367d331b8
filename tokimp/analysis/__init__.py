"""Analyses: functions from a result to a result with one more node, whoever's estimators are in it."""

from __future__ import annotations

from typing import Any

import xarray as xr

from tokimp.errors import PluginError
from tokimp.registry import load
from tokimp.schema import validate

__all__ = ["analyze"]


def analyze(result: xr.DataTree, name: str, **options: Any) -> xr.DataTree:
    """Return a result with the node ``/analysis/<name>`` added, or made anew.

    Parameters
    ----------
    result
        A result; it is not changed.
    name
        Of the analysis: ``agreement``, the name of an installed plugin (entry point ``tokimp.analyses``), or
        ``module:function``.
    options
        Passed on to the analysis.

    Raises
    ------
    SchemaError
        If the result is not valid.
    PluginError
        If there is no such analysis, it does not take an option, or it returns no result.
    """
    analysis = load("analyses", name)
    validate(result)
    try:
        analyzed = analysis(result, **options)
    except TypeError as error:
        # An option that does not exist is the caller's mistake; any other TypeError is the analysis's own.
        if "unexpected keyword argument" not in str(error):
            raise
        raise PluginError(f"the analysis {name!r}: {error}; its options are in its docstring") from error
    if not isinstance(analyzed, xr.DataTree):
        raise PluginError(f"the analysis {name!r} returned a {type(analyzed).__name__} instead of a DataTree")
    return analyzed
