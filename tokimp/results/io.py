"""Saving and loading results: netCDF-4 (``.nc``) and Zarr (``.zarr``)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tokimp.errors import SchemaError
from tokimp.results.integrity import ATTRIBUTE, add_zarr_digest, check_netcdf, check_zarr
from tokimp.results.netcdf_file import write_netcdf
from tokimp.results.schema import SCHEMA_VERSION, unstorable, validate
from tokimp.storage.atomic import replacing
from tokimp.storage.folder_lock import locked

SUFFIXES = (".nc", ".zarr")
_WAIT = 600.0
"""How long a save waits for another process in the folder of a run, in seconds."""


def save(tree: xr.DataTree, path: str | Path) -> None:
    """Write a result, with its analyses, to a netCDF file (``.nc``) or a Zarr folder (``.zarr``).

    An old file of that name is replaced once the new one is complete. The file has a digest of its content, by which
    `load` knows a damaged one; numbers in netCDF also have HDF5's checksums, which any reader checks.

    Parameters
    ----------
    tree
        The result.
    path
        The file or folder, in a folder that is there; its suffix decides the format.

    Raises
    ------
    SchemaError
        If the result is not valid or holds text that the file could not give back, if the suffix is another one, or if
        the folder is missing.
    ResumeError
        If another process is at work in the folder of a run, and stays there.
    StorageError
        If the file cannot be written, because the disk is full, say; an old file stays as it was.
    """
    target = Path(path)
    _check_suffix(target)
    validate(tree)
    _check_texts(tree)
    if not target.parent.is_dir():
        raise SchemaError(f"{target}: there is no folder {target.parent}; make it first")
    plain = _in_plain_types(tree)
    # Whoever opens the folder of a run removes what is half written there, except while another one holds its lock.
    is_of_run = (target.parent / "run.json").exists()
    with locked(target.parent, wait=_WAIT) if is_of_run else nullcontext():
        if target.suffix == ".nc":
            with replacing(target) as partial:
                write_netcdf(plain, partial, _checksums(plain))
        else:
            with replacing(target) as partial:
                plain.to_zarr(partial, consolidated=False)
                add_zarr_digest(partial)


def load(path: str | Path, *, lazy: bool = False) -> xr.DataTree:
    """Return a result that `save` wrote; numbers and texts are exactly as they were.

    Parameters
    ----------
    path
        The file or folder.
    lazy
        Whether to read each variable only when it is used, instead of all of them into memory. The file must then stay
        where it is, and whether its values are valid is not looked at; its digest is.

    Raises
    ------
    SchemaError
        If there is no such file, it cannot be read, it is damaged, or it is not a result of this schema version.
    """
    source = Path(path)
    if source.is_dir() and (source / "results.nc").is_file():
        raise SchemaError(f"{source} is the folder of a run; load the result in it, {source / 'results.nc'}")
    _check_suffix(source)
    if not source.exists():
        raise SchemaError(f"{source}: there is no such result; make one with 'tokimp compare --out FOLDER'")
    if source.suffix == ".nc" and source.is_dir():
        raise SchemaError(f"{source} is a folder, and a netCDF result is a file; name the file, or a .zarr folder")
    options: dict[str, Any] = {"engine": "h5netcdf"} if source.suffix == ".nc" else {"consolidated": False}
    if source.suffix == ".zarr":
        options["engine"] = "zarr"
    try:
        (check_netcdf if source.suffix == ".nc" else check_zarr)(source)
        if lazy:
            return _current(xr.open_datatree(source, decode_times=False, decode_timedelta=False, **options), source)
        with xr.open_datatree(source, decode_times=False, decode_timedelta=False, **options) as stored:
            tree = _in_plain_types(stored.load())
    except SchemaError:
        raise
    # The libraries raise many kinds of errors on files that are damaged or of another kind; all mean the same to users.
    except Exception as error:
        raise SchemaError(
            f"{source} is damaged, or not a {source.suffix} file ({type(error).__name__}: {error}); make it again"
        ) from error
    tree = _current(tree, source)
    try:
        validate(tree)
    except SchemaError as error:
        raise SchemaError(f"{source}: {error}") from error
    return tree


def _current(tree: xr.DataTree, source: Path) -> xr.DataTree:
    """Return a result without the digest of its file; raise `SchemaError` if it is of another version of the format."""
    tree.attrs = _plain_attributes({name: value for name, value in tree.attrs.items() if name != ATTRIBUTE})
    version = tree.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise SchemaError(
            f"{source} has schema version {version!r}, and this tokimp reads {SCHEMA_VERSION}; "
            "read it with the tokimp that wrote it (attribute 'tokimp_version')"
        )
    return tree


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise SchemaError(f"{path}: a result's name ends in {' or '.join(SUFFIXES)}, not {path.suffix!r}")


def _check_texts(tree: xr.DataTree) -> None:
    for node in tree.subtree:
        dataset = node.to_dataset(inherit=False)
        _check_attributes(node.path, dataset.attrs)
        for name, variable in dataset.variables.items():
            _check_attributes(f"{node.path}: variable {name!r}", variable.attrs)
            if variable.dtype.kind not in "OUT":
                continue
            for text in variable.to_numpy().ravel():
                if not isinstance(text, str):
                    raise SchemaError(
                        f"{node.path}: variable {name!r} holds {type(text).__name__}, which is neither text nor a "
                        "number; give numbers as an array of numbers (xarray.DataArray(values, dims=...)), or texts"
                    )
                problem = unstorable(text)
                if problem:
                    raise SchemaError(f"{node.path}: variable {name!r} holds {problem}; remove it before saving")


def _check_attributes(where: str, attributes: Mapping[Any, Any]) -> None:
    for name, value in attributes.items():
        if np.asarray(value).dtype.kind == "O":
            raise SchemaError(
                f"{where}: the attribute {name!r} is {type(value).__name__}, which is neither text nor numbers; write "
                "it as JSON (json.dumps), or leave it out"
            )


def _checksums(tree: xr.DataTree) -> dict[str, dict[str, dict[str, bool]]]:
    """Return the encoding that has HDF5 keep a checksum of every number; texts lie where it can keep none."""
    return {
        node.path: {
            str(name): {"fletcher32": True}
            for name, variable in node.to_dataset(inherit=False).variables.items()
            if variable.dtype.kind not in "OUT" and variable.size and variable.ndim
        }
        for node in tree.subtree
    }


def _in_plain_types(tree: xr.DataTree) -> xr.DataTree:
    """Return a tree whose texts are Python's ``str`` and whose attributes are Python's numbers and texts."""
    return xr.DataTree.from_dict({node.path: _plain_dataset(node.to_dataset(inherit=False)) for node in tree.subtree})


def _plain_dataset(dataset: xr.Dataset) -> xr.Dataset:
    plain = dataset.copy()
    # Coordinates are assigned again too, because their indexes were made of the file's kind of text.
    for name, variable in dataset.variables.items():
        values = variable.to_numpy()
        if values.dtype.kind in "OUT":
            texts = np.empty(values.shape, dtype=object)
            texts.ravel()[:] = [str(text) for text in values.ravel()]
            values = texts
        plain[name] = xr.Variable(variable.dims, values, _plain_attributes(variable.attrs))
    plain.attrs = _plain_attributes(dataset.attrs)
    return plain


def _plain_attributes(attributes: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in attributes.items()}
