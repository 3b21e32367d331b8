"""``tokimp bench``: what greedy pruning costs on a model, a device and a chain of one's own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.bench.reuse_modes import FAST, Reading, ReuseMode, estimator_for
from tokimp.cli.lines import echo, echo_left_out
from tokimp.cli.options import COMPILED, PLACEMENT, SPECIFICATION, given, run_options
from tokimp.cli.plugin_name import PluginName
from tokimp.errors import ChainError, UnsupportedError

if TYPE_CHECKING:
    from tokimp.bench.group import GroupCost
    from tokimp.bench.measurement import ChainCost
    from tokimp.bench.record import Bench
    from tokimp.chains.chain import Chain, TokenizedChain
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
    "--packed/--no-packed",
    default=None,
    help="Measure each way in batches and, beside them, in packs; or in batches alone.  [default: as the device reads]",
)
@COMPILED
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
    packed: bool | None,
    compiled: bool | None,
    chains_at_once: Any,
    keep_ratio: float,
    budget: float,
    out: Path | None,
    **options: Any,
) -> None:
    """Measure what greedy pruning of a chain costs: from scratch, exact, and fast.

    Measures the first of CHAINS, or those that --chain or --limit name. With --chains-at-once N, 2 or more, they are
    the first N, each by itself and then all at once ('auto': by itself only). Prints token positions, seconds, ratios
    to scoring from scratch, share of the device's measured matrix-multiply rate, memory and fidelity; then the calls,
    where the time goes, and in one sentence what bounds each way. How long a way will take is estimated before it
    runs. bench.json is written anew after each chain.
    """
    import torch

    from tokimp.bench.group import measure_group_and_chains
    from tokimp.bench.matmul import matmul_rates
    from tokimp.bench.record import Bench, surroundings
    from tokimp.bench.report import matmul_line
    from tokimp.bench.roofline import TrafficSize, memory_rate
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.model_preparation import prepare_model
    from tokimp.contracts.registry import load_objective

    began = time.perf_counter()
    if out is not None:
        read = {"CHAINS": options["chains"], "--model": options["model"]}
        written = [out / name for name in ("bench.json", "bench.png", "bench.svg")]
        protect_inputs(written, read, [fast, options["objective"]])
    at_once = 1 if chains_at_once == "auto" else int(chains_at_once)
    chosen = _chains(ids, options, at_once)
    prepare_model(options["model"], options["backend"])
    scorer = _scorer(options, packed, compiled)
    if at_once > 1 and not scorer.decoder.reads_packs:
        raise UnsupportedError(
            f"--chains-at-once measures packs, and {scorer.model_id} is read in {scorer.batching}; add --packed"
        )
    objective = load_objective(options["objective"])
    # All are made first: a length that a chain does not have is an error before anything is measured.
    groups = _groups(_tokenized(chosen, scorer, options), lengths, at_once)
    torch.manual_seed(options["seed"])
    measured = Bench(
        surroundings(scorer, objective),
        {"keep_ratio": keep_ratio, "budget": budget, "unit": options["unit"], "fast": fast, "chains_at_once": at_once},
        tuple(matmul_rates(scorer.device, getattr(torch, scorer.dtype), scorer.size, scorer.budget.positions)),
        memory_rate(scorer.device),
        TrafficSize.of(scorer).trunk_weights + TrafficSize.of(scorer).projection_weights,
    )
    echo(matmul_line(measured))
    settings: dict[str, Any] = {"keep_ratio": keep_ratio, "fast": fast, "say": partial(echo, err=True)}
    settings |= {"modes": [ReuseMode(way) for way in ways], "readings": list(Reading) if packed else None}
    for group in groups:
        left = max(0.0, budget - (time.perf_counter() - began))
        for cost in measure_group_and_chains(scorer, group, objective, budget=left, **settings):
            measured = measured.adding(cost)
            _print(measured, cost)
            if out is not None:
                measured.save(out / "bench.json")
    if out is not None:
        for path in [out / "bench.json", *_draw(measured, out)]:
            echo(f"written: {path}")


def _tokenized(chains: Sequence[Chain], scorer: CausalLMScorer, options: dict[str, Any]) -> list[TokenizedChain]:
    """Return the chains as ids, with the wrong answers that --wrong-answers asks for."""
    from tokimp.compare.wrong_answers import check_way, second_choice, with_wrong_option_or_number
    from tokimp.contracts.tokenization import tokenize_chain

    way, seed = options["wrong_answers"], options["seed"]
    check_way(way, scorer)

    def tokenize(chain: Chain) -> TokenizedChain:
        return tokenize_chain(
            chain, scorer.tokenizer, options["prompt_format"], options["unit"], think_tags=options["think_tags"]
        )

    if way is None or way == "model":
        tokenized = [tokenize(chain) for chain in chains]
        if way is None:
            return tokenized
        return [
            chain
            if chain.chain.wrong_answer is not None
            else tokenize(replace(chain.chain, wrong_answer=second_choice(chain, scorer, seed)))
            for chain in tokenized
        ]
    return [tokenize(with_wrong_option_or_number(chain, way, seed)) for chain in chains]


def _groups(
    chains: Sequence[TokenizedChain], lengths: Sequence[int] | None, at_once: int
) -> list[Sequence[TokenizedChain]]:
    """Return groups of chains, in their order; each group in every length."""
    from tokimp.bench.truncation import truncate

    groups = [chains[begin : begin + at_once] for begin in range(0, len(chains), at_once)]
    if lengths is None:
        return groups
    return [[truncate(chain, length) for chain in group] for group in groups for length in lengths]


def _print(measured: Bench, cost: ChainCost | GroupCost) -> None:
    from tokimp.bench.report import notes, tables
    from tokimp.report.terminal import console_for, print_whole

    for table in tables(measured, cost):
        print_whole(console_for([table]), table)
    for line in notes(measured, cost):
        echo(line)


def _chains(ids: Sequence[str], options: dict[str, Any], at_once: int) -> list[Chain]:
    """Return the chains named, or as many of the first as --limit says, or as many as are measured at once."""
    from tokimp.chains.datasets import load_chains

    skipped: list[SkippedRecord] | None = [] if options["skip_bad"] else None
    loaded = load_chains(
        options["chains"],
        format=options["record_format"],
        limit=options["limit"] or (None if ids else at_once),
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
    chosen = [by_id[name] for name in ids] or list(loaded)
    if len(chosen) % at_once:
        raise ChainError(
            f"--chains-at-once {at_once} measures groups of {at_once} chains, and there are {len(chosen)}; give "
            "as many with --chain or --limit"
        )
    return chosen


def _scorer(options: dict[str, Any], packed: bool | None, compiled: bool | None) -> CausalLMScorer:
    from tokimp.models.causal_lm import CausalLMScorer
    from tokimp.models.loading import load_scorer

    names = ("backend", "device", "dtype", "trust_remote_code")
    reading = given(packed=packed, compiled=compiled, **{name: options[name] for name in PLACEMENT})
    scorer = load_scorer(options["model"], **{name: options[name] for name in names}, **reading)
    if not isinstance(scorer, CausalLMScorer):
        raise UnsupportedError(
            f"the backend {options['backend']!r} does not let caches be turned off and on, which the measurement does; "
            "use one whose scorer is a tokimp.CausalLMScorer (transformer_lens, nnsight)"
        )
    return scorer


def _draw(measured: Bench, out: Path) -> list[Path]:
    """Draw how the cost grows if chains of several lengths were measured; return the files written."""
    from tokimp.bench.report import draw_growth
    from tokimp.report.figure_files import save_figure

    if len({cost.reasoning_tokens for cost in measured.chains}) < 2:
        return []
    return save_figure(draw_growth(measured), out, "bench")
