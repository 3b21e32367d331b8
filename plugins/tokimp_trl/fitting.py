"""One training with TRL: from settings to arguments, on from the last whole checkpoint, to a trained student."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from tokimp.contracts.train_settings import Lora, TrainSettings
from tokimp.contracts.trainer import Fit, TrainingExample
from tokimp.errors import StorageError, TokimpError, TrainingError
from tokimp.models.device import resolve_device
from tokimp.storage.write_errors import naming_what_is_written, write_failure
from tokimp_trl.checkpoints import is_whole, last_whole, place_of_best, seal, tokens_read
from tokimp_trl.order import RedrawnOrder

_LOGGED = {"loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}


class _StopAtNaN(TrainerCallback):
    """Ends a training as soon as a loss is infinite or NaN: more steps would not mend it."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Check the losses that were just measured."""
        for name in ("loss", "eval_loss"):
            value = float((logs or {}).get(name, 0.0))
            if not math.isfinite(value):
                raise TrainingError(
                    f"step {state.global_step}: the {_LOGGED[name].replace('_', ' ')} is no longer a number ({value}); "
                    "lower learning_rate, or give precision full, in another folder"
                )


class _MeasureToTheEnd(TrainerCallback):
    """Has the loss measured wherever a training may end or be continued, so that measurements cover all steps.

    Otherwise the steps after the last multiple of ``logging_steps`` would be in no measurement, and the first
    measurement after an interruption would lack the steps between the last one and the checkpoint.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for the loss if a checkpoint is about to be written; transformers measures it first."""
        if control.should_save:
            control.should_log = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for the loss at the end of an epoch: a checkpoint, the last step, or patience that runs out."""
        control.should_log = True


class _FindBestHere(TrainerCallback):
    """Looks for the best checkpoint in the folder of this training, wherever it lay when the checkpoint was written."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Replace the recorded path."""
        best = place_of_best(Path(args.output_dir), state.best_global_step)
        state.best_model_checkpoint = best and str(best)


class _Trainer(SFTTrainer):  # type: ignore[misc] # TRL has no annotations
    """TRL's trainer, but it writes no model card, counts the tokens it reads, and continues within an epoch.

    Its checkpoints are sealed once they are whole. Its warm-up leaves a training at least one step at the full rate.
    """

    continued_from: Path | None = None  # the checkpoint
    _tokens_before = 0
    _order: RedrawnOrder

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write none."""

    @property
    def tokens_read(self) -> int:
        """Token positions read so far by all processes, also before an interruption; padding is not counted."""
        return self._tokens_before + int(self._total_train_tokens)

    def continue_from(self, checkpoint: Path | None) -> None:
        """Go on from a whole checkpoint; ``None`` to begin."""
        self.continued_from = checkpoint
        # Read now: the checkpoint is deleted once there are later ones.
        self._tokens_before = 0 if checkpoint is None else tokens_read(checkpoint)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the scheduler; the share that is the default warm-up would be all steps of a very short training."""
        warmup = self.args.warmup_steps
        if self.args.get_warmup_steps(num_training_steps) >= num_training_steps:
            if warmup >= 1:
                raise TrainingError(
                    f"warmup={warmup:g} is not below the {num_training_steps} steps of this training, whose learning "
                    f"rate would never be reached; give a warmup below {num_training_steps}, or more epochs"
                )
            self.args.warmup_steps = num_training_steps - 1
        return super().create_scheduler(num_training_steps, optimizer)

    # These methods are not public, but only here does transformers write and read the generators' states.
    def _get_train_sampler(self, train_dataset: Any = None) -> RedrawnOrder:
        folder = self.continued_from
        self._order = RedrawnOrder(super()._get_train_sampler(train_dataset), folder and self._order_file(folder))
        return self._order

    def _load_best_model(self) -> None:
        best = Path(self.state.best_model_checkpoint)
        if not is_whole(best):
            raise TrainingError(
                f"{best}, the best checkpoint, is damaged; the same call goes on from one before it, or begins anew"
            )
        super()._load_best_model()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            seal(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}", self.tokens_read)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self._order.save(self._order_file(Path(output_dir)))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Set the generators: at an epoch's beginning before its order is drawn, in the middle of one after it."""
        super()._load_rng_state(checkpoint)
        self._order.begin_anew()

    def _order_file(self, folder: Path) -> Path:
        return folder / f"order_{self.args.process_index}.safetensors"


def fit(
    model: Any,
    tokenizer: Any,
    *,
    training: Sequence[TrainingExample],
    validation: Sequence[TrainingExample],
    settings: TrainSettings,
    checkpoints: Path,
) -> Fit:
    """Train as `tokimp.contracts.trainer.Trainer.fit` says."""
    disable_progress_bars()
    if "WORLD_SIZE" not in os.environ:
        # Accelerate remembers the device and precision of an earlier training of this process, and refuses another.
        AcceleratorState._reset_state(reset_partial_state=True)  # there is no public way
    if settings.gradient_checkpointing:
        model.config.use_cache = False
    with warnings.catch_warnings():
        # TRL warns of label padding, schedulers and the like, all of them as intended; real problems raise.
        warnings.simplefilter("ignore")
        trainer = _build(
            model,
            tokenizer,
            training=training,
            validation=validation,
            settings=settings,
            checkpoints=checkpoints,
        )
        trainer.continue_from(last_whole(checkpoints, keeps_best=settings.keep_best))
        try:
            trainer.train(resume_from_checkpoint=trainer.continued_from and str(trainer.continued_from))
        # Memory that runs out, a full disk, or a number that a precision cannot hold: exceptions of many kinds.
        except Exception as error:
            raise _named(error, checkpoints, keeps_best=settings.keep_best) from error
    trained = trainer.accelerator.unwrap_model(trainer.model)
    history = [_point(entry) for entry in trainer.state.log_history if _LOGGED.keys() & entry.keys()]
    result: dict[str, Any] = {"history": history, "steps": trainer.state.global_step, "tokens": trainer.tokens_read}
    if settings.lora is None:
        return Fit(trained, **result)
    adapter = checkpoints / "adapter"
    if trainer.is_world_process_zero():
        with naming_what_is_written(adapter):
            trained.save_pretrained(adapter)
    return Fit(trained.merge_and_unload() if settings.lora.merge else None, adapter, **result)


