"""What several commands share: the options that say what is scored on which chains and model, and the run itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import torch
import xarray as xr

from tokimp.chains.datasets import FORMATS, SkippedRecord, load_chains
from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.chains.units import UNITS
from tokimp.cli.progress_bar import progress_bar
from tokimp.compare.compare import compare
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.registry import load, load_estimator, load_objective
from tokimp.errors import TokimpError
from tokimp.models.decoder import Decoder
from tokimp.models.loading import load_scorer
from tokimp.models.source import TINY, asks_the_hub


class Checked(click.ParamType[str, str]):
    """Text that names a plugin, with parameters where it has some; a wrong name is wrong usage.

    Parameters
    ----------
    name
        What it names, for messages.
    load
        Called with the text; its errors are the reasons for which the text is refused.
    """

    def __init__(self, name: str, load: Callable[[str], object]) -> None:
        self.name = name
        self._load = load

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is, once what it names has been loaded."""
        try:
            self._load(value)
        except TokimpError as error:
            message = str(error)
            if isinstance(param, click.Option) and param.multiple and self._lists_several(value):
                message += f"; to name several, give {param.opts[0]} once for each"
            self.fail(message, param, ctx)
        return value

    def _lists_several(self, value: str) -> bool:
        """Whether a text that names nothing is meant as a list of names; commas stand between parameters too."""
        return "," in value.partition("=")[0] or any(map(self._names_one, value.split(",")[1:]))

    def _names_one(self, value: str) -> bool:
        try:
            self._load(value.strip())
        except TokimpError:
            return False
        return True


ESTIMATOR = Checked("estimator", lambda specification: load_estimator(specification).validate_parameters())
_DECORATORS: list[Callable[[Any], Any]] = [
    click.argument("chains", default="demo"),
    click.option("--model", default="tiny", show_default=True, help="Hub id, local folder, GGUF file, or 'tiny'."),
    click.option(
        "--backend",
        default="transformer_lens",
        show_default=True,
        type=Checked("backend", lambda name: load("scorers", name)),
        metavar="NAME",
        help="Scorer plugin (tokimp plugins).",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
    click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16, float16."),
    click.option("--trust-remote-code", is_flag=True, help="Let the model's repository run its own code."),
    click.option(
        "--objective",
        default="joint",
        show_default=True,
        type=Checked("objective", load_objective),
        metavar="NAME",
        help="joint, answer, reasoning, contrast, ...",
    ),
    click.option(
        "--unit", default="token", show_default=True, type=click.Choice(UNITS), help="What is deleted as a whole."
    ),
    click.option(
        "--prompt-format",
        default="auto",
        show_default=True,
        type=click.Choice(PROMPT_FORMATS),
        help="How question, reasoning and answer are laid out.",
    ),
    click.option("--limit", type=click.IntRange(min=1), help="Use the first N chains only."),
    click.option(
        "--format",
        "record_format",
        default="auto",
        show_default=True,
        type=click.Choice(FORMATS),
        help="Format of the chains' records.",
    ),
    click.option("--split", default="test", show_default=True, help="Split of a hub dataset."),
    click.option("--keep-calculator", is_flag=True, help="Keep GSM8K's calculator notes (<<2+3=5>>)."),
    click.option("--skip-bad", is_flag=True, help="Leave bad chains out, counted and listed, instead of stopping."),
    click.option(
        "--seed",
        default=0,
        show_default=True,
        type=click.IntRange(0, 2**32 - 1),
        help="Of everything that draws at random.",
    ),
]


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `run` takes."""
    for decorate in reversed(_DECORATORS):
        function = decorate(function)
    return function


def run(
    doing: str,
    estimators: Sequence[str | ImportanceEstimator],
    out: Path,
    *,
    chains: str,
    model: str,
    backend: str,
    device: str,
    dtype: str,
    objective: str,
    unit: Any,
    prompt_format: Any,
    limit: int | None,
    record_format: Any,
    split: str,
    seed: int,
    trust_remote_code: bool,
    keep_calculator: bool,
    skip_bad: bool,
) -> xr.DataTree:
    """Rank chains as the options say, with a progress bar that says what is being done."""
    # Chains before the model: a mistake in a file is found before the weights take their time.
    skipped: list[SkippedRecord] | None = [] if skip_bad else None
    loaded = load_chains(
        chains, format=record_format, limit=limit, keep_calculator=keep_calculator, skipped=skipped, split=split
    )
    keep_to_one_thread(model)
    tell_of_the_hub(model, backend)
    scorer = load_scorer(model, backend=backend, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
    with progress_bar(doing) as progress:
        return compare(
            loaded,
            scorer,
            estimators,
            objective=objective,
            unit=unit,
            prompt_format=prompt_format,
            out=out,
            skipped=skipped,
            seed=seed,
            progress=progress,
        )


def tell_of_the_hub(model: str, backend: str | None = None) -> None:
    """Say on standard error that a model is looked for on the hub: it takes a while to find that there is none.

    Nothing is said of what is here or was fetched before, nor where `backend` is a scorer with models of its own.
    """
    try:
        asks = asks_the_hub(model) and (backend is None or issubclass(load("scorers", backend), Decoder))
    except TokimpError:
        # What is wrong with the name, of model or backend, is said by what loads it.
        return
    if asks:
        click.echo(
            f"no folder or file {model!r} is here: looking for it on the hub (a minute or so, if that is out of reach)",
            err=True,
        )


def keep_to_one_thread(model: str) -> None:
    """Let torch compute on one thread, if the model is the embedded one and the environment does not say otherwise."""
    if model == TINY and "OMP_NUM_THREADS" not in os.environ:
        # A second thread saves so small a model a sixth of its time on a free core, and costs a multiple on a busy one.
        torch.set_num_threads(1)
