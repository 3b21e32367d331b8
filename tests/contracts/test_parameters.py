"""Parameters are checked against declared constraints, described, and shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokimp.contracts.constraints import Number, OneOf, Optional, WholeNumber
from tokimp.contracts.parameters import Parameterized
from tokimp.errors import TokimpError


class Blur(Parameterized):
    """A class with constraints on two of its three parameters."""

    name = "blur"
    constraints = {"width": Number(above=0), "shape": OneOf("flat", "round")}

    def __init__(self, width: Any = 1.0, shape: Any = "flat", note: Any = None) -> None:
        self.width = width
        self.shape = shape
        self.note = note


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 0}, "blur: width=0 is not allowed; give a number above 0"),
        ({"width": True}, "blur: width=True is not allowed; give a number above 0"),
        ({"shape": "square", "note": 3}, "blur: shape='square' is not allowed; give 'flat' or 'round'"),
    ],
)
def test_a_value_that_a_constraint_refuses_is_named(parameters: dict[str, Any], message: str) -> None:
    """The message has the parameter, its value and what is allowed."""
    with pytest.raises(TokimpError, match=f"^{message}$"):
        Blur(**parameters).validate_parameters()


def test_other_values_pass() -> None:
    """Allowed values pass, numpy's scalars too, and a parameter without a constraint may be anything."""
    Blur().validate_parameters()
    Blur(np.float32(0.5), "round", note=object()).validate_parameters()


def test_a_constraint_of_no_parameter_is_an_error() -> None:
    """A misspelt name in `constraints` would check nothing, and is said."""

    class Misspelt(Blur):
        constraints = {"widht": Number()}

    with pytest.raises(TokimpError, match=r"Misspelt.constraints names 'widht'.*those are: width, shape, note"):
        Misspelt().validate_parameters()


def test_a_rule_about_several_parameters_is_added_to_the_constraints() -> None:
    """A class that overrides `validate_parameters` keeps its constraints by calling the parent's."""

    class Wide(Blur):
        constraints = {**Blur.constraints, "note": Optional(WholeNumber())}

        def validate_parameters(self) -> None:
            super().validate_parameters()
            if self.shape == "round" and self.width > 10:
                raise self.invalid_parameter("width", "at most 10 for a round shape")

    Wide(11).validate_parameters()
    with pytest.raises(TokimpError, match="width=11 is not allowed; give at most 10 for a round shape"):
        Wide(11, "round").validate_parameters()
    with pytest.raises(TokimpError, match="note='x' is not allowed; give a whole number, or null"):
        Wide(11, "round", "x").validate_parameters()


def test_numpy_scalars_give_the_label_of_pythons() -> None:
    """Equal parameters give equal labels, which can be read back, whatever library the number came from."""
    assert Blur(np.int64(3), note=[np.float32(0.5)]).label == Blur(3, note=[0.5]).label == "blur:width=3,note=[0.5]"


def test_what_is_not_stored_is_shown_as_dots() -> None:
    """`repr` never fails, even if ``__init__`` breaks the rule; asking for the parameters does."""

    class Forgetful(Blur):
        constraints = {}

        def __init__(self, width: int = 1) -> None:
            pass

    assert repr(Forgetful()) == "Forgetful(width=...)"
    Forgetful().validate_parameters()
    with pytest.raises(TokimpError, match=r"must store its parameter 'width' as self\.width"):
        Forgetful().parameters()
