"""Settings of a training: what is allowed, and that they can be written down and read back."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tokimp.contracts.train_settings import Lora, TrainSettings
from tokimp.errors import TrainingError


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 0}, "train.epochs is 0; give a number above 0"),
        ({"batch_size": 1.5}, "train.batch_size is 1.5; give a whole number, 1 or more"),
        ({"batch_size": True}, "train.batch_size is True; give a whole number, 1 or more"),
        ({"schedule": "cosines"}, "give 'constant', 'constant_with_warmup', 'linear' or 'cosine'"),
        ({"validation": 0.7}, "train.validation is 0.7; give a number from 0 to 0.5"),
        ({"seed": -1}, "train.seed is -1; give a whole number from 0 to 4294967295"),
        ({"patience": 0}, "train.patience is 0; give a whole number, 1 or more, or null"),
        ({"warmup": 2.5}, "train.warmup: 2.5 is neither a share of the steps, below 1, nor a whole number of steps"),
        ({"keep_best": True}, "train: keep_best goes by the loss on chains held out; give validation a share above 0"),
        ({"patience": 1, "validation": 0.1, "checkpoint_steps": 5}, "checkpoint_steps"),
        (
            {"learning_rat": 1},
            "train.learning_rat is not a known key (did you mean 'learning_rate'?); known here: epochs, max_steps",
        ),
        ({"lora": {"rank": 3}}, "train.lora.rank is not a known key; known here: r, alpha"),
        ({"lora": {"r": 0}}, "train.lora.r is 0; give a whole number, 1 or more"),
        ({"lora": 3}, "train.lora must hold keys and values, not 3; keys are r, alpha"),
        ({"lora": {"target_modules": []}}, "train.lora.target_modules is []; give the name of a layer, or a list"),
        (
            {"think_tags": ["<think>"]},
            "train.think_tags: ['<think>'] is no pair of texts; give the opening and the closing",
        ),
        ({"precision": "int8"}, "train.precision is 'int8'; give 'full', 'bf16' or 'fp16'"),
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
    tagged = TrainSettings(think_tags=("<a>\n", "\n</a>"))
    assert TrainSettings.of(json.loads(json.dumps(tagged.described()))) == tagged
    # Trainings that were begun before there were tags are still the same.
    assert "think_tags" not in settings.described()


def test_lora_true_means_its_defaults() -> None:
    """A plan may say lora: true or lora: false."""
    assert TrainSettings.of({"lora": True}).lora == Lora()
    assert TrainSettings.of({"lora": False}).lora is None


def test_a_whole_number_stays_one() -> None:
    """Values are checked and not converted, so that a report of 3 epochs does not become one of 3.0."""
    settings = TrainSettings.of({"epochs": 3, "lora": {"alpha": 8, "target_modules": ["q_proj"]}})
    assert json.dumps(settings.described()["epochs"]) == "3"
    assert settings.lora == Lora(alpha=8, target_modules=("q_proj",))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: TrainSettings(epochs=-1), "^epochs is -1; give a number above 0$"),
        (lambda: replace(TrainSettings(), lora=Lora(r=0)), "^r is 0; give a whole number, 1 or more$"),
        (lambda: TrainSettings.of({"epoch": 1}, "x"), r"^x.epoch is not a known key \(did you mean 'epochs'\?\)"),
    ],
)
def test_settings_made_in_python_are_checked_too(made: Callable[[], TrainSettings], said: str) -> None:
    """A mistake in Python is a TrainingError in the same words."""
    with pytest.raises(TrainingError, match=said):
        made()


def test_settings_can_be_sent_to_another_process() -> None:
    """A plan's workers get the settings by pickle."""
    settings = TrainSettings(epochs=2, lora=Lora(r=4))
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - made in the line itself
