"""The settings of a training: everything that changes what a student learns, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.checked_fields import KNOWN_FIELDS_ONLY, Allowed, mistake_in, raises
from tokimp.contracts.constraints import AnyOf, ListOf, Number, Optional, Text, TrueOrFalse, WholeNumber
from tokimp.errors import TrainingError

Schedule = Literal["constant", "constant_with_warmup", "linear", "cosine"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
TrainingDtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: tuple[TrainingDtype, ...] = get_args(TrainingDtype)
Precision = Literal["full", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LARGEST_SEED = 2**32 - 1

Count = Annotated[int, Allowed(WholeNumber(1))]
CountOrNone = Annotated[int | None, Allowed(Optional(WholeNumber(1)))]
Positive = Annotated[float, Allowed(Number(above=0))]
Seed = Annotated[int, Allowed(WholeNumber(0, LARGEST_SEED))]
Truth = Annotated[bool, Allowed(TrueOrFalse())]
_Layers = AnyOf(Text("the name of a layer"), ListOf(Text("the name of a layer"), fewest=1))


def _as_tuple(names: Any) -> Any:
    return tuple(names) if isinstance(names, list) else names


def _two_tags(tags: Any) -> Any:
    if tags is None:
        return None
    if not (isinstance(tags, list | tuple) and len(tags) == 2 and all(isinstance(tag, str) for tag in tags)):
        raise ValueError(f"{tags!r} is no pair of texts; give the opening and the closing tag, or null")
    return tuple(tags)


TagsOrNone = Annotated[ThinkTags | None, BeforeValidator(_two_tags)]


def _share_or_steps(warmup: float) -> float:
    if warmup >= 1 and not float(warmup).is_integer():
        raise ValueError(f"{warmup!r} is neither a share of the steps, below 1, nor a whole number of steps")
    return warmup


def _adapters_or_none(lora: Any) -> Any:
    """Read ``true`` as adapters with their defaults, and ``false`` as none."""
    if isinstance(lora, bool):
        return {} if lora else None
    return lora


@raises(TrainingError)
@dataclass(frozen=True, slots=True, config=KNOWN_FIELDS_ONLY)
class Lora:
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), trained in the place of the student's own weights.

    Attributes
    ----------
    r
        Rank of the adapters.
    alpha
        Their output is scaled by ``alpha / r``.
    dropout
        Share of their inputs that is set to 0, from 0 up to, not including, 1.
    target_modules
        Names of the layers that get one; ``all-linear`` for every linear layer but the output projection.
    merge
        Whether the finished model has the adapters merged into its weights. They are also kept apart either way.
    """

    r: Count = 16
    alpha: Positive = 32.0
    dropout: Annotated[float, Allowed(Number(0, below=1))] = 0.0
    target_modules: Annotated[str | tuple[str, ...], Allowed(_Layers), AfterValidator(_as_tuple)] = "all-linear"
    merge: Truth = True


