"""The rules about states and activations of layers name what is wrong with a scorer that is right but for one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.testing.test_scorer_checks import Good, with_attributes, wrong
from tokimp.contracts.scorer import Scorer
from tokimp.testing import check_scorer


def _with_other_layers(values: Any, chain: Any, *asked: Any, **options: Any) -> Any:
    return values + np.arange(len(values), dtype=np.float32).reshape(-1, *[1] * (values.ndim - 1))


def _reversed_states(values: Any, chain: Any, reduce: Any, *, layers: Any = None) -> Any:
    return values if layers is None else values[::-1]


def _with_states(**changes: Callable[[Any], Any]) -> Scorer:
    """Return a scorer that shows states in which some fields are wrong."""

    def states(self: Good, chain: Any, reduce: Any, *, layers: Any = None) -> Any:
        def changed(right: Any) -> Any:
            return reduce(replace(right, **{name: change(right) for name, change in changes.items()}))

        return Good.states(self, chain, changed, layers=layers)

    return with_attributes(states=states)


def _other_gradients(values: Any, chain: Any, place: Any, *asked: Any, **options: Any) -> Any:
    values = values.copy()
    values[0, 1] += np.arange(len(chain), dtype=np.float32)[::-1, None] * (place == "residual")
    values[0, 1, -1] = 0
    return values


def _of_the_last(values: Any, *asked: Any, **options: Any) -> Any:
    values = values.copy()
    values[:, 1, ..., -1, :] += 1
    return values


def _reversed_activations(values: Any, chain: Any, place: Any, *, layers: Any = None, reduce: Any = None) -> Any:
    return values if layers is None else values[::-1]


def _unlike_attention(values: Any, chain: Any, place: Any, *asked: Any, **options: Any) -> Any:
    return values * np.float32(2 if place == "attention" else 1)


def _unlike_alone(values: Any, *asked: Any, **options: Any) -> Any:
    return values + np.float32(1)


def _both_unlike_attention() -> Scorer:
    """Return a scorer whose activations agree among themselves, and not with its attention."""
    named = {"activations": Good.activations, "activation_gradients": Good.activation_gradients}
    changed = {
        name: lambda self, *asked, right=right, **options: _unlike_attention(right(self, *asked, **options), *asked)
        for name, right in named.items()
    }
    return with_attributes(**changed)


WRONG: list[tuple[str, Scorer]] = [
    ("shapes of states", wrong("states", lambda values, *asked, **options: values.astype(np.float64))),
    ("layers follow one another", wrong("states", _with_other_layers)),
    ("order of layers", wrong("states", _reversed_states)),
    ("parts add up", _with_states(scale=lambda states: states.scale * 2)),
    ("values are patched", _with_states(finish=lambda states: states.after.expand_as)),
    ("values are patched", _with_states(finish=lambda states: lambda added: states.before + 2 * added)),
    ("shapes of activations", wrong("activations", lambda values, *asked, **options: values[:, 1:])),
    ("order of layers", wrong("activations", _reversed_activations)),
    ("the same activations", wrong("activation_gradients", _unlike_alone)),
    ("the last position predicts nothing", wrong("activation_gradients", _of_the_last)),
    ("gradients agree", wrong("activation_gradients", _other_gradients)),
    ("attention agrees", _both_unlike_attention()),
]


@pytest.mark.parametrize(("rule", "scorer"), WRONG, ids=[f"{rule}-{index}" for index, (rule, _) in enumerate(WRONG)])
def test_a_broken_rule_is_named(rule: str, scorer: Scorer) -> None:
    """A scorer that is right but for one thing is refused, and the message begins with the class and the rule."""
    with pytest.raises(AssertionError, match=f"^Wrong breaks the rule '{rule}': "):
        check_scorer(scorer)
