"""``tokimp prune``: chains shortened to a keep ratio by any estimator, as JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import xarray as xr
from click.core import ParameterSource

from tokimp.atomic import replacing
from tokimp.cli.options import ESTIMATOR, run, run_options
from tokimp.errors import ChainError
from tokimp.estimator import ImportanceEstimator
from tokimp.io import load
from tokimp.registry import load_estimator, parse_specification
from tokimp.views import kept_positions, pruned_text


def pruned_records(result: xr.DataTree, estimator: str, keep_ratio: float) -> Iterator[dict[str, Any]]:
    """Yield each chain of a result with its reasoning shortened by the ranks of one estimator.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.
    estimator
        The label of the estimator whose ranks decide.
    keep_ratio
        Share of the units to keep; ``int(units * keep_ratio)`` stay.

    Yields
    ------
    dict
        A record that `tokimp.load_chains` reads, and beside it what was kept: ``kept_positions`` (of the reasoning
        tokens), ``kept_token_ids``, ``full_reasoning``, ``estimator``, ``keep_ratio`` and ``unit``.
    """
    dataset = result.to_dataset()
    for index, chain_id in enumerate(str(value) for value in dataset["chain_id"].values):
        token_ids = dataset["token_id"].values[dataset["chain_index"].values == index]
        kept = kept_positions(result, chain_id, estimator, keep_ratio)
        texts = {name: str(dataset[name].values[index]) for name in ("question", "reasoning", "answer", "gold")}
        optional = {
            name: text
            for name in ("system", "wrong_answer")
            if name in dataset and (text := str(dataset[name].values[index]))
        }
        yield {
            "id": chain_id,
            "question": texts["question"],
            "reasoning": pruned_text(result, chain_id, estimator, keep_ratio),
            "answer": texts["answer"],
            **({"gold": texts["gold"]} if texts["gold"] else {}),
            **optional,
            "estimator": estimator,
            "keep_ratio": keep_ratio,
            "unit": str(result.attrs["unit"]),
            "kept_positions": [int(position) for position in kept],
            "kept_token_ids": [int(token_ids[position]) for position in kept],
            "full_reasoning": texts["reasoning"],
        }


def _ready_estimator(specification: str, keep_ratio: float) -> ImportanceEstimator:
    """Load the estimator; one that stops at a keep ratio of its own, and was given none, stops at this one."""
    estimator = load_estimator(specification)
    if "keep_ratio" in estimator.parameters() and "keep_ratio" not in parse_specification(specification)[1]:
        separator = "," if parse_specification(specification)[1] else ":"
        estimator = load_estimator(f"{specification}{separator}keep_ratio={keep_ratio}")
    return estimator


@click.command()
@run_options
@click.option(
    "--estimator",
    metavar="NAME[:PARAMETER=VALUE,...]",
    help="The method whose ranks decide.  [default: greedy; of a finished run, its only one]",
)
@click.option(
    "--keep-ratio",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the reasoning units to keep.",
)
@click.option(
    "--run",
    "finished",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Prune by the ranks of this finished run (a folder of tokimp compare) instead of computing them.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The JSONL file to write.")
def prune(estimator: str | None, keep_ratio: float, finished: Path | None, out: Path, **options: Any) -> None:
    """Write CHAINS with their reasoning shortened to a keep ratio, as JSONL.

    What is finished is kept beside OUT, in OUT.run: the same command continues a run that was killed. A chain of which
    nothing would be left is an error; with --skip-bad it is left out and listed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    if finished is not None:
        skip_bad = options.pop("skip_bad")
        _refuse_run_options(options)
        result = load(finished / "results.nc")
        label = estimator or _only_estimator(result)
    else:
        skip_bad = options["skip_bad"]
        method = _ready_estimator(ESTIMATOR.convert(estimator or "greedy", None, None), keep_ratio)
        result, label = run("pruning", [method], out.with_name(out.name + ".run"), **options), method.label
    left_out = [f"{record['where']}: {record['reason']}" for record in json.loads(result.attrs["skipped"])]
    records = []
    for record in pruned_records(result, label, keep_ratio):
        if record["reasoning"].strip():
            records.append(record)
            continue
        reason = f"chain {record['id']!r}: nothing is left of its reasoning at keep ratio {keep_ratio}"
        if not skip_bad:
            raise ChainError(f"{reason}; keep more, or leave it out (--skip-bad)")
        left_out.append(reason)
    with replacing(out) as partial:
        partial.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    for reason in left_out:
        click.echo(f"left out: {reason}", err=True)
    click.echo(f"{len(records)} chains written to {out}" + (f", {len(left_out)} left out" if left_out else ""))


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
