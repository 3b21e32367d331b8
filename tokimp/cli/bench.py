"""``tokimp bench``: what pruning costs on a model, a device and a chain of one's own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from tokimp.bench import FAST, Bench, Way, matmul_rates, measure_chain, surroundings, truncate
from tokimp.bench.report import draw_growth, matmul_line, notes, way_table
from tokimp.bench.reuse_modes import estimator_for
from tokimp.chains.chain import Chain
from tokimp.chains.datasets import SkippedRecord, load_chains
from tokimp.chains.tokenization import tokenize_chain
from tokimp.cli.options import Checked, keep_to_one_thread, run_options, tell_of_the_hub
from tokimp.contracts.registry import load_objective
from tokimp.errors import ChainError, UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.report.terminal import console_for, print_whole

_LENGTHS = "50,100,200"


class Lengths(click.ParamType[tuple[int, ...], str]):
    """Whole numbers of at least 1, separated by commas."""

    name = "lengths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers, in rising order, each once."""
        numbers = [text.strip() for text in str(value).split(",")]
        if not all(text.isascii() and text.isdigit() and int(text) for text in numbers):
            self.fail(f"{value!r} is not a list of whole numbers, 1 or more; write for example {_LENGTHS}", param, ctx)
        return tuple(sorted({int(text) for text in numbers}))


@click.command(epilog="docs/performance.md says what the columns mean, and what was measured.")
@run_options
@click.option("--chain", "ids", multiple=True, metavar="ID", help="Measure this chain; give it once for each.")
@click.option(
    "--lengths", type=Lengths(), metavar="N,N,...", help="Cut the chain to so many reasoning tokens each time."
)
@click.option(
    "--way",
    "ways",
    multiple=True,
    default=[str(way) for way in Way],
    show_default=True,
    type=click.Choice([str(way) for way in Way]),
    help="What to measure; give it once for each.",
)
@click.option(
    "--fast",
    default=FAST,
    show_default=True,
    type=Checked("estimator", lambda name: estimator_for(Way.FAST, 0.0, name)),
    metavar="NAME[:PARAMETER=VALUE,...]",
    help="The estimator of the way 'fast'.",
)
@click.option(
    "--keep-ratio", default=0.0, show_default=True, type=click.FloatRange(0, 1, max_open=True), help="Where to stop."
)
@click.option(
    "--budget",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds for all; what is expected to take longer is skipped, and said so.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for bench.json, and from two lengths on a figure of how the cost grows.",
)
def bench(
    *,
    ids: tuple[str, ...],
    lengths: tuple[int, ...] | None,
    ways: tuple[str, ...],
    fast: str,
    keep_ratio: float,
    budget: float,
    out: Path | None,
    **options: Any,
) -> None:
    """Measure what greedy pruning of a chain costs: from scratch, exact, and fast.

    Measures the first of CHAINS, or those that --chain or --limit name. Prints token positions, seconds, ratios to
    scoring from scratch, share of the device's measured matrix-multiply rate, memory and fidelity. Every way is
    estimated before it runs. bench.json is written anew after each chain.
    """
    began = time.perf_counter()
    chosen = _chains(ids, options)
    keep_to_one_thread(options["model"])
    tell_of_the_hub(options["model"], options["backend"])
    scorer = _scorer(options)
    objective = load_objective(options["objective"])
    unit, prompt_format = options["unit"], options["prompt_format"]
    tokenized = [tokenize_chain(chain, scorer.tokenizer, prompt_format, unit) for chain in chosen]
    torch.manual_seed(options["seed"])
    jobs = tokenized if lengths is None else [truncate(chain, n) for chain in tokenized for n in lengths]
    measured = Bench(
        surroundings(scorer, objective),
        {"keep_ratio": keep_ratio, "budget": budget, "unit": unit, "fast": fast},
        tuple(matmul_rates(scorer.device, getattr(torch, scorer.dtype), scorer.size, scorer.budget.positions)),
        (),
    )
    click.echo(matmul_line(measured))
    for chain in jobs:
        left = max(0.0, budget - (time.perf_counter() - began))
        cost = measure_chain(
            scorer,
            chain,
            objective,
            ways=[Way(way) for way in ways],
            keep_ratio=keep_ratio,
            budget=left,
            fast=fast,
            say=lambda line: click.echo(line, err=True),
        )
        measured = replace(measured, chains=(*measured.chains, cost))
        table = way_table(measured, cost)
        print_whole(console_for([table]), table)
        for line in notes(measured, cost):
            click.echo(line)
        if out is not None:
            measured.save(out / "bench.json")
    for path in _written(measured, out, draw=len({cost.reasoning_tokens for cost in measured.chains}) > 1):
        click.echo(f"written: {path}")


def _chains(ids: Sequence[str], options: dict[str, Any]) -> list[Chain]:
    """Return the chains named, or as many of the first as --limit says, or the first."""
    skipped: list[SkippedRecord] | None = [] if options["skip_bad"] else None
    loaded = load_chains(
        options["chains"],
        format=options["record_format"],
        limit=options["limit"] or (None if ids else 1),
        keep_calculator=options["keep_calculator"],
        skipped=skipped,
        split=options["split"],
    )
    for record in skipped or ():
        click.echo(f"left out: {record.where}: {record.reason}", err=True)
    by_id = {chain.id: chain for chain in loaded}
    missing = [name for name in ids if name not in by_id]
    if missing:
        raise ChainError(f"no chain {missing[0]!r} in {options['chains']}; the first are {', '.join(list(by_id)[:5])}")
    return [by_id[name] for name in ids] or list(loaded)


def _scorer(options: dict[str, Any]) -> CausalLMScorer:
    names = ("backend", "device", "dtype", "trust_remote_code")
    scorer = load_scorer(options["model"], **{name: options[name] for name in names})
    if not isinstance(scorer, CausalLMScorer):
        raise UnsupportedError(
            f"the backend {options['backend']!r} does not let caches be turned off and on, which the measurement does; "
            "use one whose scorer is a tokimp.CausalLMScorer (transformer_lens, nnsight)"
        )
    return scorer


def _written(measured: Bench, out: Path | None, *, draw: bool) -> Iterator[Path]:
    """Yield the files of a folder, after drawing how cost grows where there are several lengths."""
    if out is None:
        return
    yield out / "bench.json"
    if draw:
        figure = draw_growth(measured)
        for suffix in (".png", ".svg"):
            figure.savefig(out / f"bench{suffix}", dpi=160)
            yield out / f"bench{suffix}"
