"""``tokimp compare``: chains x estimators to a result, its agreement and its cost."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.cost import cost_check, cost_options
from tokimp.cli.executor_options import KEEP_GOING, executor_of, executor_options
from tokimp.cli.lines import echo
from tokimp.cli.options import READING, SPECIFICATION, reading_options, run_options
from tokimp.cli.plugin_name import ESTIMATOR

if TYPE_CHECKING:
    import xarray as xr

    from tokimp.chains.chain import TokenizedChain

RESULT = "results.nc"
SOME_FAILED = 3
"""The exit status of a run that went on without cells that failed."""
_MOST_FAILURES_SHOWN = 10


class ShardOfRun(click.ParamType[str, Any]):
    """A part of a run: ``2/8`` is the second of eight."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the shard as it is written in a result."""
        from tokimp.compare.shard import read_shard
        from tokimp.errors import TokimpError

        try:
            return str(read_shard(str(value)))
        except TokimpError as error:
            self.fail(str(error), param, ctx)


DEFAULT_ESTIMATORS = ("greedy", "leave_one_out", "attention", "gradient")


@click.command(epilog="Without arguments: four methods on the embedded chains with the embedded model.")
@run_options
@reading_options
@executor_options
@KEEP_GOING
@cost_options
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    default=DEFAULT_ESTIMATORS,
    show_default=True,
    type=ESTIMATOR,
    metavar=SPECIFICATION,
    help="A method that gives tokens an importance; give the option once for each.",
)
@click.option(
    "--shard",
    type=ShardOfRun(),
    metavar="I/N",
    help="Compare the I-th of N parts of the chains; tokimp merge puts the folders of all parts together.",
)
@click.option(
    "--random-weights",
    metavar="head[+N]|all",
    help="A control: replace the model's head, the head and its N uppermost blocks, or all weights by random numbers "
    "(all:seed=1 for other ones).",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: a name under runs/]")
