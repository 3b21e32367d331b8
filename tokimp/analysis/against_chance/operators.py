"""The operators that a metric is computed with: two or more, so that it does not rest on one way to take units away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tokimp.contracts.constraints import Constraint, ListOf, OneOf
from tokimp.contracts.operators import OPERATOR_CONSTRAINTS, OPERATORS, Operator, make_operator
from tokimp.contracts.scorer import Capability

USUAL_OPERATORS = ("delete", "mask")

SEVERAL_OPERATORS: Mapping[str, Constraint] = MappingProxyType(
    {
        "operators": ListOf(OneOf(*OPERATORS), fewest=1, distinct=True),
        "replacement": OPERATOR_CONSTRAINTS["replacement"],
    }
)
"""The constraints of an analysis's parameters ``operators`` and ``replacement``."""


def make_operators(names: Sequence[str], replacement: str | int) -> list[Operator]:
    """Return the operators of these names; `replacement` counts for ``mask`` alone."""
    return [make_operator(name, replacement) for name in names]


class RequiredByOperators:
    """The attribute `requires` of an analysis with a parameter ``operators``: what all of them ask of the scorer.

    Parameters
    ----------
    *usual
        The operators of the class itself.
    replacement
        Its replacement.
    """

    def __init__(self, *usual: str, replacement: str = "eos") -> None:
        self._usual, self._replacement = usual, replacement

    def __get__(self, instance: Any, owner: type[Any]) -> frozenset[Capability]:
        """Return what is required by an instance, or by its class."""
        names = getattr(instance, "operators", self._usual)
        # What is not allowed is said where parameters are checked.
        if not SEVERAL_OPERATORS["operators"].allows(names):
            names = self._usual
        operators = make_operators(names, getattr(instance, "replacement", self._replacement))
        return frozenset().union(*(operator.requires for operator in operators))
