"""How a student is trained: everything that changes what it learns, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.errors import TrainingError, did_you_mean

SCHEDULES = ("constant", "constant_with_warmup", "linear", "cosine")
DTYPES = ("auto", "float32", "bfloat16", "float16")
PRECISIONS = ("full", "bf16", "fp16")
_LARGEST_SEED = 2**32 - 1
_MOST_HELD_OUT = 0.5


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), trained in the place of the student's own weights.

    Attributes
    ----------
    r
        Rank of the adapters.
    alpha
        Their output is scaled by ``alpha / r``.
    dropout
        On their input, from 0 up to, not including, 1.
    target_modules
        Names of the layers that get one; ``all-linear`` for every linear layer but the output projection.
    merge
        Whether the finished model has the adapters merged into its weights. They are kept apart either way.
    """

    r: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    merge: bool = True

    def __post_init__(self) -> None:
        _check(self, "r", _is_count(self.r), "a whole number, 1 or more")
        _check(self, "alpha", _is_number(self.alpha) and self.alpha > 0, "a number above 0")
        _check(self, "dropout", _is_number(self.dropout) and 0 <= self.dropout < 1, "a number from 0 to below 1")
        names = self.target_modules
        if isinstance(names, list):
            object.__setattr__(self, "target_modules", tuple(names))
        listed = isinstance(names, list | tuple) and bool(names) and all(isinstance(name, str) for name in names)
        _check(self, "target_modules", listed or (isinstance(names, str) and bool(names)), "names of layers")
        _check(self, "merge", isinstance(self.merge, bool), "true or false")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What a training is told; all of it stands in its report.

    Attributes
    ----------
    epochs
        How often every chain is seen; a fraction of an epoch is allowed.
    max_steps
        Stop after so many optimiser steps instead; ``None`` for `epochs`.
    learning_rate
        At its highest.
    batch_size
        Chains a device reads at once.
    gradient_accumulation
        Batches read between two optimiser steps.
    schedule
        Of the learning rate: ``constant``, ``constant_with_warmup``, ``linear`` or ``cosine``.
    warmup
        Steps during which the learning rate rises: a share of all steps below 1, or their number.
    weight_decay, max_gradient_norm
        Of AdamW; gradients are scaled down to that norm.
    max_length
        Chains of more tokens in all are left out, and counted; ``None`` for the model's own limit.
    seed
        Of the order of the chains, of dropout and of new adapters.
    prompt_format
        How question, reasoning and answer are laid out (`tokimp.tokenize_chain`).
    validation
        Share of the questions whose chains are held out, from 0 to 0.5, met on average; the loss on them is measured
        after every epoch. A chain is held out by a hash of its question and `validation_seed` alone, so that trainings
        that differ in `seed`, or in how chains were shortened, share them.
    validation_seed
        See `validation`.
    keep_best
        Whether the finished model is that of the epoch with the lowest loss on the chains held out.
    patience
        Stop once that loss has not fallen for so many epochs; ``None`` for never.
    checkpoint_steps
        Keep a checkpoint every so many steps instead of after every epoch; 0 for none.
    lora
        Train adapters instead of all weights.
    device
        ``auto``, ``cpu``, ``cuda``, ...
    dtype
        Of the weights while they are trained. ``auto``: float32 for full training, since AdamW's steps are lost in
        16 bits; for adapters on an accelerator the checkpoint's own.
    precision
        ``bf16`` or ``fp16`` compute in 16 bits where that is safe (automatic mixed precision); ``full`` does not.
    gradient_checkpointing
        Compute activations again in the backward pass instead of keeping them.

    Raises
    ------
    TrainingError
        If a value is not allowed; the message names it and what is.
    """

    epochs: float = 3.0
    max_steps: int | None = None
    learning_rate: float = 2e-5
    batch_size: int = 8
    gradient_accumulation: int = 1
    schedule: str = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    max_length: int | None = None
    seed: int = 0
    prompt_format: str = "auto"
    validation: float = 0.0
    validation_seed: int = 0
    keep_best: bool = False
    patience: int | None = None
    checkpoint_steps: int | None = None
    lora: Lora | None = None
    device: str = "auto"
    dtype: str = "auto"
    precision: str = "full"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        self._check_numbers()
        allowed = {"schedule": SCHEDULES, "prompt_format": PROMPT_FORMATS, "dtype": DTYPES, "precision": PRECISIONS}
        for name, values in allowed.items():
            _check(self, name, getattr(self, name) in values, f"one of {', '.join(values)}")
        for name in ("keep_best", "gradient_checkpointing"):
            _check(self, name, isinstance(getattr(self, name), bool), "true or false")
        _check(self, "device", isinstance(self.device, str) and bool(self.device), "the name of a device")
        _check(self, "lora", self.lora is None or isinstance(self.lora, Lora), "a Lora, or null")
        by_epoch = [name for name in ("keep_best", "patience") if getattr(self, name)]
        if by_epoch and not self.validation:
            raise TrainingError(f"{by_epoch[0]} goes by the loss on chains held out; give validation a share above 0")
        if by_epoch and self.checkpoint_steps is not None:
            raise TrainingError(f"{by_epoch[0]} goes by epochs, and so do its checkpoints: leave out checkpoint_steps")

    def _check_numbers(self) -> None:
        for name in ("epochs", "learning_rate", "max_gradient_norm"):
            _check(self, name, _is_number(getattr(self, name)) and getattr(self, name) > 0, "a number above 0")
        for name in ("warmup", "weight_decay"):
            _check(self, name, _is_number(getattr(self, name)) and getattr(self, name) >= 0, "a number, 0 or more")
        whole_steps = self.warmup < 1 or float(self.warmup).is_integer()
        _check(self, "warmup", whole_steps, "a share of the steps below 1, or a whole number of steps")
        for name in ("batch_size", "gradient_accumulation"):
            _check(self, name, _is_count(getattr(self, name)), "a whole number, 1 or more")
        for name in ("max_steps", "max_length", "patience"):
            value = getattr(self, name)
            _check(self, name, value is None or _is_count(value), "a whole number, 1 or more, or null")
        steps = self.checkpoint_steps
        _check(self, "checkpoint_steps", steps is None or steps == 0 or _is_count(steps), "a whole number, or null")
        for name in ("seed", "validation_seed"):
            value = getattr(self, name)
            fits = type(value) is int and 0 <= value <= _LARGEST_SEED
            _check(self, name, fits, f"a whole number from 0 to {_LARGEST_SEED}")
        share = self.validation
        _check(self, "validation", _is_number(share) and 0 <= share <= _MOST_HELD_OUT, "a share from 0 to 0.5")

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "train") -> TrainSettings:
        """Return settings made of a mapping, as a plan or a report has it.

        Raises
        ------
        TrainingError
            If a key is unknown (the message lists the known ones) or a value is not allowed.
        """
        given = dict(values)
        _refuse_unknown(given, cls, where)
        lora = given.get("lora")
        if isinstance(lora, Mapping):
            _refuse_unknown(lora, Lora, f"{where}.lora")
            try:
                given["lora"] = Lora(**lora)
            except TrainingError as error:
                raise TrainingError(f"{where}.lora: {error}") from error
        elif isinstance(lora, bool):
            given["lora"] = Lora() if lora else None
        try:
            return cls(**given)
        except TrainingError as error:
            raise TrainingError(f"{where}: {error}") from error

    def described(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them, and `of` reads them back."""
        return asdict(self)


def _refuse_unknown(given: Mapping[str, Any], settings: Any, where: str) -> None:
    known = [field.name for field in fields(settings)]
    unknown = [key for key in given if key not in known]
    if unknown:
        raise TrainingError(
            f"{where} has no setting {unknown[0]!r}{did_you_mean(unknown[0], known)}; it has {', '.join(known)}"
        )


def _check(settings: object, name: str, allowed: bool, what: str) -> None:
    if not allowed:
        raise TrainingError(f"{name}={getattr(settings, name)!r} is not allowed; give {what}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
