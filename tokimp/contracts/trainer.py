"""The trainer: fits a student to examples. A contract, so that the core needs no training library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokimp.chains.chain import Ids
from tokimp.contracts.parameters import Parameterized
from tokimp.contracts.train_settings import TrainSettings
from tokimp.errors import TrainingError


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One chain as ids.

    Attributes
    ----------
    id
        The chain's.
    input_ids
        Prompt, reasoning, answer and what ends the text, as the model reads them.
    prompt_length
        How many of them, from the start, are the prompt; the loss counts those after it only.
    question
        The chain's question, by which it is held out or not.
    """

    id: str
    input_ids: Ids
    prompt_length: int
    question: str

    @property
    def labels(self) -> list[int]:
        """The ids, with -100, which no loss counts, for those of the prompt."""
        return [-100] * self.prompt_length + list(self.input_ids[self.prompt_length :])


@dataclass(frozen=True, slots=True)
class Fit:
    """What a trainer made.

    Attributes
    ----------
    model
        The trained student, a transformers model that can be saved; adapters are merged into it where the settings
        say so. ``None`` where they say that they are not.
    adapter
        The folder its adapters were written to; ``None`` where all weights were trained.
    history
        What was measured on the way, in order: ``step`` and ``epoch`` with ``loss`` (the mean over the steps since
        the loss before) and ``learning_rate``, or with ``validation_loss``; losses in nats a token. A ``loss`` stands
        at the last step and at every checkpoint, so that all steps are covered, after an interruption too.
    steps
        Optimiser steps made, those before an interruption included.
    tokens
        Token positions read in training, padding not counted, those before an interruption not included.
    """

    model: Any
    adapter: Path | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0


class Trainer(Parameterized, ABC):
    """Fits a student to examples; the one class a package with another training library subclasses.

    It is found by name through the entry points ``tokimp.trainers``. What is trained on, and on which tokens the loss
    counts, has been decided: a trainer decides neither.
    """

    _error = TrainingError

    @abstractmethod
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
        """Train a student.

        Parameters
        ----------
        model
            A transformers model on the CPU, its weights ready to be trained; it may be changed.
        tokenizer
            The student's.
        training, validation
            What it learns, and what its loss is measured on; the latter may be empty.
        settings
            How.
        checkpoints
            A folder for what allows to continue. Where it holds something of this very training, left by one that was
            interrupted, the training goes on from there; whatever is torn there is passed over.
        """
