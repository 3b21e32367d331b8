"""``tokimp prune``: chains shortened to a keep ratio by any estimator, as JSONL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import xarray as xr
from click.core import ParameterSource

from tokimp.cli.finished_run import result_file
from tokimp.cli.options import ESTIMATOR, run, run_options
from tokimp.distillation.prune import Pruning, ready_estimator, write_pruned
from tokimp.models.loading import load_tokenizer
from tokimp.results.io import load


@click.command()
@run_options
@click.option(
    "--estimator",
    metavar="NAME[:PARAMETER=VALUE,...]",
    help="The method whose ranks decide.  [default: greedy; of a finished run, its only one]",
)
@click.option(
    "--keep-ratio",
    "keep_ratios",
    multiple=True,
    default=(0.5,),
    show_default="0.5",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the reasoning units to keep; give it once for each.",
)
@click.option(
    "--run",
    "finished",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Prune by the ranks of this finished run (a folder of tokimp compare) instead of computing them.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The JSONL file to write; with several ratios each has its own, OUT-RATIO.jsonl.",
)
def prune(
    estimator: str | None, keep_ratios: tuple[float, ...], finished: Path | None, out: Path, **options: Any
) -> None:
    """Write CHAINS with their reasoning shortened to one or more keep ratios, as JSONL.

    All ratios are cut from one ranking. What is finished is kept beside OUT, in OUT.run: the same command continues
    a run that was killed. A chain of which nothing would be left is an error; with --skip-bad it is left out and
    listed. Besides the text, the ids of the tokens kept are written. Printed is the share of the reasoning tokens
    that stays, a mean over chains, with --unit word or sentence first that of the units; and how often the text,
    tokenised anew, gives other ids (not with --run, which loads no model).
    """
    names = [f"{ratio:g}" for ratio in set(keep_ratios)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise click.UsageError(
            f"two keep ratios would write the same file, OUT-{twice}; give ratios that differ in their first six digits"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    if finished is not None:
        skip_bad = options.pop("skip_bad")
        _refuse_run_options(options)
        result = load(result_file(finished))
        label = estimator or _only_estimator(result)
    else:
        skip_bad = options["skip_bad"]
        # A ranking that reaches the lowest ratio holds all others.
        method = ready_estimator(ESTIMATOR.convert(estimator or "greedy", None, None), keep_ratios)
        result, label = run("pruning", [method], out.with_name(out.name + ".run"), **options), method.label
    skipped = json.loads(result.attrs["skipped"])
    for record in skipped:
        click.echo(f"left out: {record['where']}: {record['reason']}", err=True)
    tokenizer = None
    if finished is None:
        tokenizer = load_tokenizer(options["model"], trust_remote_code=options["trust_remote_code"])
    ratios = sorted(set(keep_ratios), reverse=True)
    for ratio in ratios:
        path = out if len(ratios) == 1 else out.with_name(f"{out.stem}-{ratio:g}{out.suffix or '.jsonl'}")
        pruning = write_pruned(result, label, ratio, path, tokenizer=tokenizer, skip_empty=skip_bad)
        for reason in pruning.left_out:
            click.echo(f"left out: {reason}", err=True)
        click.echo(_line(pruning, path, len(skipped)))


def _line(pruning: Pruning, path: Path, skipped: int) -> str:
    """Return what is said of a file that was written."""
    left_out = skipped + len(pruning.left_out)
    line = f"{pruning.chains} chains written to {path}" + (f", {left_out} left out" if left_out else "")
    tokens = f"{pruning.kept_share:.1%} of their reasoning tokens"
    if pruning.unit == "token":
        line += f"; {tokens} kept"
    else:
        line += f"; {pruning.kept_units:.1%} of their {pruning.unit}s kept, which are {tokens}"
    if (again := pruning.retokenization) is not None:
        line += f"; tokenised anew, {again.chains:.0%} of the chains have other ids than were kept"
        line += f" ({again.tokens:.1%} of the tokens kept are not found again)"
    return line


def _only_estimator(result: xr.DataTree) -> str:
    """Return the label of a result's only estimator."""
    labels: list[str] = result.to_dataset()["estimator"].to_numpy().tolist()
    if len(labels) > 1:
        raise click.UsageError(f"the run has several estimators; name one with --estimator: {', '.join(labels)}")
    return labels[0]


def _refuse_run_options(options: dict[str, Any]) -> None:
    """Raise where options of a new run are given beside a finished one."""
    context = click.get_current_context()
    typed = [
        "CHAINS" if isinstance(parameter, click.Argument) else parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in options and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"--run takes chains and ranks from a finished run; leave out {', '.join(typed)}")
