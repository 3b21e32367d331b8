"""Fingerprints: what they depend on, and that a remembered one is never out of date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tokimp.models import fingerprint
from tokimp.models.fingerprint import RememberedFingerprint, model_fingerprint
from tokimp.testing.random_models import random_model


def weight(model: Any) -> torch.nn.Parameter:
    """Return a weight with rows of 512 numbers and more."""
    found: torch.nn.Parameter = model.get_input_embeddings().weight
    return found


def add(model: Any) -> None:
    """Change a number in a way that torch counts."""
    with torch.no_grad():
        weight(model)[3, 5] += 1e-3


def add_to_data(model: Any) -> None:
    """Change a number in a way that torch does not count."""
    weight(model).data[3, 5] += 1e-3


def swap_rows(model: Any) -> None:
    """Exchange two rows in a way that torch does not count: the same numbers, elsewhere."""
    weight(model).data[[0, 64]] = weight(model).data[[64, 0]]


def swap_numbers(model: Any) -> None:
    """Exchange two numbers of a vector in a way that torch does not count."""
    norm = next(parameter for parameter in model.parameters() if parameter.dim() == 1)
    norm.data[:2] = torch.tensor([0.5, 0.25])
    norm.data[:2] = norm.data[:2].flip(0)


def replace_weight(model: Any) -> None:
    """Put another tensor in the place of a weight."""
    model.get_input_embeddings().weight = torch.nn.Parameter(weight(model).detach() * 2)


def change_configuration(model: Any) -> None:
    """Change a setting that numbers depend on."""
    model.config.rms_norm_eps = 1e-3


@pytest.mark.parametrize(
    "change",
    [add, add_to_data, swap_rows, swap_numbers, replace_weight, change_configuration],
    ids=lambda c: c.__name__,
)
def test_a_remembered_fingerprint_sees_every_change(change: Callable[[Any], None]) -> None:
    """Whatever is changed, and however, the next answer is the fingerprint of the model as it is."""
    model, remembered = random_model("llama"), RememberedFingerprint()
    before = remembered.of(model)
    assert before == model_fingerprint(model)
    change(model)
    assert remembered.of(model) == model_fingerprint(model) != before


def test_nothing_is_computed_again_where_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second answer comes from memory, until a weight is changed."""
    made, compute = list[str](), fingerprint.model_fingerprint

    def counted(model: torch.nn.Module) -> str:
        made.append(compute(model))
        return made[-1]

    monkeypatch.setattr(fingerprint, "model_fingerprint", counted)
    model, remembered = random_model("llama"), RememberedFingerprint()
    assert remembered.of(model) == remembered.of(model)
    assert len(made) == 1
    add_to_data(model)
    assert remembered.of(model) == remembered.of(model)
    assert len(made) == 2
