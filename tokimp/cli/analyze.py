"""``tokimp analyze``: numbers, a table and a figure of a finished run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.cost import analysis_cost_check, cost_options
from tokimp.cli.executor_options import OPTIONS as WORKER_OPTIONS
from tokimp.cli.executor_options import executor_of, executor_options
from tokimp.cli.lines import echo
from tokimp.cli.options import (
    DEVICE,
    PLACEMENT,
    READING,
    SPECIFICATION,
    TRUST_REMOTE_CODE,
    given,
    placement_options,
    reading_options,
    typed,
)
from tokimp.cli.plugin_name import ANALYSIS, BACKEND

if TYPE_CHECKING:
    import xarray as xr

    from tokimp.contracts.analysis import Analysis
    from tokimp.contracts.executor import Executor


@click.command(epilog="tokimp plugins lists the analyses; docs/analyses.md says what each one means.")
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("name", metavar=SPECIFICATION, type=ANALYSIS)
@click.option(
    "--model",
    help="Ask this model. Another one than the run's must give the chains the same tokens.  [default: the run's]",
)
@click.option("--backend", type=BACKEND, metavar="NAME", help="Scorer plugin.  [default: the run's]")
@DEVICE
@click.option("--dtype", help="auto, float32, bfloat16, float16.  [default: the run's]")
@placement_options
@TRUST_REMOTE_CODE
@reading_options
@executor_options
@cost_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the result with the numbers to this file (.nc or .zarr), and leave RUN as it is.",
)
def analyze(run: Path, name: str, out: Path | None, **options: Any) -> None:
    """Analyse a finished RUN: add the numbers to its result, and write a figure (PNG, SVG, PDF) beside it.

    RUN is the folder of a tokimp compare, or a result file. Some analyses ask the model again. They load it as the run
    did, make the chains again from the result, and stop if either is no longer the same. In the folder of a run, what
    they find out of each chain is kept: after a kill the same command goes on (with --out, in a folder beside FILE
    until that is written). Several analyses of one run may be at work at once.
    """
    from tokimp.analysis.run import analyze as run_analysis
    from tokimp.cli.finished_run import result_file
    from tokimp.cli.progress_bar import progress_bar
    from tokimp.contracts.checked_analysis import figure_of
    from tokimp.contracts.registry import load_analysis
    from tokimp.report.figure_files import figure_files, save_figure
    from tokimp.results.analysis_nodes import node_name
    from tokimp.results.io import load
    from tokimp.results.merging import add_analysis

    source, analysis = result_file(run), load_analysis(name)
    path, node = source if out is None else out, node_name(analysis)
    stem = node if path.stem == "results" else f"{path.stem}-{node}"
    _check_place(path, named=out is not None)
    _protect_inputs(analysis, name, source=source, out=out, figures=figure_files(path.parent, stem), **options)
    executor = executor_of(options)
    before_work = analysis_cost_check(estimate=options.pop("estimate"), yes=options.pop("yes"))
    result = load(source)
    if out is not None:
        _check_same_numbers(result, out)
    kept = _folder_of_kept_chains(source, out)
    with progress_bar("analysing") as progress:
        if analysis.requires:
            working = {"folder": kept, "executor": executor, "before_work": before_work, "progress": progress}
            analyzed = _ask_model(result, analysis, working, **options)
        else:
            _refuse_model_options(analysis)
            analyzed = run_analysis(result, analysis, executor=executor, before_work=before_work, progress=progress)
    # What was computed is shown before it is written: writing may fail, or wait for another process.
    try:
        _print(analyzed, analysis)
    finally:
        # A table that fails is no reason to lose the numbers.
        add_analysis(analyzed, node, path)
    if out is not None and kept is not None:
        # The file has it all now.
        shutil.rmtree(kept, ignore_errors=True)
    echo(f"\nresult: {path} (/analysis/{node})")
    figure = figure_of(analysis, analyzed)
    if figure is None:
        return
    for drawn in save_figure(figure, path.parent, stem):
        echo(f"figure: {drawn}")


def _folder_of_kept_chains(source: Path, out: Path | None) -> Path | None:
    """Return the folder in which an analysis keeps what it finds out of each chain; ``None`` for a result file alone.

    With --out the run is left as it is, and the folder stands beside the file until that is written.
    """
    if out is not None:
        return out.with_name(f"{out.name}.kept")
    return source.parent if (source.parent / "run.json").exists() else None


def _check_place(path: Path, *, named: bool) -> None:
    """Raise, before any work, if the file cannot be written."""
    from tokimp.errors import StorageError
    from tokimp.results.io import SUFFIXES
    from tokimp.storage.write_errors import check_writable

    if path.suffix not in SUFFIXES:
        raise click.UsageError(f"--out {path}: a result's name ends in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise click.UsageError(f"--out {path}: there is no folder {path.parent}; make it first")
    try:
        check_writable(path.parent)
    except StorageError as error:
        if named:
            raise
        raise StorageError(f"{error}; --out FILE writes the analysis elsewhere") from error


def _protect_inputs(
    analysis: Analysis, name: str, *, source: Path, out: Path | None, figures: list[Path], **options: Any
) -> None:
    """Raise, before any work, if what the command writes is something that it reads.

    Without --out, the result of RUN is what the numbers are added to, and the only file that is both.
    """
    from tokimp.cli.inputs import protect_inputs
    from tokimp.contracts.plugin_output import plugin_code
    from tokimp.contracts.specification import parse_specification
    from tokimp.errors import AnalysisError

    with plugin_code(f"the analysis {analysis.name!r}, asked which files it writes,", AnalysisError):
        saved = [Path(file) for file in analysis.writes()]
    read: dict[str, Any] = {"RUN": source, "the run": source.parent / "run.json", "--model": options["model"]}
    for parameter, value in analysis.parameters().items():
        # A file that the analysis is to write is no input, though a parameter names it.
        if isinstance(value, str) and value and Path(value) not in saved:
            read[f"{parameter!r} of {name}"] = value
    plugin, _ = parse_specification(name)
    protect_inputs([*figures, *saved, *([] if out is None else [out])], read, [plugin])


def _check_same_numbers(result: xr.DataTree, out: Path) -> None:
    """Raise, before any work, if the file to write holds something else than this result: it would not be added to."""
    from tokimp.errors import SchemaError
    from tokimp.results.io import load
    from tokimp.results.merging import same_numbers

    if not out.exists():
        return
    try:
        same = same_numbers(load(out), result)
    except SchemaError as error:
        raise SchemaError(f"--out {out} is there already, and no result to add to ({error})") from error
    if not same:
        raise click.UsageError(
            f"--out {out} is there already, and holds other numbers than RUN; name another file, or move it away"
        )


def _ask_model(
    result: xr.DataTree, analysis: Analysis, working: dict[str, Any], *, model: str | None, **options: Any
) -> xr.DataTree:
    """Run an analysis that asks a model: the run's own, or the one that was named.

    Parameters
    ----------
    working
        What `tokimp.analyze` takes beside the scorer: where and how it works.
    """
    from tokimp.analysis.recorded_run import check_recorded_model, load_recorded_scorer
    from tokimp.analysis.run import analyze as run_analysis
    from tokimp.cli.model_preparation import prepare_model

    check_recorded_model(result, model=model, backend=options["backend"])
    prepare_model(model or str(result.attrs["model_id"]), options["backend"] or str(result.attrs["backend"]))
    if not options["trust_remote_code"]:
        # Scorers of other packages need not know the option.
        del options["trust_remote_code"]
    reading = given(**{name: options.pop(name) for name in READING | PLACEMENT})
    # A recorded model may have to be named because the file alone is not trusted; it is still to be the same one.
    own = model in {None, result.attrs["model_id"]} and (model is None or not (options["backend"] or options["dtype"]))
    executor: Executor = working["executor"]
    with executor:
        scorer = load_recorded_scorer(result, model=model, executor=executor, **options, **reading)
        return run_analysis(result, analysis, scorer=scorer, same_model=own, **working)


def _print(analyzed: xr.DataTree, analysis: Analysis) -> None:
    """Print the tables of an analysis, and which model it asked if that was not the run's own."""
    from tokimp.contracts.checked_analysis import tables_of
    from tokimp.report.tables import summary_line
    from tokimp.report.terminal import console_for, print_whole

    tables = tables_of(analysis, analyzed)
    if tables:
        console_for(tables).print(summary_line(analyzed), highlight=False, markup=False)
    if other := _other_model(analyzed, analysis):
        echo(other)
    for table in tables:
        print_whole(console_for(tables), table)


