"""The attributes of results that are put together: which must agree, and what becomes of the others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from tokimp.errors import SchemaError

SHARD = "shard"
"""The attribute of a shard of a run: ``2/4`` is the second of four."""
_SHARD = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")
_SAME = (
    "schema_version",
    "model_fingerprint",
    "backend",
    "dtype",
    "objective",
    "unit",
    "seed",
    "tokimp_version",
    "torch_version",
    "transformers_version",
    "backend_version",
)
# Attributes that a result has only where they say something.
_SAME_WHERE_GIVEN = ("unit_splitter", "think_tags", "loading")
Attributes = Mapping[Any, Any]


def check_same_run(attributes: Sequence[Attributes]) -> None:
    """Raise `SchemaError`, naming the difference, unless results were made with the same model and settings."""
    first = attributes[0]
    for other in attributes[1:]:
        for name in (*_SAME, *_SAME_WHERE_GIVEN):
            _refuse(name, first.get(name), other.get(name))
        # A result names the formats of its own chains, and a date if one of them has it.
        formats = [set(str(each.get("prompt_format")).split(",")) for each in (first, other)]
        if not formats[0] & formats[1]:
            _refuse("prompt_format", first.get("prompt_format"), other.get("prompt_format"))
        if "template_date" in first and "template_date" in other:
            _refuse("template_date", first["template_date"], other["template_date"])
        if not first.get("model_fingerprint"):
            # A fingerprint says which model it is; without one only the name does.
            _refuse("model_id", first.get("model_id"), other.get("model_id"))
    parameters: dict[str, Any] = {}
    for of_result in attributes:
        for label, described in json.loads(of_result["estimator_parameters"]).items():
            if parameters.setdefault(label, described) != described:
                raise SchemaError(
                    f"the estimator {label!r} is not the same in the results ({json.dumps(parameters[label])} and "
                    f"{json.dumps(described)}), so they cannot be joined"
                )


def joined_attributes(attributes: Sequence[Attributes]) -> dict[str, Any]:
    """Return the attributes of the joined result.

    Where one that may differ does (``created``, ``device``), all its values are kept, separated by semicolons.
    """
    joined: dict[str, Any] = {}
    for name in dict.fromkeys(name for of_result in attributes for name in of_result):
        values: list[Any] = []
        for of_result in attributes:
            if name in of_result and not any(_is_same(of_result[name], value) for value in values):
                values.append(of_result[name])
        joined[name] = values[0] if len(values) == 1 else "; ".join(str(value) for value in values)
    joined["model_id"] = attributes[0]["model_id"]
    joined["prompt_format"] = ",".join(
        sorted({name for of_result in attributes for name in str(of_result["prompt_format"]).split(",")})
    )
    # Shards, and runs of other estimators, all name the same records.
    skipped = {
        json.dumps(record, sort_keys=True): record
        for of_result in attributes
        for record in json.loads(of_result["skipped"])
    }
    joined["skipped"] = json.dumps(list(skipped.values()))
    joined["skipped_count"] = len(skipped)
    parameters: dict[str, Any] = {}
    for of_result in attributes:
        parameters |= json.loads(of_result["estimator_parameters"])
    joined["estimator_parameters"] = json.dumps(parameters)
    if not missing_shards(attributes):
        joined.pop(SHARD, None)
    return joined


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two attributes are the same: 1 and 1.0 are, 1 and True are not, and NaN is itself.

    A user's own may be an array, or bytes.
    """
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape or (first.dtype.kind == "b") != (second.dtype.kind == "b"):
        return False
    numbers = {"i", "u", "f", "c"}
    if first.dtype.kind in numbers and second.dtype.kind in numbers:
        return bool(np.array_equal(first, second, equal_nan=True))
    return first.dtype.kind == second.dtype.kind and bool(np.array_equal(first, second))


def by_shard(results: Sequence[xr.DataTree]) -> list[xr.DataTree]:
    """Return results in the order of their shards if each is a shard of one run, else in the order they have."""
    numbers = _shards([result.attrs for result in results])
    if numbers is None:
        return list(results)
    return [result for _, result in sorted(zip(numbers[0], results, strict=True), key=lambda pair: pair[0])]


def missing_shards(attributes: Sequence[Attributes]) -> list[str]:
    """Return the shards of one run that are not among results, such as ``3/4``; none if they are no shards."""
    numbers = _shards(attributes)
    if numbers is None:
        return []
    present, count = numbers
    return [f"{number}/{count}" for number in range(1, count + 1) if number not in present]


def _shards(attributes: Sequence[Attributes]) -> tuple[list[int], int] | None:
    """Return the number of each shard, and of how many; ``None`` unless all are shards of as many."""
    matches = [_SHARD.fullmatch(str(of_result.get(SHARD, ""))) for of_result in attributes]
    found = [match for match in matches if match is not None]
    if len(found) != len(matches) or len({match[2] for match in found}) != 1:
        return None
    return [int(match[1]) for match in found], int(found[0][2])


def _refuse(name: str, one: Any, other: Any) -> None:
    if one != other:
        raise SchemaError(f"the results differ in {name!r} ({one!r} and {other!r}), so they cannot be joined")
