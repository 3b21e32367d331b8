"""Descriptions of functions: the same for the same code and values, another for any other."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.models.callable_digest import describe


def scaled(values: Any, factor: float = 1.0) -> Any:
    """Return values times a factor."""
    return values * factor


def holding(held: Any) -> Any:
    """Return a function that holds a value."""
    return lambda values: (values, held)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (partial(scaled, factor=1.0), partial(scaled, factor=2.0)),
        (holding(torch.tensor([1.0, 2.0])), holding(torch.tensor([1.0, 3.0]))),
        (holding(np.arange(3)), holding(np.arange(3.0))),
        (holding({"head": [1]}), holding({"head": [2]})),
        (holding(holding(1)), holding(holding(2))),
        (lambda values: values * 0, lambda values: values * 2),
    ],
)
def test_functions_differ_by_their_code_and_by_what_they_hold(one: Any, other: Any) -> None:
    """Arguments, closures, arrays, nested functions and constants each make another description."""
    assert describe(one) != describe(other)
    assert describe(one) == describe(one)


def test_a_function_that_holds_itself_is_described() -> None:
    """A closure that leads back to its function comes to an end."""

    def recursive(values: Any) -> Any:
        return recursive(values)

    assert describe(recursive) == describe(recursive)