def _other_model(analyzed: xr.DataTree, analysis: Analysis) -> str:
    """Return a line that names the model an analysis asked; empty if it was the run's own, or no model was asked."""
    from tokimp.results.analysis_nodes import node_name

    asked, own = analyzed[f"analysis/{node_name(analysis)}"].attrs, analyzed.attrs
    if not analysis.requires:
        return ""
    # A name says where a model lies, a fingerprint what it is; a scorer need not have one.
    by = "model_fingerprint" if asked["model_fingerprint"] and own["model_fingerprint"] else "model_id"
    if asked[by] == own[by]:
        return ""
    names = [str(model["model_id"]) for model in (asked, own)]
    if names[0] == names[1]:
        names = [f"{name} ({model['dtype']})" for name, model in zip(names, (asked, own), strict=True)]
    return f"asked: {names[0]}, not the run's own {names[1]}"


def _refuse_model_options(analysis: Analysis) -> None:
    """Raise if a model is named for an analysis that asks none, or workers for one that gives them nothing to do."""
    of_workers = set() if analysis.takes_long else WORKER_OPTIONS | {"estimate"}
    names = {"model", "backend", "device", "dtype", "trust_remote_code", *READING, *PLACEMENT, *of_workers}
    if options := typed(names):
        raise click.UsageError(f"the analysis {analysis.name!r} asks no model; leave out {', '.join(options)}")
