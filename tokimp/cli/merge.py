"""``tokimp merge``: results of other chains, or of other methods on the same chains, become one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokimp.cli.lines import echo

if TYPE_CHECKING:
    import xarray as xr


@click.command(epilog="The shards of tokimp compare --shard I/N may be named in any order.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="RUN...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Folder of the merged run, which is made; or the name of a result file (.nc or .zarr).",
)
def merge(runs: tuple[Path, ...], out: Path) -> None:
    """Put the results of several RUNs together: other chains, other methods on the same chains, or both.

    A RUN is the folder of a finished tokimp compare, or a result file. All must be of one model, objective, unit,
    prompt format, seed and version. Cells are put together too where every RUN is a folder, so that the command of the
    whole run goes on in the merged folder. Analyses of the parts are left out; agreement is computed again.
    """
    from tokimp.analysis.comparison_report import print_report
    from tokimp.analysis.run import analyze
    from tokimp.contracts.registry import load_analysis
    from tokimp.errors import StorageError
    from tokimp.results.analysis_nodes import node_name
    from tokimp.results.io import SUFFIXES, save
    from tokimp.results.joined_attributes import missing_shards

    if out.exists():
        raise StorageError(f"{out} is there already; name a folder or file that is not, or move it away")
    if not out.parent.is_dir():
        raise StorageError(f"--out {out}: there is no folder {out.parent}; make it first")
    results = [_finished_result(run) for run in runs]
    joined = _joined(runs, results)
    _say_what_is_left_out(runs, results)
    for shard in missing_shards([result.attrs for result in results]):
        echo(f"warning: shard {shard} is not among the runs, so its chains are missing", err=True)
    agreement = load_analysis("agreement", seed=int(joined.attrs["seed"]))
    analyzed = analyze(joined, agreement)
    if out.suffix in SUFFIXES:
        save(analyzed, out)
    else:
        _write_run(runs, analyzed, out)
    print_report(analyzed, agreement=node_name(agreement))
    echo(f"\nmerged: {len(runs)} runs, {_counts(analyzed)}")
    echo(f"result: {out if out.suffix in SUFFIXES else out / 'results.nc'}")


def _finished_result(run: Path) -> xr.DataTree:
    """Return the result of a run; raise if the run has more chains or methods by now than its result."""
    from tokimp.cli.finished_run import result_file
    from tokimp.compare.journal import finished_cells
    from tokimp.errors import SchemaError
    from tokimp.results.io import load

    path = result_file(run)
    result, counts = load(path), None if path == run else finished_cells(run)
    held = result.sizes["chain"] * result.sizes["estimator"]
    if counts is not None and counts[1] != held:
        raise SchemaError(
            f"{path} is of {held} cells, and its run has {counts[1]} by now; repeat its command to finish it first"
        )
    return result


def _joined(runs: tuple[Path, ...], results: list[xr.DataTree]) -> xr.DataTree:
    """Return the results as one; an error that two of them do not fit names these two."""
    from itertools import combinations

    from tokimp.errors import SchemaError
    from tokimp.results.joining import concat

    try:
        return concat(results)
    except SchemaError as error:
        for (one, result), (other, result_of_other) in combinations(zip(runs, results, strict=True), 2):
            try:
                concat([result, result_of_other])
            except SchemaError as of_two:
                raise SchemaError(f"{one} and {other}: {of_two}") from error
        raise


def _write_run(runs: tuple[Path, ...], result: xr.DataTree, out: Path) -> None:
    """Write the folder of the merged run, as a whole or not at all."""
    from tokimp.compare.merged_run import write_merged_run
    from tokimp.results.io import save
    from tokimp.storage.atomic import replacing

    with replacing(out) as partial:
        partial.mkdir()
        save(result, partial / "results.nc")
        if why := write_merged_run(runs, result, partial):
            echo(f"note: the merged run cannot be continued, only its result is written: {why}", err=True)


def _say_what_is_left_out(runs: tuple[Path, ...], results: list[xr.DataTree]) -> None:
    from tokimp.results.effects_schema import NODE

    for run, result in zip(runs, results, strict=True):
        nodes = sorted(result["analysis"].children) if "analysis" in result.children else []
        others = sorted(set(result.children) - {"analysis", NODE})
        dropped = [f"/analysis/{name}" for name in nodes if name != "agreement"] + [f"/{name}" for name in others]
        if dropped:
            echo(f"left out of {run}: {', '.join(dropped)}; run it on the merged result", err=True)


def _counts(result: xr.DataTree) -> str:
    """Return how many chains and methods a result has, and how many cells of them are missing."""
    import numpy as np

    ends = np.cumsum(result["reasoning_length"].to_numpy())
    missing = int((result["rank"].to_numpy()[:, ends - 1] < 0).sum())
    n_chains, n_methods = result.sizes["chain"], result.sizes["estimator"]
    sizes = f"{n_chains} chain{'s' * (n_chains > 1)}, {n_methods} method{'s' * (n_methods > 1)}"
    return sizes if not missing else f"{sizes}; {missing} of their cells are missing"
