"""The nodes that analyses add to a result: what they are called, and how they are found again."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from difflib import get_close_matches
from typing import Any

import xarray as xr

from tokimp.contracts.analysis import Analysis
from tokimp.errors import SchemaError
from tokimp.results.provenance import plain_parameters

_LONGEST = 100  # characters of a name; a file system allows 255 bytes, and figures add endings to it
# What every file system and format allows in the name of a file or node, and no shell reads as anything else.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.=,+-]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def node_name(analysis: Analysis) -> str:
    """Return what the node of an analysis is called: ``NAME``, or ``NAME,parameter=value,...``.

    The parameters that differ from their defaults stand in the name, so the nodes of several settings stand side by
    side. The name fits netCDF, Zarr and file systems: other characters than letters, digits and ``_.=,+-`` become a
    hyphen. A name that lost characters, or was too long, ends in a digest of the settings, so that different settings
    have different names. The node's attribute ``parameters`` holds them whole.

    Examples
    --------
    >>> from tokimp.analysis.agreement.within import AgreementWithin
    >>> node_name(AgreementWithin())
    'agreement_within'
    >>> node_name(AgreementWithin(by="position", bands=4))
    'agreement_within,by=position,bands=4'
    """
    defaults = _defaults(analysis)
    changed = {
        parameter: value
        for parameter, value in plain_parameters(analysis.parameters()).items()
        if parameter not in defaults or value != defaults[parameter]
    }
    # The address of a Python object is another one in every process, and says nothing about a setting.
    written = [_ADDRESS.sub("", f"{parameter}={_text(value)}") for parameter, value in changed.items()]
    whole = ",".join([analysis.name, *written])
    safe = _UNSAFE.sub("-", whole)
    # Some systems drop a full stop at the end of a name.
    if safe == whole and len(whole) <= _LONGEST and not whole.endswith("."):
        return whole
    digest = hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{safe[: _LONGEST - 9].rstrip('-.,')}-{digest}"


def node_names(result: xr.DataTree, analysis_name: str) -> list[str]:
    """Return the names of the nodes that an analysis has in a result, one for each of its settings."""
    if "analysis" not in result.children:
        return []
    return [name for name in result["analysis"].children if name.partition(",")[0] == analysis_name]


def stored_name(result: xr.DataTree, analysis: Analysis) -> str:
    """Return the name of the node that an analysis with these settings has in a result.

    tokimp 0.1.0 called a node ``NAME`` whatever the settings were; such a node is found by the parameters that it
    holds. An analysis with its default settings also finds the only node that there is of it.

    Raises
    ------
    SchemaError
        If the analysis has not been run on the result with these settings.
    """
    name = node_name(analysis)
    names = node_names(result, analysis.name)
    if name in names:
        return name
    parameters = plain_parameters(analysis.parameters())
    for stored in names:
        if stored_parameters(result, stored, analysis) == parameters:
            return stored
    if name == analysis.name and len(names) == 1:
        return names[0]
    raise _missing(name, names)


def analysis_node(result: xr.DataTree, name: str) -> xr.Dataset:
    """Return a node that an analysis added to a result.

    Parameters
    ----------
    result
        A result.
    name
        What the node is called (`node_name`). The plain name of an analysis also stands for the only node that there
        is of it.

    Raises
    ------
    SchemaError
        If there is no such node.
    """
    names = node_names(result, name.partition(",")[0])
    if name not in names:
        known = list(result["analysis"].children) if "analysis" in result.children else []
        # Near enough to be a slip of the pen: agreement_within is none of agreement.
        if not names and (close := get_close_matches(name, known, n=1, cutoff=0.85)):
            raise SchemaError(f"the result has no analysis {name!r} (did you mean {close[0]!r}, which it has?)")
        if "," in name or len(names) != 1:
            raise _missing(name, names)
        (name,) = names
    return result[f"analysis/{name}"].to_dataset()


def stored_parameters(result: xr.DataTree, name: str, analysis: Analysis) -> dict[str, Any]:
    """Return the parameters that a node of an analysis was computed with.

    Those of newer versions stand at their default, and those that the analysis no longer has are left out.
    """
    recorded = json.loads(str(result[f"analysis/{name}"].attrs.get("parameters", "{}")))
    known = inspect.signature(type(analysis)).parameters
    return {**_defaults(analysis), **{name: value for name, value in recorded.items() if name in known}}


def name_of_older_node(result: xr.DataTree, analysis: Analysis) -> str:
    """Return what the node ``NAME`` of an analysis is called now, by the parameters that it holds.

    It is the plain name, unless tokimp 0.1.0 computed the node with other settings than the default ones.
    """
    return node_name(type(analysis)(**stored_parameters(result, analysis.name, analysis)))


def _defaults(analysis: Analysis) -> dict[str, Any]:
    """Return the default values of an analysis's parameters, as a node holds them; those without one are left out."""
    parameters = inspect.signature(type(analysis)).parameters
    return plain_parameters({name: p.default for name, p in parameters.items() if p.default is not p.empty})


def _text(value: Any) -> str:
    """Return a parameter's value as text; texts that JSON would read as something else are quoted."""
    if isinstance(value, str) and _WORD.fullmatch(value) and value not in {"true", "false", "null"}:
        return value
    return json.dumps(value, separators=(",", ":"))


def _missing(name: str, names: list[str]) -> SchemaError:
    """Return the error that a result lacks a node, and says which nodes of the analysis it has."""
    plain = name.partition(",")[0]
    if not names:
        return SchemaError(f"the result has no {plain} yet; run tokimp.analyze(result, {plain!r}) on it first")
    return SchemaError(
        f"the result has no node /analysis/{name}; of the analysis {plain!r} it has {', '.join(names)}: give the "
        "settings of one of these, or run the analysis with yours first"
    )
