"""What a run finds out, as bytes to be stored and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.effect_records import effect_arrays, stored_effects
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import TokimpError
from tokimp.storage.array_bytes import Arrays, from_bytes, to_bytes
from tokimp.storage.json_file import parse_json

Stored = TypeVar("Stored")


def cell_bytes(cell: Cell) -> bytes:
    """Return a cell as bytes."""
    importance = cell.importance
    arrays: dict[str, npt.NDArray[Any]] = {
        "scores": importance.scores,
        **effect_arrays(importance),
        **_cost(cell),
    }
    if importance.order is not None:
        arrays["order"] = importance.order
    if importance.trajectory is not None:
        arrays["joint"] = importance.trajectory.joint
        arrays["answer"] = importance.trajectory.answer
        arrays["reasoning"] = importance.trajectory.reasoning
    arrays["names"] = np.array(list(importance.diagnostics), dtype=object)
    arrays["values"] = np.array(list(importance.diagnostics.values()), dtype=np.float64)
    return to_bytes(arrays)


def cell(content: bytes | None) -> Cell | None:
    """Return the cell that bytes hold; ``None`` if there are none, or they hold something else."""
    return _built(_cell, content)


def unpruned_bytes(unpruned: UnprunedLogprobs) -> bytes:
    """Return the log-probabilities of an unpruned chain as bytes."""
    logprobs = unpruned.logprobs
    return to_bytes({"reasoning": logprobs.reasoning, "answer": logprobs.answer, **_cost(unpruned)})


def unpruned(content: bytes | None) -> UnprunedLogprobs | None:
    """Return the log-probabilities that bytes hold; ``None`` if there are none, or they hold something else."""
    return _built(_unpruned, content)


def text_bytes(text: str) -> bytes:
    """Return a text as bytes."""
    return text.encode()


def text(content: bytes | None) -> str | None:
    """Return the text that bytes hold; ``None`` if there are none, or they hold something else."""
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        return None


def failure_bytes(failure: Mapping[str, Any]) -> bytes:
    """Return what is known of a failed cell as bytes."""
    return json.dumps(dict(failure)).encode()


def failure(content: bytes | None) -> dict[str, Any] | None:
    """Return what is known of a failed cell; ``None`` if there are no bytes, or they hold something else."""
    try:
        recorded = None if content is None else parse_json(content)
    except ValueError:
        return None
    return recorded if isinstance(recorded, dict) else None


def from_arrays(arrays: Arrays) -> bytes:
    """Return a cell, log-probabilities or a text that an earlier tokimp stored as arrays of these names, as bytes."""
    if "text" in arrays:
        return text_bytes(str(arrays["text"].item()))
    return to_bytes(arrays)


def _built(build: Callable[[Arrays], Stored], content: bytes | None) -> Stored | None:
    """Return what bytes hold; ``None`` if there are none, or arrays are missing or not of their kind."""
    arrays = None if content is None else from_bytes(content)
    try:
        return None if arrays is None else build(arrays)
    # A contract's own errors too: a trajectory whose lengths differ, say.
    except (KeyError, ValueError, TypeError, IndexError, TokimpError):
        return None


def _cell(arrays: Arrays) -> Cell:
    trajectory = None
    if "joint" in arrays:
        joint, answer, reasoning = _vectors(arrays, "joint", "answer", "reasoning")
        trajectory = Trajectory(joint, answer, reasoning)
    names, values = _vectors(arrays, "names", "values")
    (scores, *order) = _vectors(arrays, "scores", *(["order"] if "order" in arrays else []))
    diagnostics = dict(zip(names.tolist(), values.tolist(), strict=True))
    effects = stored_effects(arrays, len(scores))
    importance = Importance(scores, order[0] if order else None, trajectory, diagnostics, *effects)
    return Cell(importance, arrays["seconds"].item(), arrays["tokens_forwarded"].item())


def _unpruned(arrays: Arrays) -> UnprunedLogprobs:
    logprobs = SpanLogprobs(*(_vectors(arrays, name)[0] for name in ("reasoning", "answer")))
    return UnprunedLogprobs(logprobs, arrays["seconds"].item(), arrays["tokens_forwarded"].item())


def _vectors(arrays: Arrays, *names: str) -> list[npt.NDArray[Any]]:
    """Return the arrays of these names; raise `ValueError` unless all are vectors of one length."""
    vectors = [arrays[name] for name in names]
    if any(vector.ndim != 1 or len(vector) != len(vectors[0]) for vector in vectors):
        raise ValueError(f"{', '.join(names)} are not vectors of one length")
    return vectors


def _cost(measured: Cell | UnprunedLogprobs) -> dict[str, npt.NDArray[Any]]:
    return {"seconds": np.array(measured.seconds), "tokens_forwarded": np.array(measured.tokens_forwarded)}
