"""The chains of a result, whose tokens lie one chain after the other in one dimension: select, join, iterate, pad."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray
from tokimp.errors import SchemaError
from tokimp.results.schema import validate

# Attributes that must be the same for two results to be joined.
SHARED_ATTRIBUTES = ("schema_version", "model_fingerprint", "backend", "dtype", "objective", "prompt_format", "unit")
# Attributes that a result has only where they say something; they must agree too.
_SHARED_WHERE_GIVEN = ("unit_splitter", "think_tags", "template_date")
_MISSING: dict[str, Any] = {"rank": -1, "tokens_forwarded": -1}


def chain_ids(tree: xr.DataTree) -> list[str]:
    """Return the ids of a result's chains, in order."""
    ids: list[str] = tree["chain_id"].to_numpy().tolist()
    return ids


def token_slice(tree: xr.DataTree, chain: int) -> slice:
    """Return where along ``token`` the tokens of the chain with this index lie."""
    ends = np.cumsum(tree["reasoning_length"].to_numpy())
    start = int(ends[chain - 1]) if chain else 0
    return slice(start, int(ends[chain]))


def one_chain(tree: xr.DataTree, chain_id: str) -> xr.Dataset:
    """Return one chain's part of the root dataset, without the dimension ``chain``.

    Raises
    ------
    SchemaError
        If there is no such chain; the message lists the chains there are.
    """
    index = _index(tree, chain_id)
    return tree.to_dataset().isel(chain=index, token=token_slice(tree, index))


def iterate(tree: xr.DataTree) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield each chain's id and its part of the root dataset, without the dimension ``chain``, in order."""
    dataset = tree.to_dataset()
    for index, chain_id in enumerate(chain_ids(tree)):
        yield chain_id, dataset.isel(chain=index, token=token_slice(tree, index))


def unit_scores(chain: xr.Dataset) -> FloatArray:
    """Return each estimator's importance of each unit of a chain: one value a unit, not one a token.

    Parameters
    ----------
    chain
        One chain's part of a result, as `one_chain` and `iterate` give it.

    Returns
    -------
    FloatArray
        [estimator, unit]; NaN on all units where an estimator says nothing about the chain.
    """
    _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
    scores: FloatArray = chain["importance"].to_numpy()[:, firsts]
    return scores


def select(tree: xr.DataTree, ids: Sequence[str]) -> xr.DataTree:
    """Return the result of some of the chains, in the order of `ids`.

    Analyses are left out, because they are about all chains of a result.

    Raises
    ------
    SchemaError
        If an id is unknown or named twice, or no id is named.
    """
    if isinstance(ids, str) or not ids:
        raise SchemaError(f"the chains to select must be a list of at least one id, not {ids!r}")
    if len(set(ids)) != len(ids):
        raise SchemaError(f"the chains to select must differ; {list(ids)} names one twice")
    indices = [_index(tree, chain_id) for chain_id in ids]
    spans = [token_slice(tree, index) for index in indices]
    tokens = np.concatenate([np.arange(span.start, span.stop) for span in spans])
    dataset = tree.to_dataset().isel(chain=indices, token=tokens)
    lengths = dataset["reasoning_length"].to_numpy()
    dataset["chain_index"] = dataset["chain_index"].copy(data=np.repeat(np.arange(len(ids)), lengths))
    return xr.DataTree(dataset)


def concatenate(trees: Sequence[xr.DataTree]) -> xr.DataTree:
    """Return one result with the chains of several, in their order.

    Estimators are joined by label. Where an estimator said nothing about a chain, its numbers are NaN, and its rank and
    ``tokens_forwarded`` are -1. If an attribute that may differ (``created``, versions, device) does, all its values
    are kept, separated by semicolons. Analyses are left out, because they are about all chains of a result.

    Raises
    ------
    SchemaError
        If a chain occurs twice, or the results differ in model, backend, precision, objective, prompt format or unit.
    """
    if not trees:
        raise SchemaError("there is nothing to concatenate; give at least one result")
    datasets = [tree.to_dataset() for tree in trees]
    for name in (*SHARED_ATTRIBUTES, *_SHARED_WHERE_GIVEN):
        values = [dataset.attrs[name] if name in SHARED_ATTRIBUTES else dataset.attrs.get(name) for dataset in datasets]
        if name == "template_date" and None in values:
            # Results of earlier versions do not say it.
            continue
        different = next((value for value in values if value != values[0]), values[0])
        if different != values[0]:
            raise SchemaError(f"the results differ in {name!r} ({values[0]!r} and {different!r}) and cannot be joined")
    labels = list(dict.fromkeys(label for dataset in datasets for label in dataset["estimator"].to_numpy().tolist()))
    shift = 0
    parts = []
    for dataset in datasets:
        fill = {name: _MISSING.get(str(name), np.nan) for name in dataset.data_vars}
        part = dataset.reindex(estimator=labels, fill_value=fill)
        part["chain_index"] = part["chain_index"] + shift
        shift += dataset.sizes["chain"]
        parts.append(part)
    joined = _concatenate_variables(parts)
    joined.attrs = _joined_attributes([dataset.attrs for dataset in datasets])
    tree = xr.DataTree(joined)
    validate(tree)
    return tree


