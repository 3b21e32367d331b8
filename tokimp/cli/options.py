"""Options that several commands share, and the groups of them that the commands take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tokimp.chains.datasets import FORMATS
from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.cli.plugin_name import BACKEND, OBJECTIVE, TASK, UNIT
from tokimp.models.writing.load import ENGINES

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

WRONG_ANSWERS = ("option", "number", "model")
"""The ways of `tokimp.compare.wrong_answers`, which takes too long to import for the help."""

SPECIFICATION = "NAME[:PARAMETER=VALUE,...]"
"""How the help shows a plugin that may have parameters."""

MODEL_HELP = "Hub id, local folder, GGUF file, or 'tiny'."
PROMPT_FORMAT_HELP = "Layout of question, reasoning and answer."


class NumberOrAuto(click.ParamType[int | str, Any]):
    """A whole number from 1 on, or the word ``auto``."""

    name = "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or ``auto``."""
        if value == "auto":
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither 'auto' nor a whole number from 1 on", param, ctx)
        return int(value)


def with_control_characters(text: str) -> str:
    r"""Return a text in which ``\n`` and ``\t``, as a shell passes them on, are newlines and tabs."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _tags_with_control_characters(
    _context: click.Context, _option: click.Parameter, tags: tuple[str, str] | None
) -> tuple[str, str] | None:
    """Return both tags, their control characters as such."""
    if tags is None:
        return None
    opening, closing = map(with_control_characters, tags)
    return opening, closing


DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
TRUST_REMOTE_CODE = click.option(
    "--trust-remote-code", is_flag=True, help="Let the model's repository run its own code."
)
_PACKED = click.option(
    "--packed/--no-packed",
    default=None,
    help="Read shortened chains in packs of any lengths, or in batches of equal lengths.  [default: what is faster on "
    "the device; tokimp doctor --model says which]",
)
COMPILED = click.option(
    "--compiled",
    is_flag=True,
    default=None,
    help="Compile the blocks of a model that reads packs. It takes half a minute, and saves up to a third of the time "
    "that large models take on a GPU.",
)
READING = {"packed", "compiled"}
"""The parameters that `reading_options` gives a command."""


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say how shortened chains are read; they change rounding alone."""
    return _PACKED(COMPILED(command))


