"""``tokimp prune``: chains shortened to a keep ratio by any estimator, as JSONL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.lines import echo, echo_left_out
from tokimp.cli.options import SPECIFICATION, reading_options, run_options, typed
from tokimp.cli.plugin_name import ESTIMATOR

if TYPE_CHECKING:
    import xarray as xr

    from tokimp.distillation.prune import Pruning


@click.command()
@run_options
@reading_options
@click.option(
    "--estimator",
    metavar=SPECIFICATION,
    help="The method whose ranks decide.  [default: greedy; of a finished run, its only one]",
)
@click.option(
    "--keep-ratio",
    "keep_ratios",
    multiple=True,
    default=(0.5,),
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the reasoning units to keep; give the option once for each.",
)
@click.option(
    "--tie-threshold",
    default=0.0,
    show_default=True,
    metavar="NATS",
    type=click.FloatRange(min=0),
    help="Units that matter less than this tie, and go in random order; for methods whose importances are in nats.",
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
    help="The JSONL file to write; with several ratios, one file each, OUT-RATIO.jsonl.",
)
def prune(
    estimator: str | None,
    keep_ratios: tuple[float, ...],
    tie_threshold: float,
    finished: Path | None,
    out: Path,
    **options: Any,
) -> None:
    """Write CHAINS with their reasoning shortened to one or more keep ratios, as JSONL.

    All ratios are cut from one ranking. What is finished is kept beside OUT, in OUT.run: the same command continues a
    run that was stopped. If nothing would be left of a chain, that is an error; with --skip-bad the chain is left out
    and listed.

    Each line holds the shortened text and the ids of the tokens kept. The command prints which share of the reasoning
    tokens (and of the words or sentences, with --unit) stays, as a mean over chains. It also prints how often the
    text, tokenised anew, gives other ids; not with --run, which loads no model.
    """
    if finished is None:
        # A misspelt name is said before what a pruning needs is loaded.
        estimator = _checked_name(estimator or "greedy")
    from tokimp.cli.finished_run import result_file
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.run import run
    from tokimp.distillation.prune import ready_estimator, write_pruned
    from tokimp.models.configuration import load_tokenizer
    from tokimp.results.io import load

    _refuse_ratios_of_one_file(keep_ratios)
    ratios = sorted(set(keep_ratios), reverse=True)
    files = {
        ratio: out if len(ratios) == 1 else out.with_name(f"{out.stem}-{ratio:g}{out.suffix or '.jsonl'}")
        for ratio in ratios
    }
    beside = out.with_name(out.name + ".run")
    if finished is None:
        read: dict[str, Any] = {"CHAINS": options["chains"], "--model": options["model"]}
    else:
        read = {"the result of --run": result_file(finished), "--run": finished / "run.json"}
    protect_inputs([*files.values(), beside / "run.json"], read, [estimator or "greedy", options["objective"]])
    _make_folder(out)
    if finished is not None:
        skip_bad = options.pop("skip_bad")
        _refuse_run_options(set(options))
        result = load(result_file(finished))
        label = estimator or _only_estimator(result)
    else:
        skip_bad = options["skip_bad"]
        # A ranking that reaches the lowest ratio holds all others.
        method = ready_estimator(estimator or "greedy", keep_ratios)
        result, label = run("pruning", [method], beside, **options), method.label
    skipped = json.loads(result.attrs["skipped"])
    for record in skipped:
        echo_left_out(record["reason"], record["where"])
    tokenizer = None
    if finished is None:
        tokenizer = load_tokenizer(options["model"], trust_remote_code=options["trust_remote_code"])
    for ratio, path in files.items():
        pruning = write_pruned(
            result, label, ratio, path, tokenizer=tokenizer, skip_empty=skip_bad, tie_threshold=tie_threshold
        )
        for reason in pruning.left_out:
            echo_left_out(reason)
        echo(_line(pruning, path, len(skipped)))


def _make_folder(out: Path) -> None:
    """Make the folder of the file to write."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise click.UsageError(f"--out {out}: {error.filename} is a file, and no folder; name another place") from error


def _line(pruning: Pruning, path: Path, skipped: int) -> str:
    """Return the line that says what a written file holds."""
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


def _checked_name(estimator: str) -> str:
    """Return the name of a method, refused as the option's value if there is none; with --run it may be a label."""
    context = click.get_current_context()
    option = next(parameter for parameter in context.command.params if parameter.name == "estimator")
    return ESTIMATOR.convert(estimator, option, context)


def _only_estimator(result: xr.DataTree) -> str:
    """Return the label of a result's only estimator."""
    labels: list[str] = result.to_dataset()["estimator"].to_numpy().tolist()
    if len(labels) > 1:
        raise click.UsageError(f"the run has several estimators; name one with --estimator: {', '.join(labels)}")
    return labels[0]


def _refuse_ratios_of_one_file(keep_ratios: tuple[float, ...]) -> None:
    """Raise if two different ratios have the same file name."""
    names = [f"{ratio:g}" for ratio in set(keep_ratios)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise click.UsageError(
            f"two keep ratios would write the same file, OUT-{twice}; give ratios that differ in their first six digits"
        )


def _refuse_run_options(names: set[str]) -> None:
    """Raise if options of a new run are typed beside a finished one."""
    if options := typed(names):
        raise click.UsageError(f"--run takes chains and ranks from a finished run; leave out {', '.join(options)}")