def pad(tree: xr.DataTree, variable: str) -> xr.DataArray:
    """Return a variable with the dimensions ``chain`` and ``position`` instead of ``token``.

    Numbers are padded with NaN, texts with the empty text. Whole numbers become floats if any chain is padded.

    Raises
    ------
    SchemaError
        If there is no such variable along ``token``.
    """
    dataset = tree.to_dataset()
    if variable not in dataset or "token" not in dataset[variable].dims:
        known = sorted(str(name) for name in dataset.data_vars if "token" in dataset[name].dims)
        raise SchemaError(f"there is no variable {variable!r} along 'token'; there are {', '.join(known)}")
    array = dataset[variable].transpose(..., "token")
    lengths = dataset["reasoning_length"].to_numpy()
    values = array.to_numpy()
    dtype = values.dtype
    if dtype.kind in "iu" and (lengths != lengths.max()).any():
        dtype = np.dtype("float64")
    padded = np.full((*values.shape[:-1], len(lengths), int(lengths.max())), "" if dtype.kind == "O" else 0, dtype)
    if dtype.kind == "f":
        padded[...] = np.nan
    padded[..., dataset["chain_index"].to_numpy(), dataset["position"].to_numpy()] = values
    coords = {name: array.coords[name] for name in array.dims if name in array.coords}
    coords["chain_id"] = dataset["chain_id"].variable
    return xr.DataArray(padded, dims=(*array.dims[:-1], "chain", "position"), coords=coords, name=variable)


def _index(tree: xr.DataTree, chain_id: str) -> int:
    ids = chain_ids(tree)
    if chain_id not in ids:
        known = ", ".join(repr(known) for known in ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
        raise SchemaError(f"there is no chain {chain_id!r} in the result; there are {known}")
    return ids.index(chain_id)


def _concatenate_variables(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    names = list(dict.fromkeys(name for part in parts for name in part.data_vars))
    variables = {}
    for name in names:
        example = next(part[name] for part in parts if name in part)
        along = [dimension for dimension in ("token", "chain") if dimension in example.dims]
        if not along:
            variables[name] = example.variable
            continue
        variables_of_parts = [part[name].variable if name in part else _absent(part, example) for part in parts]
        values = np.concatenate(
            [variable.to_numpy() for variable in variables_of_parts], axis=example.dims.index(along[0])
        )
        variables[name] = xr.Variable(example.dims, values, example.attrs)
    return xr.Dataset(variables, coords={"estimator": parts[0]["estimator"].variable})


def _absent(part: xr.Dataset, example: xr.DataArray) -> xr.Variable:
    """Return a stand-in for a variable that a result lacks: NaN for numbers, empty texts."""
    if example.dtype.kind not in "fO":
        raise SchemaError(f"variable {example.name!r} is not in every result, and its {example.dtype} has no 'missing'")
    shape = [part.sizes[dimension] for dimension in example.dims]
    return xr.Variable(example.dims, np.full(shape, np.nan if example.dtype.kind == "f" else "", example.dtype))


def _joined_attributes(attributes: Sequence[dict[Any, Any]]) -> dict[Any, Any]:
    joined: dict[Any, Any] = {}
    for name in dict.fromkeys(name for of_result in attributes for name in of_result):
        values = list(dict.fromkeys(of_result[name] for of_result in attributes if name in of_result))
        joined[name] = values[0] if len(values) == 1 else "; ".join(str(value) for value in values)
    skipped = [record for of_result in attributes for record in json.loads(of_result["skipped"])]
    joined["skipped"] = json.dumps(skipped)
    joined["skipped_count"] = len(skipped)
    parameters: dict[str, Any] = {}
    for of_result in attributes:
        parameters |= json.loads(of_result["estimator_parameters"])
    joined["estimator_parameters"] = json.dumps(parameters)
    return joined
