"""Folders of runs put together: the result of all of them, and a run that can be continued, and grow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from tokimp.compare.cell_keys import GROWING
from tokimp.compare.earlier_cells import earlier_files
from tokimp.compare.journal import CELLS
from tokimp.results.by_chain import chain_ids
from tokimp.storage.differences import causes_of_difference
from tokimp.storage.record_log import SUFFIX
from tokimp.storage.run_folder import FORMAT, recorded_run, write_run
from tokimp.storage.write_errors import naming_what_is_written


def write_merged_run(folders: Sequence[Path], result: xr.DataTree, out: Path) -> str:
    """Write the record and the cells of several runs into a folder, as those of one run, if they can be one.

    The folder is then that of the run that all of them are parts of: the command of the whole run goes on in it.

    Parameters
    ----------
    folders
        The folders of the runs.
    result
        The joined result; the run has its chains and estimators in its order.
    out
        The folder to write to; it is there.

    Returns
    -------
    str
        Why nothing was written; empty if all was.

    Raises
    ------
    ResumeError
        If a ``run.json`` is damaged, or of another tokimp.
    """
    if missing := [str(folder) for folder in folders if not (folder / "run.json").exists()]:
        return f"{missing[0]} holds a result without its run"
    recorded = [recorded_run(folder / "run.json") for folder in folders]
    for folder, content in zip(folders, recorded, strict=True):
        if content["format"] != FORMAT or earlier_files(folder / CELLS):
            return f"{folder} was written by an earlier tokimp"
    identities = [content["run"] for content in recorded]
    for folder, identity in zip(folders[1:], identities[1:], strict=True):
        if causes := causes_of_difference(_shared(identities[0]), _shared(identity), None, None):
            return f"{folders[0]} and {folder} differ ({'; '.join(causes)})"
    places = {
        "chains": {chain_id: place for place, chain_id in enumerate(chain_ids(result))},
        "estimators": {label: place for place, label in enumerate(result["estimator"].to_numpy().tolist())},
    }
    union = {name: _union([identity[name] for identity in identities]) for name in GROWING}
    if any(len(union[name]) != len(places[name]) for name in GROWING):
        return "a result has other chains or estimators than its run"
    union["chains"].sort(key=lambda chain: places["chains"][chain["id"]])
    union["estimators"].sort(key=lambda estimator: places["estimators"][estimator["label"]])
    with naming_what_is_written(out / CELLS):
        (out / CELLS).mkdir()
    files = [path for folder in folders for path in sorted((folder / CELLS).glob(f"*{SUFFIX}"))]
    for number, path in enumerate(files, 1):
        shutil.copyfile(path, out / CELLS / f"{number}{SUFFIX}")
    threads = list(dict.fromkeys(number for content in recorded for number in content["threads"]))
    write_run(out / "run.json", {**identities[0], **union}, created=str(result.attrs["created"]), threads=threads)
    return ""


def _shared(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name not in GROWING}


def _union(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return list({json.dumps(entry, sort_keys=True): entry for entries in lists for entry in entries}.values())
