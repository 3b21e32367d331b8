"""The chains of a result, whose tokens lie one chain after the other in one dimension: select, iterate, pad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray
from tokimp.errors import SchemaError
from tokimp.results.effects_node import add_effects, read_effects


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


def unit_texts(chain: xr.Dataset) -> list[str]:
    """Return the text of each unit of one chain of a result, [unit]: from its first character to its last."""
    reasoning: str = chain["reasoning"].item()
    owners = chain["unit"].to_numpy()
    starts = np.full(int(owners.max()) + 1, len(reasoning))
    ends = np.zeros_like(starts)
    np.minimum.at(starts, owners, chain["token_start"].to_numpy())
    np.maximum.at(ends, owners, chain["token_end"].to_numpy())
    return [reasoning[start:end] for start, end in zip(starts, ends, strict=True)]


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
    known, ends = chain_ids(tree), np.cumsum(tree["reasoning_length"].to_numpy())
    place_of = {chain_id: place for place, chain_id in enumerate(known)}
    for chain_id in ids:
        if chain_id not in place_of:
            raise _unknown(chain_id, known)
    indices = [place_of[chain_id] for chain_id in ids]
    tokens = np.concatenate([np.arange(ends[index - 1] if index else 0, ends[index]) for index in indices])
    dataset = tree.to_dataset().isel(chain=indices, token=tokens)
    lengths = dataset["reasoning_length"].to_numpy()
    dataset["chain_index"] = dataset["chain_index"].copy(data=np.repeat(np.arange(len(ids)), lengths))
    selected = xr.DataTree(dataset)
    add_effects(selected, read_effects(tree, ids))
    return selected


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
        raise _unknown(chain_id, ids)
    return ids.index(chain_id)


def _unknown(chain_id: str, ids: Sequence[str]) -> SchemaError:
    known = ", ".join(repr(known) for known in ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
    return SchemaError(f"there is no chain {chain_id!r} in the result; there are {known}")
