"""Trainer: the contract of what fits a student to examples, so that the core needs no training library."""

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
        The chain's id.
    input_ids
        The ids as the model reads them: prompt, reasoning, answer and the tokens that end the text.
    prompt_length
        The number of ids, from the start, that are the prompt; the loss counts only the ids after it.
    question
        The chain's question, which decides whether the chain is held out.
    """

    id: str
    input_ids: Ids
    prompt_length: int
    question: str

    @property
    def labels(self) -> list[int]:
        """The ids, with -100 in the place of the prompt's; no loss counts -100."""
        return [-100] * self.prompt_length + list(self.input_ids[self.prompt_length :])


@dataclass(frozen=True, slots=True)
class Fit:
    """The student that a trainer made, and what was measured on the way.

    Attributes
    ----------
    model
        The trained student, a transformers model that can be saved. Adapters are merged into it if the settings say
        so; otherwise it is ``None``.
    adapter
        The folder that its adapters were written to; ``None`` if all weights were trained.
    history
        The measurements in order. Each has ``step`` and ``epoch``, and either ``loss`` with ``learning_rate``, or
        ``validation_loss``; losses are in nats a token. A ``loss`` is the mean over the steps since the last one. There
        is one at the last step and at every checkpoint, so that all steps are covered, after an interruption too.
    steps
        Optimiser steps made, including those before an interruption.
    tokens
        Token positions read in training, those before an interruption included, without padding.
    """

    model: Any
    adapter: Path | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0


class Trainer(Parameterized, ABC):
    """Fits a student to examples; the one class a package with another training library subclasses.

    It is found by name through the entry points ``tokimp.trainers``. It decides neither what is trained on nor on which
    tokens the loss counts: both come with the examples.

    Examples
    --------
    A trainer that takes one step of plain gradient descent for each example:

    >>> import torch
    >>> from tokimp.testing.random_models import random_model
    >>> class PlainDescent(Trainer):
    ...     name = "plain_descent"
    ...
    ...     def fit(self, model, tokenizer, *, training, validation, settings, checkpoints):
    ...         optimizer = torch.optim.SGD(model.parameters(), lr=settings.learning_rate)
    ...         history = []
    ...         for step, example in enumerate(training, start=1):
    ...             labels = torch.tensor([example.labels])
    ...             loss = model(torch.tensor([example.input_ids]), labels=labels).loss
    ...             optimizer.zero_grad()
    ...             loss.backward()
    ...             optimizer.step()
    ...             history.append({"step": step, "epoch": step / len(training), "loss": loss.item()})
    ...         return Fit(model, history=history, steps=len(history))
    >>> examples = [TrainingExample("a", (5, 6, 7, 8), prompt_length=2, question="?")] * 3
    >>> fit = PlainDescent().fit(
    ...     random_model("llama"),
    ...     None,
    ...     training=examples,
    ...     validation=[],
    ...     settings=TrainSettings(learning_rate=0.1),
    ...     checkpoints=Path("unused"),
    ... )
    >>> fit.history[-1]["loss"] < fit.history[0]["loss"]
    True
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
            The student's tokenizer.
        training
            The examples that it learns.
        validation
            The examples that its loss is measured on; may be empty.
        settings
            How it is trained.
        checkpoints
            A folder for checkpoints. If it has one of this very training, which was interrupted, the training goes on
            from there; a damaged one is passed over.
        """
