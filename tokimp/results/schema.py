"""The format of a result: its reserved names, and the rules that a valid result follows (``docs/schema.md``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.errors import SchemaError
from tokimp.results.effects_schema import effects_problems
from tokimp.results.possible_values import attribute_problems, number_problems

SCHEMA_VERSION = 1
LOGLIKS = ("joint", "answer", "reasoning")
DIAGNOSTIC_PREFIX = "diagnostic_"
STATUS = "status"
"""The variable that says which cells failed; it is there if one did."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A reserved variable: its dimensions, numpy dtype (``object`` holds text), unit of measure and meaning."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    meaning: str


VARIABLES: Mapping[str, Variable] = {
    "chain_id": Variable(("chain",), "object", "", "names the chain; unique"),
    "question": Variable(("chain",), "object", "", "the question, as given"),
    "reasoning": Variable(("chain",), "object", "", "the reasoning, as given"),
    "answer": Variable(("chain",), "object", "", "the answer, as given"),
    "gold": Variable(("chain",), "object", "", "the right answer; empty where it is not known"),
    "system": Variable(("chain",), "object", "", "the system message; empty where there is none"),
    "wrong_answer": Variable(("chain",), "object", "", "what contrast compares with; empty where there is none"),
    "reasoning_length": Variable(("chain",), "int64", "tokens", "reasoning tokens of the chain"),
    "prompt_length": Variable(("chain",), "int64", "tokens", "tokens before the reasoning"),
    "answer_length": Variable(("chain",), "int64", "tokens", "tokens after the reasoning"),
    "full_loglik_joint": Variable(("chain",), "float64", "nats", "log P(reasoning, answer | prompt), unpruned"),
    "full_loglik_answer": Variable(("chain",), "float64", "nats", "log P(answer | prompt, reasoning), unpruned"),
    "full_loglik_reasoning": Variable(("chain",), "float64", "nats", "log P(reasoning | prompt), unpruned"),
    "full_seconds": Variable(("chain",), "float64", "s", "wall time of scoring the unpruned chain"),
    "full_tokens_forwarded": Variable(("chain",), "int64", "tokens", "positions passed to score the unpruned chain"),
    "chain_index": Variable(("token",), "int64", "", "index of the token's chain along chain"),
    "position": Variable(("token",), "int64", "", "index of the token within its chain's reasoning, from 0"),
    "unit": Variable(("token",), "int64", "", "index of the token's unit within its chain, from 0"),
    "token_id": Variable(("token",), "int64", "", "the tokenizer's id"),
    "token_text": Variable(("token",), "object", "", "reasoning[token_start:token_end]"),
    "token_start": Variable(("token",), "int64", "characters", "first character of the reasoning it covers"),
    "token_end": Variable(("token",), "int64", "characters", "one past the last character it covers"),
    "category": Variable(("token",), "object", "", "category of the token; empty where it has none"),
    "logprob": Variable(("token",), "float32", "nats", "log P(token | everything before it), unpruned"),
    "importance": Variable(("estimator", "token"), "float64", "", "importance of the token's unit; higher = more"),
    "rank": Variable(("estimator", "token"), "int64", "", "place of its unit in the deletion order; 0 = removed first"),
    "loglik_joint": Variable(("estimator", "token"), "float64", "nats", "of what is left once its unit has gone"),
    "loglik_answer": Variable(("estimator", "token"), "float64", "nats", "of the answer once its unit has gone"),
    "loglik_reasoning": Variable(("estimator", "token"), "float64", "nats", "of the reasoning left once it has gone"),
    "seconds": Variable(("estimator", "chain"), "float64", "s", "wall time of the estimate"),
    "tokens_forwarded": Variable(("estimator", "chain"), "int64", "tokens", "positions passed through the model"),
}

# What only some results have.
_STATUS = Variable(("estimator", "chain"), "object", "", "why a cell failed (failed: ...); empty where none did")