@raises(TrainingError)
@dataclass(frozen=True, slots=True, config=KNOWN_FIELDS_ONLY)
class TrainSettings:
    """What a training is told; all of it stands in its report.

    Attributes
    ----------
    epochs
        How often every chain is seen; a fraction of an epoch is allowed.
    max_steps
        Stop after this many optimiser steps instead; ``None`` to stop after `epochs`.
    learning_rate
        The highest learning rate of the schedule.
    batch_size
        Chains that a device reads at once.
    gradient_accumulation
        Batches read between two optimiser steps.
    schedule
        How the learning rate changes: ``constant``, ``constant_with_warmup``, ``linear`` or ``cosine``.
    warmup
        Steps during which the learning rate rises: a share of all steps below 1, or their number.
    weight_decay, max_gradient_norm
        AdamW's weight decay, and the norm that gradients are scaled down to.
    max_length
        Chains with more tokens in all are left out, and counted; ``None`` for the model's own limit.
    seed
        Decides the order of the chains, dropout and the first weights of adapters.
    prompt_format, think_tags
        How question, reasoning and answer are laid out (`tokimp.tokenize_chain`).
    validation
        Share of the questions whose chains are held out, from 0 to 0.5, on average; the loss on them is measured
        after every epoch. A hash of the chain's question and `validation_seed` alone decides, so that trainings that
        differ in `seed`, or in how chains were shortened, hold out the same questions.
    validation_seed
        See `validation`.
    keep_best
        Whether the finished model is that of the epoch with the lowest loss on the chains held out.
    patience
        Stop once that loss has not fallen for this many epochs; ``None`` for never.
    checkpoint_steps
        Keep a checkpoint after every so many steps instead of after every epoch; 0 for none.
    lora
        Train adapters instead of all weights.
    device
        ``auto``, ``cpu``, ``cuda``, ...
    dtype
        Type of the weights while they are trained. ``auto``: float32 for full training, since AdamW's steps are lost in
        16 bits; for adapters on an accelerator, the checkpoint's own.
    precision
        ``bf16`` or ``fp16`` compute in 16 bits where that is safe (automatic mixed precision); ``full`` does not.
    gradient_checkpointing
        Compute activations again in the backward pass instead of keeping them.

    Raises
    ------
    TrainingError
        If a value is not allowed; the message names it and says what is.
    """

    epochs: Positive = 3.0
    max_steps: CountOrNone = None
    learning_rate: Positive = 2e-5
    batch_size: Count = 8
    gradient_accumulation: Count = 1
    schedule: Schedule = "cosine"
    warmup: Annotated[float, Allowed(Number(0)), AfterValidator(_share_or_steps)] = 0.03
    weight_decay: Annotated[float, Allowed(Number(0))] = 0.0
    max_gradient_norm: Positive = 1.0
    max_length: CountOrNone = None
    seed: Seed = 0
    prompt_format: PromptFormat = "auto"
    think_tags: TagsOrNone = None
    validation: Annotated[float, Allowed(Number(0, 0.5))] = 0.0
    validation_seed: Seed = 0
    keep_best: Truth = False
    patience: CountOrNone = None
    checkpoint_steps: Annotated[int | None, Allowed(Optional(WholeNumber(0)))] = None
    lora: Annotated[Lora | None, BeforeValidator(_adapters_or_none)] = None
    device: Annotated[str, Allowed(Text("the name of a device"))] = "auto"
    dtype: TrainingDtype = "auto"
    precision: Precision = "full"
    gradient_checkpointing: Truth = False

    @model_validator(mode="after")
    def _check_what_goes_by_epochs(self) -> Self:
        by_epoch = [name for name in ("keep_best", "patience") if getattr(self, name)]
        if by_epoch and not self.validation:
            raise ValueError(f"{by_epoch[0]} goes by the loss on chains held out; give validation a share above 0")
        if by_epoch and self.checkpoint_steps is not None:
            raise ValueError(f"{by_epoch[0]} goes by epochs, and so do its checkpoints: leave out checkpoint_steps")
        return self

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "train") -> TrainSettings:
        """Return the settings in a mapping, as a plan or a report has them.

        Parameters
        ----------
        values
            Settings by name; those that are missing have their defaults.
        where
            The key under which they stand, for messages.

        Raises
        ------
        TrainingError
            If a key is unknown (the message lists the known ones) or a value is not allowed.
        """
        try:
            return TypeAdapter(TrainSettings).validate_python(dict(values))
        except ValidationError as mistakes:
            raise TrainingError(mistake_in(mistakes, cls, where)) from mistakes

    def described(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them, and `of` reads them back."""
        described = asdict(self)
        # Named only where they are given, so that trainings begun before there were tags are continued.
        if self.think_tags is None:
            del described["think_tags"]
        else:
            described["think_tags"] = list(self.think_tags)
        return described
