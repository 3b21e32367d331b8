"""Train a student on chains; a training that is killed at any moment is continued by the same call."""

from __future__ import annotations

import copy
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import SkippedRecord, load_chains
from tokimp.contracts.checked_trainer import fit_by
from tokimp.contracts.registry import load_trainer
from tokimp.contracts.train_settings import TrainSettings
from tokimp.contracts.trainer import Fit, Trainer, TrainingExample
from tokimp.distillation.train.examples import hold_out, training_examples
from tokimp.distillation.train.losses import mean_loss, tenth_of
from tokimp.distillation.train.trainable import check_trainable, not_trainable
from tokimp.errors import TokimpError, TrainingError
from tokimp.models.configuration import load_tokenizer, recorded_context_length
from tokimp.models.device import resolve_device
from tokimp.models.fingerprint import model_fingerprint
from tokimp.models.loading import load_model
from tokimp.results.provenance import threads_text
from tokimp.storage.atomic import replacing, write_object
from tokimp.storage.digests import json_digest
from tokimp.storage.json_file import read_object
from tokimp.storage.overwriting import refuse_overwriting
from tokimp.storage.run_folder import RunFolder
from tokimp.storage.write_errors import write_failure

REPORT = "report.json"
_PACKAGES = ("tokimp", "torch", "transformers", "accelerate", "trl", "peft")


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The report of a training; ``report.json``.

    Attributes
    ----------
    student, student_fingerprint
        The model that was trained, and a digest of it before the training.
    chains, held_out
        Number of chains trained on, and of those the validation loss was measured on.
    left_out
        The chains that were too long, each with its reason.
    trained_tokens, loss_tokens
        Token positions read in one epoch, and how many of them count in the loss.
    steps, tokens
        Optimiser steps, and token positions read in training, those before an interruption included.
    seconds
        Seconds that this call alone took, loading and writing included.
    history
        Losses (nats a token) on the way: see `tokimp.contracts.trainer.Fit`.
    settings, trainer, versions
        The settings, the trainer, and the versions of the packages used.
    continued
        Whether the training went on from a checkpoint or was finished already.
    threads
        The number of threads of torch; several, comma-separated, where the training was continued with another.
    """

    student: str
    student_fingerprint: str
    chains: int
    held_out: int
    left_out: list[dict[str, str]]
    trained_tokens: int
    loss_tokens: int
    steps: int
    tokens: int
    seconds: float
    history: list[dict[str, float]]
    settings: dict[str, Any]
    trainer: str
    versions: dict[str, str] = field(default_factory=dict)
    continued: bool = False
    threads: str = ""

    @property
    def first_loss(self) -> float:
        """The mean training loss over the first tenth of the steps, in nats a token; NaN where none was measured."""
        return mean_loss(self.history, 0, tenth_of(self.steps))

    @property
    def final_loss(self) -> float:
        """The mean training loss over the last tenth of the steps, in nats a token; NaN where none was measured."""
        return mean_loss(self.history, self.steps - tenth_of(self.steps), self.steps)

    @property
    def final_validation_loss(self) -> float:
        """The last loss on the chains held out, in nats a token; NaN where there are none."""
        losses = [point["validation_loss"] for point in self.history if "validation_loss" in point]
        return losses[-1] if losses else float("nan")

    def described(self) -> dict[str, Any]:
        """Return the content of ``report.json``: all attributes, and in ``loss`` the means at both ends."""
        ends = {"first_tenth": self.first_loss, "last_tenth": self.final_loss}
        loss = {name: value if math.isfinite(value) else None for name, value in ends.items()}
        return {**asdict(self), "loss": {**loss, "steps_of_a_tenth": tenth_of(self.steps)}}

    @classmethod
    def load(cls, out: str | Path) -> TrainReport:
        """Read the report of a finished training from its folder.

        Raises
        ------
        TrainingError
            If there is none, or it cannot be read.
        """
        path = Path(out) / REPORT
        try:
            stored = read_object(path)
            # It is there for readers of the file; here it follows from the history.
            stored.pop("loss", None)
            return cls(**stored)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TrainingError(f"{path} is no report of a finished training ({error}); train again") from error


def train(
    student: str | Path,
    chains: Sequence[Chain] | str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    trainer: str | Trainer = "trl",
    tokenizer: Any = None,
    trust_remote_code: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> TrainReport:
    """Train a student to write chains' reasoning and answers, given their questions.

    The ids are those that a scorer reads (`tokimp.distillation.train.examples.training_examples`); the loss counts the
    reasoning, the answer and what ends the text, never the prompt.

    Parameters
    ----------
    student
        What `tokimp.load_scorer` takes: a hub id, a folder, a GGUF file or ``"tiny"``.
    chains
        Chains, or a file of them.
    out
        A folder: ``model`` (a folder that `tokimp.load_scorer` takes), for adapters also ``adapter``, and
        ``report.json``. Until all that is there, ``checkpoints`` holds what the same call continues from.
    settings
        The settings of the training; the defaults if there are none.
    trainer
        The training library: a name (entry point ``tokimp.trainers``) or an instance.
    tokenizer
        Where to load another tokenizer from; the student's own by default.
    trust_remote_code
        Let the student's repository run its own code.
    origin
        Where the chains come from (``{"chains": ..., "limit": ...}``), to be named where `out` holds a training on
        others; by default their file, if they are given as one.

    Raises
    ------
    TrainingError
        If a package is missing, the student is stored quantised, nothing is left to train on, or the training fails.
    ChainError, TokenizationError
        If a chain cannot be used.
    ScorerError, UnsupportedError
        If the student cannot be loaded, or is no decoder.
    ResumeError
        If `out` holds another training, or is in use.
    """
    start = time.perf_counter()
    settings = settings or TrainSettings()
    training_library = load_trainer(trainer)
    training_library.validate_parameters()
    if isinstance(chains, str | Path):
        loaded, origin = load_chains(chains, format="jsonl"), origin or {"chains": str(chains)}
    else:
        loaded = list(chains)
    folder = Path(out)
    read = {"the student": student, "the chains": chains if isinstance(chains, str | Path) else None}
    refuse_overwriting([folder / name for name in ("model", "adapter", "checkpoints", REPORT)], read)
    check_trainable(str(student), trust_remote_code=trust_remote_code)
    # The chains before the weights: what does not fit is said before the student takes its time.
    longest = recorded_context_length(str(student), trust_remote_code=trust_remote_code)
    if tokenizer is None or isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(str(tokenizer or student), trust_remote_code=trust_remote_code)
    left_out: list[SkippedRecord] = []
    examples = training_examples(
        loaded,
        tokenizer,
        prompt_format=settings.prompt_format,
        think_tags=settings.think_tags,
        max_length=settings.max_length or longest,
        left_out=left_out,
    )
    training, validation = hold_out(examples, settings.validation, settings.validation_seed)
    model, own_tokenizer = _load(student, settings, tokenizer, trust_remote_code=trust_remote_code)
    report = TrainReport(
        student=str(student),
        student_fingerprint=model_fingerprint(model),
        chains=len(training),
        held_out=len(validation),
        left_out=[asdict(record) for record in left_out],
        trained_tokens=sum(len(example.input_ids) for example in training),
        loss_tokens=sum(len(example.input_ids) - example.prompt_length for example in training),
        steps=0,
        tokens=0,
        seconds=0.0,
        history=[],
        settings=settings.described(),
        trainer=training_library.label,
        versions=_versions(),
    )
    # Under accelerate launch all processes train, and one writes.
    writes = int(os.environ.get("RANK", "0")) == 0
    recorded = RunFolder(folder, _identity(report, examples), REPORT, origin=origin) if writes else None
    with nullcontext() if recorded is None else recorded:
        if (folder / REPORT).is_file():
            return replace(TrainReport.load(folder), continued=True)
        checkpoints = folder / "checkpoints"
        continued = any(checkpoints.glob("checkpoint-*"))
        if recorded is not None:
            recorded.note_threads(torch.get_num_threads())
            report = replace(report, threads=threads_text(recorded.threads))
        fit = fit_by(
            training_library,
            model,
            own_tokenizer,
            training=training,
            validation=validation,
            settings=settings,
            checkpoints=checkpoints,
        )
        report = replace(report, steps=fit.steps, tokens=fit.tokens, history=fit.history, continued=continued)
        if not writes:
            return report
        _refuse_no_numbers(fit)
        _keep(fit, own_tokenizer, folder)
        report = replace(report, seconds=round(time.perf_counter() - start, 3))
        write_object(folder / REPORT, report.described())
        shutil.rmtree(checkpoints, ignore_errors=True)
    return report


def _refuse_no_numbers(fit: Fit) -> None:
    """Raise `TrainingError` if a loss is infinite or NaN: such a student is worthless, and is not kept."""
    for point in fit.history:
        for name, value in point.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"step {point.get('step', 0):g}: the {name.replace('_', ' ')} is no longer a number ({value}); "
                    "lower learning_rate, or give precision full, in another folder"
                )


def _load(student: str | Path, settings: TrainSettings, tokenizer: Any, *, trust_remote_code: bool) -> tuple[Any, Any]:
    """Return the student, ready to be trained, on the CPU: the training library places it."""
    on_cpu = torch.device(resolve_device(settings.device)).type == "cpu"
    dtype = settings.dtype
    if dtype == "auto":
        dtype = "auto" if settings.lora is not None and not on_cpu else "float32"
    loaded = load_model(
        str(student), device="cpu", dtype=dtype, tokenizer=tokenizer, trust_remote_code=trust_remote_code
    )
    model = _without_gguf(loaded.model)
    if getattr(model, "is_quantized", False):
        raise not_trainable(str(student), type(model.config.quantization_config).__name__)
    return model.train().requires_grad_(requires_grad=True), loaded.tokenizer


def _without_gguf(model: Any) -> Any:
    """Return a model that can be saved; transformers refuses to save one whose weights came from a GGUF file."""
    quantization = getattr(model.config, "quantization_config", None)
    if quantization is None or "gguf" not in type(quantization).__name__.lower():
        return model
    config = copy.deepcopy(model.config)
    del config.quantization_config
    fresh = type(model)(config).to(model.dtype)
    fresh.load_state_dict(model.state_dict())
    return fresh


def _identity(report: TrainReport, examples: Sequence[TrainingExample]) -> dict[str, Any]:
    """Return everything that changes the trained student."""
    return {
        "student": report.student_fingerprint,
        "examples": json_digest([[example.id, example.input_ids, example.prompt_length] for example in examples]),
        "settings": report.settings,
        "trainer": report.trainer,
        "versions": report.versions,
    }


def _versions() -> dict[str, str]:
    numbers = {}
    for package in _PACKAGES:
        try:
            numbers[package] = version(package)
        except PackageNotFoundError:
            continue
    return numbers


def _keep(fit: Fit, tokenizer: Any, folder: Path) -> None:
    """Put the finished model and adapter into the folder, each as a whole or not at all."""
    if fit.adapter is not None:
        with replacing(folder / "adapter") as partial:
            shutil.copytree(fit.adapter, partial)
    if fit.model is not None:
        with replacing(folder / "model") as partial:
            try:
                fit.model.save_pretrained(partial)
                tokenizer.save_pretrained(partial)
            # What a trainer returns may be anybody's model. A full disk is told by `replacing`.
            except Exception as error:
                if isinstance(error, TokimpError) or write_failure(error):
                    raise
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
                raise TrainingError(f"the student that the trainer returned cannot be saved ({reason})") from error
