"""``tokimp train``: a student fine-tuned on chains."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tokimp.chains.datasets import load_chains
from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.cli.options import Checked, keep_to_one_thread, tell_of_the_hub
from tokimp.contracts.registry import load_trainer
from tokimp.contracts.train_settings import DTYPES, PRECISIONS, SCHEDULES, Lora, TrainSettings
from tokimp.distillation.train.losses import tenth_of
from tokimp.distillation.train.train import TrainReport
from tokimp.distillation.train.train import train as run_training
from tokimp.errors import TrainingError

_DEFAULTS = {field.name: field.default for field in fields(TrainSettings)}
_LORA = {field.name: field.default for field in fields(Lora)}
# Each setting's name, type and help; what is allowed is checked by TrainSettings itself.
_SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("epochs", float, "How often every chain is seen."),
    ("max_steps", int, "Stop after so many optimiser steps instead."),
    ("learning_rate", float, "At its highest."),
    ("batch_size", int, "Chains a device reads at once."),
    ("gradient_accumulation", int, "Batches between two optimiser steps."),
    ("schedule", click.Choice(SCHEDULES), "Of the learning rate."),
    ("warmup", float, "Share of the steps (below 1), or number of steps, in which the rate rises."),
    ("weight_decay", float, "Of AdamW."),
    ("max_gradient_norm", float, "Gradients are scaled down to it."),
    ("max_length", int, "Leave longer chains out (tokens in all).  [default: the model's limit]"),
    ("seed", int, "Of the order of the chains, of dropout and of new adapters."),
    ("prompt_format", click.Choice(PROMPT_FORMATS), "How question, reasoning and answer are laid out."),
    ("validation", float, "About this share of the chains is held out, chosen by their questions."),
    ("validation_seed", int, "Of that choice."),
    ("patience", int, "Stop once the loss on them has not fallen for so many epochs."),
    ("checkpoint_steps", int, "Steps between checkpoints; 0 for none.  [default: one an epoch]"),
    ("device", str, "auto, cpu, cuda, mps."),
    ("dtype", click.Choice(DTYPES), "Of the weights while they are trained; auto: float32, but for adapters on a GPU."),
    ("precision", click.Choice(PRECISIONS), "Automatic mixed precision."),
)


def _setting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each setting."""
    for name, kind, text in reversed(_SETTINGS):
        default = _DEFAULTS[name]
        option = click.option(
            f"--{name.replace('_', '-')}", name, default=default, show_default=default is not None, type=kind, help=text
        )
        function = option(function)
    return function


@click.command(
    epilog="Under accelerate launch: accelerate launch --no-python tokimp train CHAINS --student M --out DIR"
)
@click.argument("chains", type=click.Path(exists=True, dir_okay=False))
@click.option("--student", required=True, help="Hub id, local folder, GGUF file, or 'tiny'.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the training.")
@click.option("--limit", type=click.IntRange(min=1), help="Use the first N chains only.")
@_setting_options
@click.option("--keep-best", is_flag=True, help="Keep the model of the epoch with the lowest loss on those held out.")
@click.option("--gradient-checkpointing", is_flag=True, help="Compute activations twice instead of keeping them.")
@click.option("--lora", is_flag=True, help="Train low-rank adapters instead of all weights.")
@click.option("--lora-r", default=_LORA["r"], show_default=True, help="Rank of the adapters.")
@click.option("--lora-alpha", default=_LORA["alpha"], show_default=True, help="Their output is scaled by alpha / r.")
@click.option("--lora-dropout", default=_LORA["dropout"], show_default=True, help="On their input.")
@click.option(
    "--lora-target",
    "lora_targets",
    multiple=True,
    metavar="LAYER",
    help="A layer that gets one; give it once for each.  [default: every linear layer but the output]",
)
@click.option("--no-merge", is_flag=True, help="Keep the adapters only, and write no merged model.")
@click.option(
    "--trainer",
    default="trl",
    show_default=True,
    type=Checked("trainer", load_trainer),
    metavar="NAME",
    help="Trainer plugin (tokimp plugins).",
)
@click.option("--trust-remote-code", is_flag=True, help="Let the student's repository run its own code.")
def train(
    *,
    chains: str,
    student: str,
    out: Path,
    limit: int | None,
    lora: bool,
    lora_r: int,
    lora_alpha: float,
    lora_dropout: float,
    lora_targets: tuple[str, ...],
    no_merge: bool,
    trainer: str,
    trust_remote_code: bool,
    **settings: Any,
) -> None:
    """Fine-tune a student to write the reasoning and answers of CHAINS, a JSONL file, given their questions.

    OUT/model is a folder that --model takes anywhere. The same command continues a training that was killed. Needs
    the extra 'distill'.
    """
    adapters = None
    try:
        if lora:
            adapters = Lora(lora_r, lora_alpha, lora_dropout, lora_targets or "all-linear", merge=not no_merge)
        elif typed := _typed_about_adapters():
            raise click.UsageError(f"{', '.join(typed)}: about adapters; add --lora, or leave it out")
        wanted = TrainSettings(lora=adapters, **settings)
    except TrainingError as error:
        raise click.UsageError(str(error)) from error
    keep_to_one_thread(student)
    tell_of_the_hub(student)
    report = run_training(
        student,
        load_chains(chains, format="jsonl", limit=limit),
        out,
        wanted,
        trainer=trainer,
        trust_remote_code=trust_remote_code,
        origin={"chains": chains, "limit": limit},
    )
    if os.environ.get("RANK", "0") != "0":
        return
    for record in report.left_out:
        click.echo(f"left out: {record['where']}: {record['reason']}", err=True)
    click.echo(_line(report))
    click.echo(f"model: {out / ('adapter' if lora and no_merge else 'model')}")


def _typed_about_adapters() -> list[str]:
    """Return the options about adapters that were given."""
    context = click.get_current_context()
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in {"lora_r", "lora_alpha", "lora_dropout", "lora_targets", "no_merge"}
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]


def _line(report: TrainReport) -> str:
    """Return what is said of a finished training."""
    line = f"{report.chains} chains, {report.steps} steps, {report.tokens:,} tokens in {report.seconds:.0f} s"
    tenth = tenth_of(report.steps)
    ends = f"means of the first and the last {tenth} steps" if tenth > 1 else "the first and the last step"
    line += f"; loss {report.first_loss:.3f} to {report.final_loss:.3f} nats a token ({ends})"
    if report.held_out:
        line += f"; on {report.held_out} chains held out {report.final_validation_loss:.3f}"
    return line