ATTRIBUTES: Mapping[str, str] = {
    "schema_version": "version of this format",
    "tokimp_version": "version of tokimp",
    "torch_version": "version of torch",
    "transformers_version": "version of transformers",
    "backend": "name of the scorer's backend",
    "backend_version": "version of the backend; empty where it has none",
    "model_id": "the model, as it was asked for",
    "model_fingerprint": "digest of weights, configuration and precision",
    "scorer": "name of the scorer, and in parentheses the distribution that offers it, if one does",
    "objective": "label of the objective: its name, and its parameters that differ from their defaults",
    "prompt_format": "names of the prompt formats of the chains, comma-separated",
    "unit": "label of the unit: its name, and its parameters that differ from their defaults",
    "dtype": "precision of the model",
    "device": "device of the model",
    "seed": "seed of everything random",
    "created": "start of the run, UTC, ISO 8601",
    "estimator_parameters": "JSON: label to name, distribution, parameters and digests of input files",
    "skipped_count": "how many records were left out",
    "skipped": "JSON: where, id and reason of each record left out",
}


def status_variable(failures: Sequence[Sequence[str]]) -> xr.Variable:
    """Return the variable `STATUS`.

    Parameters
    ----------
    failures
        Why each cell failed, [estimator][chain]; empty where it did not.
    """
    texts = np.empty((len(failures), len(failures[0])), dtype=object)
    texts[:] = [[f"failed: {failure}" if failure else "" for failure in row] for row in failures]
    return xr.Variable(_STATUS.dims, texts, {"long_name": _STATUS.meaning})


_OF_CELLS = ("importance", "rank", *(f"loglik_{span}" for span in LOGLIKS))


def ranks(scores: FloatArray) -> IntArray:
    """Return the deletion order that scores imply: the least important unit has rank 0 and goes first.

    If units tie, the leftmost goes first.

    Parameters
    ----------
    scores
        The importance of each unit, [unit]; higher = more important.

    Returns
    -------
    IntArray
        The rank of each unit, [unit]: a permutation of 0 ... n - 1.

    Examples
    --------
    >>> ranks(np.array([0.5, -1.0, 0.5])).tolist()
    [1, 0, 2]
    """
    order = np.argsort(np.asarray(scores), kind="stable")
    result = np.empty(len(order), dtype=np.int64)
    result[order] = np.arange(len(order))
    return result


def unstorable(text: str) -> str | None:
    """Return why a text cannot be stored in a netCDF file (a NUL, half a surrogate pair), or ``None`` if it can."""
    if "\0" in text:
        return f"a NUL character at {text.index(chr(0))}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"half a surrogate pair at character {error.start}"
    return None


def validate(tree: xr.DataTree) -> None:
    """Check that a result is of the format in ``docs/schema.md``.

    Raises
    ------
    SchemaError
        With everything that is wrong, one line each. Values (ranks, lengths of chains) are checked only if all names,
        dimensions and types are right.
    """
    dataset = tree.to_dataset()
    problems = [*_shape_problems(dataset)] or [
        *attribute_problems(dataset.attrs, ATTRIBUTES),
        *_ragged_problems(dataset),
        *_value_problems(dataset),
    ]
    problems = problems or list(effects_problems(tree))
    if problems:
        raise SchemaError("not a valid result (docs/schema.md):\n" + "\n".join(f"- {line}" for line in problems))


def _shape_problems(dataset: xr.Dataset) -> Iterator[str]:
    for name in ATTRIBUTES:
        if name not in dataset.attrs:
            yield f"attribute {name!r} is missing"
    if (version := dataset.attrs.get("schema_version", SCHEMA_VERSION)) != SCHEMA_VERSION:
        yield f"attribute 'schema_version' is {version!r}; this tokimp reads {SCHEMA_VERSION}"
    if "estimator" not in dataset.coords:
        yield "coordinate 'estimator' is missing"
    for name, spec in VARIABLES.items():
        if name in dataset:
            yield from _variable_problems(dataset[name], spec)
        else:
            yield f"variable {name!r} is missing"
    if STATUS in dataset:
        yield from _variable_problems(dataset[STATUS], _STATUS)
    for dimension in ("chain", "token", "estimator"):
        if dataset.sizes.get(dimension) == 0:
            yield f"dimension {dimension!r} is empty"


def _variable_problems(variable: xr.DataArray, spec: Variable) -> Iterator[str]:
    if variable.dims != spec.dims:
        yield f"variable {variable.name!r} has dimensions {variable.dims}, not {spec.dims}"
    elif spec.dtype == "object":
        wrong = [value for value in variable.to_numpy().ravel() if not isinstance(value, str)]
        if wrong:
            yield f"variable {variable.name!r} holds {wrong[0]!r}, which is not text"
    elif variable.dtype != spec.dtype:
        yield f"variable {variable.name!r} has dtype {variable.dtype}, not {spec.dtype}"


