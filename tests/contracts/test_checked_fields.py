"""Fields that pydantic checks: what they may hold, and the message about one that holds something else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import Field, TypeAdapter, ValidationError, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from tokimp.contracts.checked_fields import KNOWN_FIELDS_ONLY, Allowed, mistake_in, raises
from tokimp.contracts.constraints import Number, WholeNumber
from tokimp.errors import PlanError


@raises(PlanError)
@dataclass(frozen=True, config=KNOWN_FIELDS_ONLY)
class Wheel:
    """A part with one field that is needed."""

    size: Annotated[float, Allowed(Number(above=0), hint=" (in inches)")]
    spokes: Annotated[int, Allowed(WholeNumber(0))] = 32


@with_config(KNOWN_FIELDS_ONLY)
class Extras(TypedDict, total=False):
    """A mapping with known keys."""

    bell: Literal["loud", "soft"]


@raises(PlanError)
@dataclass(frozen=True, config=KNOWN_FIELDS_ONLY)
class Bicycle:
    """A whole with parts in a list, by names and in a mapping."""

    wheels: Annotated[tuple[Wheel, ...], Field(min_length=1)]
    spares: dict[str, Wheel] | None = None
    extras: Extras | None = None


def mistake(values: Any) -> str:
    """Return the message about values that make no bicycle."""
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(Bicycle).validate_python(values)
    return mistake_in(raised.value, Bicycle, "bicycle")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"wheels": [{"size": 0}]}, "bicycle.wheels[0].size is 0; give a number above 0 (in inches)"),
        ({"wheels": [{"size": True}]}, "bicycle.wheels[0].size is True; give a number above 0 (in inches)"),
        ({"wheels": [{"spokes": 3}]}, "bicycle.wheels[0].size is missing; needed here: size"),
        ({"wheels": []}, "bicycle.wheels must be a list with at least one entry, not []"),
        ({"wheels": 3}, "bicycle.wheels must be a list with at least one entry, not 3"),
        ({"wheels": [3]}, "bicycle.wheels[0] must hold keys and values, not 3; keys are size, spokes"),
        (3, "bicycle must hold keys and values, not 3; keys are wheels, spares, extras"),
        (
            {"wheels": [{"size": 1}], "spares": {"front": {"sizes": 1}}},
            "bicycle.spares.front.sizes is not a known key (did you mean 'size'?); known here: size, spokes",
        ),
        (
            {"wheels": [{"size": 1}], "extras": {"bell": "shrill"}},
            "bicycle.extras.bell is 'shrill'; give 'loud' or 'soft'",
        ),
        ({"wheels": [{"size": 1}], "extras": {"horn": 1}}, "bicycle.extras.horn is not a known key; known here: bell"),
        ({"wheels": [{"size": 1}], "extras": 3}, "bicycle.extras must hold keys and values, not 3; keys are bell"),
    ],
)
def test_a_message_names_place_value_and_what_is_allowed(values: Any, said: str) -> None:
    """The place is written as in Python, through lists, names and mappings."""
    assert mistake(values) == said


def test_a_misspelt_key_comes_before_the_one_it_is_missing() -> None:
    """That a needed key is missing follows from its misspelling, which is what is to be mended."""
    assert mistake({"wheel": [{"size": 1}]}).startswith("bicycle.wheel is not a known key (did you mean 'wheels'?)")


def test_values_stay_as_they_are_but_for_numpys() -> None:
    """A whole number does not become a float; numpy's scalars become Python's, which JSON can hold."""
    wheel = Wheel(size=3, spokes=np.int64(8))  # type: ignore[arg-type] # numpy's integers are no int
    assert (type(wheel.size), type(wheel.spokes)) == (int, int)


def test_in_python_the_error_is_tokimps() -> None:
    """A mistake in a call raises the error that the class names, in the same words."""
    with pytest.raises(PlanError, match=r"^size is -1; give a number above 0 \(in inches\)$"):
        Wheel(size=-1)
    with pytest.raises(PlanError, match=r"^wheels\[0\]\.size is 0; give"):
        Bicycle(wheels=[{"size": 0}])  # type: ignore[arg-type] # what a file holds