PLACEMENT = {"device_map", "offload_folder", "quantization"}
"""The parameters that `placement_options` gives a command."""
_PLACEMENT_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--device-map",
        metavar="NAME|JSON|FILE",
        help="For a model that one device cannot hold: auto, balanced, ..., or a JSON object (or a file with one) that "
        "maps modules to devices, 'cpu' and 'disk'. In place of --device.",
    ),
    click.option(
        "--offload-folder",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder for weights that the device map puts on disk.",
    ),
    click.option(
        "--quantization",
        metavar="NAME[:OPTION=VALUE,...]",
        help="Quantise weights as they are loaded: bitsandbytes_4bit, quanto:weights=int8, "
        "torchao:quant_type=Int8WeightOnlyConfig, ...",
    ),
)
MODEL = click.option("--model", default="tiny", show_default=True, help=MODEL_HELP)
DTYPE = click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16, float16.")
PROMPT_FORMAT = click.option(
    "--prompt-format",
    default="auto",
    show_default=True,
    type=click.Choice(PROMPT_FORMATS),
    help=PROMPT_FORMAT_HELP,
)
THINK_TAGS = click.option(
    "--think-tags",
    nargs=2,
    type=str,
    callback=_tags_with_control_characters,
    metavar="OPENING CLOSING",
    help=r"Tags around the reasoning, with the white space around them: '<think>\n' '\n</think>\n\n'.  "
    "[default: the chat template's own]",
)
FORMAT = click.option(
    "--format",
    "record_format",
    default="auto",
    show_default=True,
    type=click.Choice(FORMATS),
    help="Format of the chains' records.",
)
_SPLIT_HELP = "Split of a hub dataset."
SPLIT = click.option("--split", default="test", show_default=True, help=_SPLIT_HELP)
HUB_SPLIT = click.option("--hub-split", default="test", show_default=True, help=_SPLIT_HELP)
"""`SPLIT` for a command whose ``--split`` divides responses."""
KEEP_CALCULATOR = click.option("--keep-calculator", is_flag=True, help="Keep GSM8K's calculator notes (<<2+3=5>>).")
UNIT_OPTION = click.option(
    "--unit",
    default="token",
    show_default=True,
    type=UNIT,
    metavar=SPECIFICATION,
    help="What is deleted as a whole: token, word, sentence, line, paragraph, step, equation, ...",
)
SKIP_BAD = click.option("--skip-bad", is_flag=True, help="Leave bad chains out and list them, instead of stopping.")
SEED = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Seed of all random numbers."
)
_RUN_OPTIONS: tuple[Decorator, ...] = (
    click.argument("chains", default="demo"),
    MODEL,
    click.option(
        "--backend",
        default="transformer_lens",
        show_default=True,
        type=BACKEND,
        metavar="NAME",
        help="Scorer plugin (see tokimp plugins).",
    ),
    DEVICE,
    DTYPE,
    *_PLACEMENT_OPTIONS,
    TRUST_REMOTE_CODE,
    click.option(
        "--objective",
        default="joint",
        show_default=True,
        type=OBJECTIVE,
        metavar="NAME",
        help="What deletions are to preserve: joint, answer, answer_value, reasoning, contrast, ...",
    ),
    UNIT_OPTION,
    PROMPT_FORMAT,
    THINK_TAGS,
    click.option(
        "--wrong-answers",
        type=click.Choice(WRONG_ANSWERS),
        help="Draw a wrong answer for each chain that has none, for the objective contrast: another option of the "
        "question, another number, or the model's own second choice.  [default: draw none]",
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", help="Use only the first N chains.  [default: all]"
    ),
    FORMAT,
    SPLIT,
    KEEP_CALCULATOR,
    SKIP_BAD,
    click.option(
        "--chains-at-once",
        default="auto",
        show_default=True,
        type=NumberOrAuto(),
        metavar="N|auto",
        help="Ask about this many chains side by side, which fills a GPU; auto: 8 on a GPU, 1 on a CPU.",
    ),
    SEED,
)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument CHAINS and the options that `tokimp.cli.run.run` takes."""
    return _decorate(function, _RUN_OPTIONS)


def task_options(split: str) -> Decorator:
    """Give a command the arguments TASK and SOURCE, and the options that `tokimp.cli.ask.ask` takes.

    Parameters
    ----------
    split
        The default of ``--split``.
    """
    decorators: tuple[Decorator, ...] = (
        click.argument("task", type=TASK, metavar="TASK[:PARAMETER=VALUE,...]"),
        click.argument("source", required=False),
        MODEL,
        click.option(
            "--engine",
            default="transformers",
            show_default=True,
            type=click.Choice(ENGINES),
            help="Library that writes the responses.",
        ),
        DEVICE,
        DTYPE,
        *_PLACEMENT_OPTIONS,
        TRUST_REMOTE_CODE,
        PROMPT_FORMAT,
        THINK_TAGS,
        click.option(
            "--split",
            default=split,
            show_default=True,
            help="train or test. A file is read whole, except for MMLU-Pro.",
        ),
        click.option(
            "--limit",
            type=click.IntRange(min=1),
            metavar="N",
            help="Ask only N questions, drawn (or made) by the seed.  [default: all]",
        ),
        SEED,
        click.option(
            "--max-new-tokens",
            type=click.IntRange(min=1),
            metavar="N",
            help="Longest response, in tokens.  [default: the task's own]",
        ),
    )
    return lambda function: _decorate(function, decorators)


def placement_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that spread a model over devices and quantise its weights."""
    return _decorate(function, _PLACEMENT_OPTIONS)


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given: scorers of other packages need not know the others."""
    return {name: value for name, value in options.items() if value is not None}


def _decorate(function: Callable[..., Any], decorators: Sequence[Decorator]) -> Callable[..., Any]:
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def typed(names: set[str]) -> list[str]:
    """Return which of some parameters of the command were typed, as the user knows them: ``--model``, ``CHAINS``."""
    context = click.get_current_context()
    return [
        parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        for parameter in context.command.params
        if parameter.name in names
        and context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE
    ]
