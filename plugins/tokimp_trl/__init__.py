"""Supervised fine-tuning with TRL's SFTTrainer, of all weights or of adapters."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokimp.contracts.train_settings import TrainSettings
from tokimp.contracts.trainer import Fit, Trainer, TrainingExample
from tokimp.errors import TrainingError

__all__ = ["TRLTrainer"]


class TRLTrainer(Trainer):
    """Trains with `trl.SFTTrainer`, which is `transformers.Trainer` with a loss computed in pieces.

    The examples are passed as ids with labels. TRL's own templates and tokenisation are not used, so that a student
    reads the same ids as a scorer. Adapters are peft's. Under ``accelerate launch`` every process takes its share of
    each batch. Needs the packages ``trl`` and ``peft`` (the extra ``distill``).

    Raises
    ------
    TrainingError
        From its methods: if a package is missing, or the training fails for a reason that the user can mend.
    """

    name = "trl"

    def validate_parameters(self) -> None:
        """Raise `TrainingError` if a package is missing."""
        missing = [package for package in ("trl", "peft") if importlib.util.find_spec(package) is None]
        if missing:
            raise TrainingError(
                f"the trainer {self.name!r} needs {' and '.join(missing)}; install with: pip install 'tokimp[distill]'"
            )

    def fit(
        self,
        model: Any,
        tokenizer: Any,
        *,
        training: Sequence[TrainingExample],
        validation: Sequence[TrainingExample],
        settings: TrainSettings,
        checkpoints: Path,
    ) -> Fit:
        """Train; see `tokimp.contracts.trainer.Trainer.fit`."""
        self.validate_parameters()
        from tokimp_trl.fitting import fit  # noqa: PLC0415 - TRL takes seconds to import, and may be missing

        return fit(
            model,
            tokenizer,
            training=training,
            validation=validation,
            settings=settings,
            checkpoints=checkpoints,
        )
