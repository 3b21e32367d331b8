"""``tokimp analyze``: numbers, a table and a figure of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import xarray as xr

from tokimp.analysis.recorded_run import load_recorded_scorer
from tokimp.analysis.run import analyze as run_analysis
from tokimp.cli.finished_run import result_file
from tokimp.cli.options import Checked, keep_to_one_thread, tell_of_the_hub
from tokimp.cli.progress_bar import progress_bar
from tokimp.contracts.analysis import Analysis
from tokimp.contracts.registry import load as load_plugin
from tokimp.contracts.registry import load_analysis
from tokimp.report.tables import summary_line
from tokimp.report.terminal import console_for, print_whole
from tokimp.results.io import load, save

ANALYSIS = Checked("analysis", lambda specification: load_analysis(specification).validate_parameters())


@click.command(epilog="tokimp plugins lists the analyses; docs/analyses.md says what each one means.")
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("name", metavar="NAME[:PARAMETER=VALUE,...]", type=ANALYSIS)
@click.option("--model", help="Ask this model instead of the run's, for which the chains must have the same tokens.")
@click.option(
    "--backend",
    type=Checked("backend", lambda name: load_plugin("scorers", name)),
    metavar="NAME",
    help="Scorer plugin.  [default: the run's]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--dtype", help="auto, float32, bfloat16, float16.  [default: the run's]")
@click.option("--trust-remote-code", is_flag=True, help="Let the model's repository run its own code.")
def analyze(run: Path, name: str, **options: Any) -> None:
    """Analyse a finished RUN: the numbers go into its result, a figure (PNG and SVG) beside it.

    RUN is a folder of tokimp compare, or a result file. Analyses that ask the model again load it as the run did, and
    make the chains again from the result; they stop where either is no longer the same.
    """
    path, analysis = result_file(run), load_analysis(name)
    result = load(path)
    if not analysis.requires:
        _refuse_model_options(analysis)
        analyzed = run_analysis(result, analysis)
    else:
        analyzed = _ask_model(result, analysis, **options)
    save(analyzed, path)
    tables = analysis.tables(analyzed)
    asked = _other_model(analyzed, analysis)
    if tables:
        console = console_for(tables)
        console.print(summary_line(analyzed), highlight=False, markup=False)
        if asked:
            click.echo(asked)
        for table in tables:
            print_whole(console, table)
    elif asked:
        click.echo(asked)
    click.echo(f"\nresult: {path} (/analysis/{analysis.name})")
    figure = analysis.figure(analyzed)
    if figure is None:
        return
    stem = analysis.name if path.stem == "results" else f"{path.stem}-{analysis.name}"
    for suffix in (".png", ".svg"):
        drawn = path.with_name(stem + suffix)
        figure.savefig(drawn, dpi=160)
        click.echo(f"figure: {drawn}")


def _ask_model(result: xr.DataTree, analysis: Analysis, *, model: str | None, **options: Any) -> xr.DataTree:
    name = model or str(result.attrs["model_id"])
    keep_to_one_thread(name)
    tell_of_the_hub(name, options["backend"] or str(result.attrs["backend"]))
    if not options["trust_remote_code"]:
        # Scorers of other packages need not know the option.
        del options["trust_remote_code"]
    scorer = load_recorded_scorer(result, model=model, **options)
    with progress_bar("analysing") as progress:
        return run_analysis(result, analysis, scorer=scorer, same_model=model is None, progress=progress)


def _other_model(analyzed: xr.DataTree, analysis: Analysis) -> str:
    """Return which model an analysis has asked where it was not the run's own; empty where it was, or none was."""
    asked, own = analyzed[f"analysis/{analysis.name}"].attrs, analyzed.attrs
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
    """Raise where a model is named for an analysis that asks none."""
    context = click.get_current_context()
    typed = [
        parameter.opts[0]
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and parameter.name in {"model", "backend", "device", "dtype", "trust_remote_code"}
        and context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"the analysis {analysis.name!r} asks no model; leave out {', '.join(typed)}")