def compare(estimators: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Rank the reasoning tokens of CHAINS by several methods, and say how far the methods agree.

    CHAINS is a file of tokimp's own, GSM8K's or MMLU-Pro's records, a hub dataset, or 'demo'; tokimp import makes a
    file of any other records. The result is results.nc in the folder of the run. What is finished is kept: the same
    command continues a run that was stopped, and with one more --estimator or a larger --limit it computes only what is
    new.
    """
    from tokimp.analysis.comparison_report import print_report
    from tokimp.analysis.run import analyze
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.run import run
    from tokimp.contracts.registry import load_analysis
    from tokimp.results.analysis_nodes import node_name
    from tokimp.results.merging import save_again

    executor, keep_going = executor_of(options), options.pop("keep_going")
    before_work = cost_check(executor, estimate=options.pop("estimate"), yes=options.pop("yes"), keep_going=keep_going)
    folder = out or _default_folder({**options, "estimators": estimators})
    _refuse_result_file(folder)
    read = {"CHAINS": options["chains"], "--model": options["model"]}
    protect_inputs([folder / RESULT, folder / "run.json"], read, [*estimators, options["objective"]])
    _refuse_another_result(folder)

    def look(chains: Sequence[TokenizedChain]) -> None:
        if len(estimators) > 1:
            _say_if_too_short(chains, folder)

    agreement = load_analysis("agreement", seed=options["seed"])
    result = run(
        "comparing",
        estimators,
        folder,
        look=look,
        executor=executor,
        keep_going=keep_going,
        before_work=before_work,
        **options,
    )
    result = analyze(result, agreement)
    for dropped in save_again(result, folder / RESULT):
        echo(f"dropped from the earlier {RESULT}: {dropped}; it was about other numbers", err=True)
    print_report(result, agreement=node_name(agreement))
    echo(f"\nresult: {folder / RESULT}")
    _say_what_failed(result, folder)


def _default_folder(options: dict[str, Any]) -> Path:
    """Return the folder of a run that names none: another one for each combination of options.

    How rows are read is left out: it does not change what a run is.
    """
    told = {
        name: value
        for name, value in options.items()
        if name not in {*READING, "shard", "device_map", "offload_folder"}
        and (name, value) not in [("quantization", None), ("random_weights", None)]
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
    words = [re.sub(r"[^A-Za-z0-9.-]+", "-", Path(options[name]).name)[:40] for name in ("model", "chains")]
    part = [] if options["shard"] is None else ["shard-" + options["shard"].replace("/", "-of-")]
    return Path("runs") / "-".join([*words, digest, *part])


def _say_what_failed(result: xr.DataTree, folder: Path) -> None:
    """Say which cells failed, and end with the status that stands for it."""
    from tokimp.compare.failed_cells import FOLDER
    from tokimp.results.schema import STATUS

    failed = []
    if STATUS in result:
        labels, ids = result["estimator"].to_numpy(), result["chain_id"].to_numpy()
        failed = [
            f"{label} on chain {chain!r}: {status.removeprefix('failed: ')}"
            for label, statuses in zip(labels, result[STATUS].to_numpy(), strict=True)
            for chain, status in zip(ids, statuses, strict=True)
            if status
        ]
    # Chains that the model could not read as they are; those of a file that cannot be used have another reason.
    chains = [
        f"chain {record['id']!r}: {record['reason'].removeprefix('failed: ')}"
        for record in json.loads(result.attrs["skipped"])
        if record["reason"].startswith("failed: ")
    ]
    if failed:
        _say_first(f"{len(failed)} of {result[STATUS].size} cells failed and are left out", failed)
    if chains:
        _say_first(f"{len(chains)} chains could not be read unpruned and are left out of the result", chains)
    if not failed and not chains:
        return
    echo(f"tracebacks: {folder / FOLDER}; the same command tries again what failed, and only that", err=True)
    raise click.exceptions.Exit(SOME_FAILED)


def _say_first(what: str, lines: Sequence[str]) -> None:
    """Say what happened, and the first of the lines about it."""
    echo(f"\n{what}:", err=True)
    for line in lines[:_MOST_FAILURES_SHOWN]:
        echo(f"  {line}", err=True)
    if len(lines) > _MOST_FAILURES_SHOWN:
        echo(f"  and {len(lines) - _MOST_FAILURES_SHOWN} more", err=True)


def _refuse_result_file(folder: Path) -> None:
    """Raise if the name of a result file is given for the folder of a run."""
    from tokimp.results.io import SUFFIXES

    if folder.suffix in SUFFIXES:
        raise click.UsageError(
            f"--out {folder}: --out names the folder of the run, and its result is {RESULT} in it; give a name without "
            f"{folder.suffix} (in Python, tokimp.save(result, {folder.with_suffix('.zarr').name!r}) writes Zarr)"
        )


def _say_if_too_short(chains: Sequence[TokenizedChain], folder: Path) -> None:
    """Say, before the model takes its time, that no chain has enough units for the agreement to be known."""
    from tokimp.analysis.agreement.agreement import Agreement

    least = Agreement().minimum_units
    most = max((len(chain.units) for chain in chains), default=least)
    if most < least:
        echo(
            f"warning: no chain has more than {most} {chains[0].unit}s, and the agreement leaves out chains of fewer "
            f"than {least}, so it will be dashes; choose a smaller unit, or lower the limit afterwards: tokimp analyze "
            f"{folder} agreement:minimum_units={max(2, most)}",
            err=True,
        )


def _refuse_another_result(folder: Path) -> None:
    """Raise if a folder holds a result that is not this folder's run: it would be replaced."""
    from tokimp.errors import ResumeError, SchemaError
    from tokimp.results.io import load
    from tokimp.storage.json_file import read_json
    from tokimp.storage.overwriting import refuse_foreign

    refuse_foreign(folder, [RESULT])
    try:
        created = read_json(folder / "run.json")["created"]
        replaced = load(folder / RESULT)
    except (OSError, ValueError, KeyError, TypeError, SchemaError):
        # No run or no result yet, or a damaged one, which is made again.
        return
    if replaced.attrs["created"] != created:
        raise ResumeError(
            f"{folder / RESULT} is of another run (of {replaced.attrs['created']}) than {folder / 'run.json'} "
            f"(of {created}) and would be replaced; move it away, or choose another --out"
        )