def _named(error: Exception, checkpoints: Path, *, keeps_best: bool) -> Exception:
    """Return what an error of the training library is told as; an error of tokimp is told as it is."""
    if isinstance(error, TokimpError):
        return error
    if (failure := write_failure(error)) is not None:
        # What was half written takes the space that the next attempt needs.
        kept = last_whole(checkpoints, keeps_best=keeps_best)
        goes_on = "begins anew" if kept is None else f"goes on from {kept.name}"
        reason, remedy = failure
        return StorageError(f"{checkpoints} cannot be written ({reason}); {remedy}; the same call then {goes_on}")
    reason = " ".join(str(error).split())[:500]
    message = (
        f"the training failed ({type(error).__name__}: {reason}); its checkpoints are kept in {checkpoints}, and the "
        "same call goes on from there"
    )
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "memory" in reason.lower():
        message += "; give a lower batch_size with a higher gradient_accumulation, or gradient_checkpointing"
    return TrainingError(message)


def _build(
    model: Any,
    tokenizer: Any,
    *,
    training: Sequence[TrainingExample],
    validation: Sequence[TrainingExample],
    settings: TrainSettings,
    checkpoints: Path,
) -> _Trainer:
    try:
        trainer = _Trainer(
            model=model,
            args=_arguments(settings, checkpoints, validates=bool(validation)),
            train_dataset=_dataset(training),
            eval_dataset=_dataset(validation) if validation else None,
            processing_class=tokenizer,
            peft_config=_lora_config(settings.lora) if settings.lora else None,
            callbacks=_callbacks(settings),
        )
    except ValueError as error:
        # A target module that is not there, a precision that the device lacks, several devices and no launcher.
        raise TrainingError(f"TRL refuses the training: {' '.join(str(error).split())}") from error
    # Without a progress bar, it would print every measurement on standard output.
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_StopAtNaN())
    trainer.add_callback(_MeasureToTheEnd())
    trainer.add_callback(_FindBestHere())
    return trainer


def _arguments(settings: TrainSettings, checkpoints: Path, *, validates: bool) -> Any:
    device = resolve_device(settings.device)
    if ":" in device:
        raise TrainingError(
            f"device={device!r}: a training takes the devices it can see; give device='cuda' and choose with "
            "CUDA_VISIBLE_DEVICES, or use accelerate launch"
        )
    steps = settings.checkpoint_steps
    saving: dict[str, Any] = {"save_strategy": "epoch"}
    if steps is not None:
        saving = {"save_strategy": "steps", "save_steps": steps} if steps else {"save_strategy": "no"}
    if validates:
        saving |= {"eval_strategy": "epoch", "metric_for_best_model": "eval_loss", "greater_is_better": False}
    return SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_gradient_norm,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=device == "cpu",
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        gradient_checkpointing=settings.gradient_checkpointing,
        load_best_model_at_end=settings.keep_best,
        # Two, so that there is one to go back to if the last one is damaged.
        save_total_limit=2,
        # Chains of like length together: less padding.
        train_sampling_strategy="group_by_length",
        # Ids and labels are final: TRL must not prepare, cut off or append anything.
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
        # A fiftieth of all steps, and checkpoints and ends: curves without the cost of measuring every step.
        logging_steps=0.02,
        # Otherwise a NaN loss would be replaced by the mean of the losses so far.
        logging_nan_inf_filter=False,
        # The count for patience goes on from a checkpoint, too.
        restore_callback_states_from_checkpoint=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        # Every trained weight takes part in every loss; looking for others would cost a walk over the graph.
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=device != "cpu",
        **saving,
    )


def _callbacks(settings: TrainSettings) -> list[TrainerCallback]:
    return [] if settings.patience is None else [EarlyStoppingCallback(settings.patience)]


def _lora_config(lora: Lora) -> Any:
    names = lora.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=names if isinstance(names, str) else list(names),
    )


def _dataset(examples: Sequence[TrainingExample]) -> Any:
    return Dataset.from_dict(
        {
            "input_ids": [list(example.input_ids) for example in examples],
            "labels": [example.labels for example in examples],
        }
    )


def _point(entry: dict[str, Any]) -> dict[str, float]:
    """Return one of TRL's measurements under tokimp's names."""
    named = {ours: float(entry[theirs]) for theirs, ours in _LOGGED.items() if theirs in entry}
    return {"step": float(entry["step"]), "epoch": round(float(entry["epoch"]), 4), **named}
