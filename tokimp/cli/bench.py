"""``tokimp bench``: what greedy pruning costs on a model, a device and a chain of one's own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.bench.reuse_modes import FAST, ReuseMode, estimator_for
from tokimp.cli.lines import echo, echo_left_out, save_figure
from tokimp.cli.options import SPECIFICATION, run_options
from tokimp.cli.plugin_name import PluginName
from tokimp.errors import ChainError, UnsupportedError

if TYPE_CHECKING:
    from tokimp.bench.record import Bench
    from tokimp.chains.chain import Chain
    from tokimp.chains.datasets import SkippedRecord
    from tokimp.models.causal_lm import CausalLMScorer

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
@click.option("--chain", "ids", multiple=True, metavar="ID", help="Measure this chain; give the option once for each.")
@click.option(
    "--lengths",
    type=Lengths(),
    metavar="N,N,...",
    help="Measure each chain several times, cut to these numbers of reasoning tokens.",
)
@click.option(
    "--way",
    "ways",
    multiple=True,
    default=[str(mode) for mode in ReuseMode],
    show_default=True,
    type=click.Choice([str(mode) for mode in ReuseMode]),
    help="What to measure; give the option once for each.",
)
@click.option(
    "--fast",
    default=FAST,
    show_default=True,
    type=PluginName("estimator", lambda name: estimator_for(ReuseMode.FAST, 0.0, name)),
    metavar=SPECIFICATION,
    help="The estimator of the way 'fast'.",
)
@click.option(
    "--keep-ratio",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of the reasoning units at which pruning stops.",
)
@click.option(
    "--budget",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds for everything. What would take longer is skipped, and a line says so.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for bench.json and, with two or more lengths, a figure of how the cost grows.",
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
    scoring from scratch, share of the device's measured matrix-multiply rate, memory and fidelity. How long a way will
    take is estimated before it runs. bench.json is written anew after each chain.
    """
    import torch

    from tokimp.bench.matmul import matmul_rates
    from tokimp.bench.measurement import measure_chain
    from tokimp.bench.record import Bench, surroundings
    from tokimp.bench.report import matmul_line, mode_table, notes
    from tokimp.bench.truncation import truncate
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.model_preparation import prepare_model
    from tokimp.contracts.registry import load_objective
    from tokimp.contracts.tokenization import tokenize_chain
    from tokimp.report.terminal import console_for, print_whole

    began = time.perf_counter()
    if out is not None:
        read = {"CHAINS": options["chains"], "--model": options["model"]}
        written = [out / name for name in ("bench.json", "bench.png", "bench.svg")]
        protect_inputs(written, read, [fast, options["objective"]])
    chosen = _chains(ids, options)
    prepare_model(options["model"], options["backend"])
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
    echo(matmul_line(measured))
    for chain in jobs:
        left = max(0.0, budget - (time.perf_counter() - began))
        cost = measure_chain(
            scorer,
            chain,
            objective,
            modes=[ReuseMode(way) for way in ways],
            keep_ratio=keep_ratio,
            budget=left,
            fast=fast,
            say=lambda line: echo(line, err=True),
        )
        measured = replace(measured, chains=(*measured.chains, cost))
        table = mode_table(measured, cost)
        print_whole(console_for([table]), table)
        for line in notes(measured, cost):
            echo(line)
        if out is not None:
            measured.save(out / "bench.json")
    if out is not None:
        for path in [out / "bench.json", *_draw(measured, out)]:
            echo(f"written: {path}")


def _chains(ids: Sequence[str], options: dict[str, Any]) -> list[Chain]:
    """Return the chains named, or as many of the first as --limit says, or the first."""
    from tokimp.chains.datasets import load_chains

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
        echo_left_out(record.reason, record.where)
    by_id = {chain.id: chain for chain in loaded}
    missing = [name for name in ids if name not in by_id]
    if missing:
        raise ChainError(f"no chain {missing[0]!r} in {options['chains']}; the first are {', '.join(list(by_id)[:5])}")
    return [by_id[name] for name in ids] or list(loaded)


def _scorer(options: dict[str, Any]) -> CausalLMScorer:
    from tokimp.models.causal_lm import CausalLMScorer
    from tokimp.models.loading import load_scorer

    names = ("backend", "device", "dtype", "trust_remote_code")
    scorer = load_scorer(options["model"], **{name: options[name] for name in names})
    if not isinstance(scorer, CausalLMScorer):
        raise UnsupportedError(
            f"the backend {options['backend']!r} does not let caches be turned off and on, which the measurement does; "
            "use one whose scorer is a tokimp.CausalLMScorer (transformer_lens, nnsight)"
        )
    return scorer


def _draw(measured: Bench, out: Path) -> list[Path]:
    """Draw how the cost grows if chains of several lengths were measured; return the files written."""
    from tokimp.bench.report import draw_growth

    if len({cost.reasoning_tokens for cost in measured.chains}) < 2:
        return []
    return save_figure(draw_growth(measured), out, "bench")