def _ragged_problems(dataset: xr.Dataset) -> Iterator[str]:
    for name in ("chain_id", "estimator"):
        repeated = sorted(value for value, count in Counter(dataset[name].to_numpy().tolist()).items() if count > 1)
        if repeated:
            yield f"{name!r} {repeated[0]!r} occurs more than once"
    lengths = dataset["reasoning_length"].to_numpy()
    if (lengths < 1).any() or lengths.sum() != dataset.sizes["token"]:
        yield f"'reasoning_length' adds up to {lengths.sum()} for {dataset.sizes['token']} tokens (each at least 1)"
        return
    if not np.array_equal(dataset["chain_index"], np.repeat(np.arange(len(lengths)), lengths)):
        yield "'chain_index' does not follow 'reasoning_length'"
    if not np.array_equal(dataset["position"], np.concatenate([np.arange(length) for length in lengths])):
        yield "'position' does not count from 0 in every chain"


def _value_problems(dataset: xr.Dataset) -> Iterator[str]:
    lengths = dataset["reasoning_length"].to_numpy()
    if (lengths < 1).any() or lengths.sum() != dataset.sizes["token"]:
        return
    yield from number_problems(dataset)
    # As plain arrays: to look at each chain through xarray takes far longer than to look at its numbers.
    read = {str(name): variable.to_numpy() for name, variable in dataset.variables.items()}
    texts = zip(read["chain_id"].tolist(), read["reasoning"].tolist(), strict=True)
    for index, (end, (chain_id, text)) in enumerate(zip(np.cumsum(lengths), texts, strict=True)):
        tokens, where = slice(end - lengths[index], end), f"chain {chain_id!r}"
        spans = list(zip(*(read[name][tokens].tolist() for name in ("token_start", "token_end")), strict=True))
        if any(not 0 <= first <= last <= len(text) for first, last in spans):
            yield f"{where}: a token's characters lie outside the reasoning"
        elif [text[first:last] for first, last in spans] != read["token_text"][tokens].tolist():
            yield f"{where}: 'token_text' is not the reasoning's text at the tokens' characters"
        units, firsts, owner = np.unique(read["unit"][tokens], return_index=True, return_inverse=True)
        if not np.array_equal(units, np.arange(len(units))) or (np.diff(firsts) < 0).any():
            yield f"{where}: 'unit' does not number the units from 0 in the order of their first tokens"
            continue
        for row, label in enumerate(read["estimator"].tolist()):
            numbers = {name: read[name][row, tokens] for name in _OF_CELLS}
            yield from (f"{where}, {label!r}: {problem}" for problem in _cell_problems(numbers, firsts, owner))
            if STATUS in read and read[STATUS][row, index] and not np.isnan(numbers["importance"]).all():
                yield f"{where}, {label!r}: {STATUS!r} says that it failed, but it has an importance"


def _cell_problems(numbers: Mapping[str, npt.NDArray[Any]], firsts: IntArray, owner: IntArray) -> Iterator[str]:
    for name, values in numbers.items():
        if not np.array_equal(values[firsts][owner], values, equal_nan=True):
            yield f"{name!r} differs between tokens of one unit"
    scores, places = numbers["importance"][firsts], numbers["rank"][firsts]
    if np.isnan(scores).all():
        if (places != -1).any():
            yield "'rank' must be -1 where there is no importance"
        return
    if not np.isfinite(scores).all():
        yield "'importance' is neither finite on all units nor NaN on all"
    elif not np.array_equal(places, ranks(scores)):
        yield "'rank' is not the ascending order of 'importance' (of ties, the leftmost unit first)"
    gone = ~np.isnan(numbers["loglik_joint"][firsts])
    if any(not np.array_equal(~np.isnan(numbers[f"loglik_{which}"][firsts]), gone) for which in LOGLIKS):
        yield "the three logliks are not given for the same units"
    elif not np.array_equal(np.sort(places[gone]), np.arange(gone.sum())):
        yield "logliks are given for units other than those ranked as removed first"
