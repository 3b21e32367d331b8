"""``tokimp train``: a student fine-tuned on chains."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.cli.lines import echo, echo_left_out
from tokimp.cli.options import MODEL_HELP, PROMPT_FORMAT_HELP, THINK_TAGS, TRUST_REMOTE_CODE, typed
from tokimp.cli.plugin_name import TRAINER
from tokimp.contracts.train_settings import DTYPES, PRECISIONS, SCHEDULES, Lora, TrainSettings
from tokimp.distillation.train.losses import tenth_of
from tokimp.errors import TrainingError

if TYPE_CHECKING:
    from tokimp.distillation.train.train import TrainReport

_DEFAULTS = {field.name: field.default for field in fields(TrainSettings)}
_LORA = {field.name: field.default for field in fields(Lora)}
# Each setting's name, type and help; what is allowed is checked by TrainSettings itself.
_SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("epochs", float, "How often the student sees every chain."),
    ("max_steps", int, "Stop after this many optimiser steps instead.  [default: after --epochs]"),
    ("learning_rate", float, "Highest learning rate."),
    ("batch_size", int, "Chains that a device reads at once."),
    ("gradient_accumulation", int, "Batches between two optimiser steps."),
    ("schedule", click.Choice(SCHEDULES), "How the learning rate changes."),
    ("warmup", float, "Share of the steps (below 1), or number of steps, in which the learning rate rises."),
    ("weight_decay", float, "Weight decay of AdamW."),
    ("max_gradient_norm", float, "Scale gradients down to this norm."),
    ("max_length", int, "Leave out chains of more tokens in all.  [default: the model's limit]"),
    ("seed", int, "Seed of the order of the chains, of dropout and of new adapters."),
    ("prompt_format", click.Choice(PROMPT_FORMATS), PROMPT_FORMAT_HELP),
    ("validation", float, "Share of the chains to hold out (about), chosen by their questions."),
    ("validation_seed", int, "Seed of that choice."),
    (
        "patience",
        int,
        "Stop once the loss on the chains held out has not fallen for so many epochs.  [default: never]",
    ),
    ("checkpoint_steps", int, "Steps between checkpoints; 0 for none.  [default: one an epoch]"),
    ("device", str, "auto, cpu, cuda, mps."),
    ("dtype", click.Choice(DTYPES), "Type of the weights in training. auto is float32, except for adapters on a GPU."),
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
@click.option("--student", required=True, help=MODEL_HELP)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the training.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use only the first N chains.  [default: all]")
@_setting_options
@click.option(
    "--keep-best", is_flag=True, help="Keep the model of the epoch with the lowest loss on the chains held out."
)
@click.option("--gradient-checkpointing", is_flag=True, help="Compute activations twice instead of keeping them.")
@click.option("--lora", is_flag=True, help="Train low-rank adapters instead of all weights.")
@click.option("--lora-r", default=_LORA["r"], show_default=True, help="Rank of the adapters.")
@click.option(
    "--lora-alpha", default=_LORA["alpha"], show_default=True, help="The output of the adapters is scaled by alpha / r."
)
@click.option(
    "--lora-dropout", default=_LORA["dropout"], show_default=True, help="Dropout on the input of the adapters."
)
@click.option(
    "--lora-target",
    "lora_targets",
    multiple=True,
    metavar="LAYER",
    help="A layer that gets an adapter; give the option once for each.  [default: every linear layer but the output]",
)
@click.option("--no-merge", is_flag=True, help="Keep the adapters only, and write no merged model.")
@click.option(
    "--trainer",
    default="trl",
    show_default=True,
    type=TRAINER,
    metavar="NAME",
    help="Trainer plugin (see tokimp plugins).",
)
@THINK_TAGS
@TRUST_REMOTE_CODE
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

    The folder of the training gets a folder named model, which every --model takes. The same command continues a
    training that was stopped. Needs the extra 'distill'.

    There is no --device-map and no --quantization: a training places the student itself, with gradients and the
    optimiser's numbers beside the weights, and quantised weights cannot take an optimiser's small steps. --lora and
    --dtype save memory.
    """
    from tokimp.chains.datasets import load_chains
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.model_preparation import prepare_model
    from tokimp.distillation.train.train import REPORT
    from tokimp.distillation.train.train import train as run_training
    from tokimp.storage.overwriting import refuse_foreign

    adapters = None
    try:
        if lora:
            adapters = Lora(lora_r, lora_alpha, lora_dropout, lora_targets or "all-linear", merge=not no_merge)
        elif about_adapters := typed({"lora_r", "lora_alpha", "lora_dropout", "lora_targets", "no_merge"}):
            raise click.UsageError(f"{', '.join(about_adapters)}: about adapters; add --lora, or leave it out")
        train_settings = TrainSettings(lora=adapters, **settings)
    except TrainingError as error:
        raise click.UsageError(str(error)) from error
    made = ("model", "adapter", "checkpoints", REPORT)
    written = [out / name for name in (*made, "run.json")]
    protect_inputs(written, {"--student": student, "CHAINS": chains}, [trainer])
    refuse_foreign(out, made)
    prepare_model(student)
    report = run_training(
        student,
        load_chains(chains, format="jsonl", limit=limit),
        out,
        train_settings,
        trainer=trainer,
        trust_remote_code=trust_remote_code,
        origin={"chains": chains, "limit": limit},
    )
    # Under accelerate launch every process gets here; only the first one speaks.
    if os.environ.get("RANK", "0") != "0":
        return
    for record in report.left_out:
        echo_left_out(record["reason"], record["where"])
    echo(_line(report))
    echo(f"model: {out / ('adapter' if lora and no_merge else 'model')}")


def _line(report: TrainReport) -> str:
    """Return the line that says what a training came to."""
    line = f"{report.chains} chains, {report.steps} steps, {report.tokens:,} tokens in {report.seconds:.0f} s"
    tenth = tenth_of(report.steps)
    ends = f"means of the first and the last {tenth} steps" if tenth > 1 else "the first and the last step"
    line += f"; loss {report.first_loss:.3f} to {report.final_loss:.3f} nats a token ({ends})"
    if report.held_out:
        line += f"; on {report.held_out} chains held out {report.final_validation_loss:.3f}"
    return line
