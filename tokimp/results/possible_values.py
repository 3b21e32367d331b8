"""What attributes and numbers of a result can be: no seed is a text, no time below 0, and no likelihood above 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import xarray as xr

from tokimp.storage.json_file import parse_json

# How far above 0 rounding may lift the log-probability of a token, in nats.
_ROUNDING = 1e-3
# How far a sum may be from its parts, where the parts were added up in single precision: relative, and in nats.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-3
_WHOLE = ("schema_version", "seed", "skipped_count")
_JSON = {"skipped": list, "estimator_parameters": dict}
_COUNTS = {"prompt_length": 0, "answer_length": 0, "token_id": 0, "full_tokens_forwarded": 0, "tokens_forwarded": -1}
_SPANS = ("joint", "answer", "reasoning")


def attribute_problems(attributes: Mapping[Any, Any], names: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with the values of reserved attributes, all of which are there.

    Names of models, objectives, precisions and devices are anybody's to choose; that they are texts is all that is
    checked.
    """
    for name in names:
        value = attributes[name]
        if name in _WHOLE:
            if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
                yield f"attribute {name!r} is {value!r}, not a whole number"
        elif not isinstance(value, str):
            yield f"attribute {name!r} is {value!r}, not text"
        elif name in _JSON and not _is_json(value, _JSON[name]):
            yield f"attribute {name!r} is not a JSON {'list' if _JSON[name] is list else 'object'}"
        elif name == "created" and not _are_times(value):
            yield f"attribute {name!r} is {value!r}, not a time such as 2026-01-31T12:00:00+00:00"
    count, skipped = attributes["skipped_count"], attributes["skipped"]
    if isinstance(skipped, str) and _is_json(skipped, list) and count != len(parse_json(skipped)):
        yield f"attribute 'skipped_count' is {count!r}, and 'skipped' lists {len(parse_json(skipped))}"


def _is_json(text: str, kind: type) -> bool:
    try:
        return isinstance(parse_json(text), kind)
    except ValueError:
        return False


def _are_times(text: str) -> bool:
    """Whether a text is a time, or the several times of a joined result."""
    try:
        return all(datetime.fromisoformat(part) for part in text.split("; "))
    except ValueError:
        return False


def number_problems(dataset: xr.Dataset) -> Iterator[str]:
    """Yield what no number can be: a length, an id or a time below 0, a likelihood that is none, a sum that is none.

    Names, dimensions and types are right, and the lengths add up.
    """
    read = {str(name): variable.to_numpy() for name, variable in dataset.variables.items()}
    for name, least in _COUNTS.items():
        if (read[name] < least).any():
            yield f"{name!r} holds a number below {least}"
    for name in ("seconds", "full_seconds"):
        # Where nothing is known there is NaN.
        if (read[name] < 0).any() or np.isinf(read[name]).any():
            yield f"{name!r} holds a number that is no duration"
    lengths = {
        "reasoning": read["reasoning_length"],
        "answer": read["answer_length"],
        "joint": read["reasoning_length"] + read["answer_length"],
    }
    full = {span: read[f"full_loglik_{span}"] for span in _SPANS}
    yield from _likelihood_problems("logprob", read["logprob"], 1)
    for span, numbers in full.items():
        yield from _likelihood_problems(f"full_loglik_{span}", numbers, lengths[span])
        after = read[f"loglik_{span}"]
        yield from _likelihood_problems(f"loglik_{span}", after, lengths[span][read["chain_index"]], may_be_nan=True)
    if not _same(full["joint"], full["answer"] + full["reasoning"]):
        yield "'full_loglik_joint' is not the sum of 'full_loglik_answer' and 'full_loglik_reasoning'"
    starts = np.cumsum(read["reasoning_length"]) - read["reasoning_length"]
    if not _same(full["reasoning"], np.add.reduceat(read["logprob"].astype(np.float64), starts)):
        yield "'full_loglik_reasoning' is not the sum of 'logprob' over the chain's tokens"


def _likelihood_problems(name: str, numbers: Any, n_tokens: Any, *, may_be_nan: bool = False) -> Iterator[str]:
    if not may_be_nan and np.isnan(numbers).any():
        yield f"{name!r} holds NaN"
    # A token that the model rules out has minus infinity.
    if np.isposinf(numbers).any():
        yield f"{name!r} holds a likelihood that is infinite"
    elif (numbers > _ROUNDING * n_tokens).any():
        yield f"{name!r} holds a log-likelihood above 0"


def _same(sums: Any, parts: Any) -> bool:
    """Whether sums are those of their parts; NaN is named elsewhere."""
    known = ~(np.isnan(sums) | np.isnan(parts))
    return bool(np.allclose(sums[known], parts[known], rtol=_RELATIVE, atol=_ABSOLUTE))
