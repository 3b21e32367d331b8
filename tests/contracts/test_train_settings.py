"""Settings of a training: what is allowed, and that they can be written down and read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokimp.contracts.train_settings import Lora, TrainSettings
from tokimp.errors import TrainingError


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 0}, "train: epochs=0 is not allowed; give a number above 0"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"batch_size": True}, "batch_size=True"),
        ({"schedule": "cosines"}, "constant, constant_with_warmup, linear, cosine"),
        ({"validation": 0.7}, "share from 0 to 0.5"),
        ({"seed": -1}, "seed=-1"),
        ({"warmup": 2.5}, "whole number of steps"),
        ({"keep_best": True}, "validation"),
        ({"patience": 1, "validation": 0.1, "checkpoint_steps": 5}, "checkpoint_steps"),
        ({"learning_rat": 1}, "has no setting 'learning_rat' (did you mean 'learning_rate'?); it has epochs"),
        ({"lora": {"rank": 3}}, "train.lora has no setting 'rank'; it has r, alpha"),
        ({"lora": {"r": 0}}, "train.lora: r=0"),
        ({"lora": 3}, "lora=3"),
        ({"precision": "int8"}, "full, bf16, fp16"),
    ],
)
def test_what_is_not_allowed_is_named(values: dict[str, Any], said: str) -> None:
    """Each wrong value is refused by name, with what is allowed."""
    with pytest.raises(TrainingError) as raised:
        TrainSettings.of(values)
    assert said in str(raised.value)


def test_settings_can_be_written_and_read_back() -> None:
    """What a report holds makes the same settings again, adapters included."""
    settings = TrainSettings(epochs=1.5, lora=Lora(r=4, target_modules=("q_proj",)), validation=0.1, keep_best=True)
    assert TrainSettings.of(json.loads(json.dumps(settings.described()))) == settings


def test_lora_true_means_its_defaults() -> None:
    """A plan may say lora: true or lora: false."""
    assert TrainSettings.of({"lora": True}).lora == Lora()
    assert TrainSettings.of({"lora": False}).lora is None
