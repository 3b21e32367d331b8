"""The border to a trainer's code: a sentence names the trainer and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tokimp.contracts.checked_trainer import fit_by
from tokimp.contracts.trainer import Fit, Trainer
from tokimp.errors import TrainingError


class Returning(Trainer):
    """Returns what it is told to, or raises it."""

    name = "returning"
    returned: Any = None

    def fit(self, model: Any, tokenizer: Any, **_: Any) -> Fit:
        """Return it."""
        if isinstance(self.returned, BaseException):
            raise self.returned
        returned: Fit = self.returned
        return returned


class Student:
    """Can be saved."""

    def save_pretrained(self, folder: Path) -> None:
        """Save nothing."""


POINT = {"step": 1, "epoch": 0.5, "loss": 2.0}


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (None, "returned None; a Fit was expected"),
        (Fit, r"returned the class Fit \(not an instance of it\)"),
        (Fit(None), "neither a model nor an adapter"),
        (Fit("path"), "with a str as model; a model with save_pretrained was expected"),
        (Fit(Student), r"with the class Student \(not an instance of it\) as model"),
        (Fit(None, Path("missing")), "with missing as adapter; the path .* of a folder that is there"),
        (Fit(None, "missing"), "with a str as adapter"),  # type: ignore[arg-type] # the point
        (Fit(Student(), steps=1.5), "with a float as steps; a whole number from 0"),  # type: ignore[arg-type] # the point
        (Fit(Student(), tokens=-1), "with an int as tokens"),
        (Fit(Student(), history=(POINT,)), "with a tuple of 1 as history; a list of dicts"),  # type: ignore[arg-type] # the point
        (Fit(Student(), history=[POINT, 2.0]), r"history\[1\] is a float; a dict"),  # type: ignore[list-item] # the point
        (Fit(Student(), history=[{**POINT, "loss": torch.ones(1)}]), r"a torch.Tensor of shape \(1,\) under 'loss'"),  # type: ignore[dict-item] # the point
        (Fit(Student(), history=[{"step": 1, "loss": 2.0}]), r"history\[0\] has step, loss; step, epoch and loss"),
        (SystemExit(1), "failed with SystemExit: 1"),
        (KeyError("labels"), "failed with KeyError: 'labels'"),
    ],
)
def test_a_trainer_that_breaks_its_contract(returned: Any, reason: str) -> None:
    """Whatever a trainer returns or raises is one sentence that names it and what was expected."""
    trainer = Returning()
    trainer.returned = returned
    with pytest.raises(TrainingError, match=rf"^the trainer 'returning' .*{reason}"):
        fit_by(trainer, None, None)


def test_a_trainer_that_keeps_its_contract() -> None:
    """What a trainer returns comes out as it is."""
    trainer = Returning()
    trainer.returned = Fit(Student(), history=[POINT], steps=1, tokens=9)
    assert fit_by(trainer, None, None) is trainer.returned
