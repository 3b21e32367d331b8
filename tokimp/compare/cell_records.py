"""What a run finds out, as bytes to be stored and back: arrays as safetensors, texts as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import TokimpError
from tokimp.storage.json_file import parse_json

Arrays = Mapping[str, npt.NDArray[Any]]
Stored = TypeVar("Stored")


def cell_bytes(cell: Cell) -> bytes:
    """Return a cell as bytes."""
    importance = cell.importance
    arrays: dict[str, npt.NDArray[Any]] = {"scores": importance.scores, **_cost(cell)}
    if importance.order is not None:
        arrays["order"] = importance.order
    if importance.trajectory is not None:
        arrays["joint"] = importance.trajectory.joint
        arrays["answer"] = importance.trajectory.answer
        arrays["reasoning"] = importance.trajectory.reasoning
    # Names as the bytes of a JSON list, since safetensors holds numbers only.
    arrays["names"] = np.frombuffer(json.dumps(list(importance.diagnostics)).encode(), dtype=np.uint8)
    arrays["values"] = np.array(list(importance.diagnostics.values()), dtype=np.float64)
    return _bytes(arrays)


def cell(content: bytes | None) -> Cell | None:
    """Return the cell that bytes hold; ``None`` if there are none, or they hold something else."""
    return _built(_cell, content)


def unpruned_bytes(unpruned: UnprunedLogprobs) -> bytes:
    """Return the log-probabilities of an unpruned chain as bytes."""
    logprobs = unpruned.logprobs
    return _bytes({"reasoning": logprobs.reasoning, "answer": logprobs.answer, **_cost(unpruned)})


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
    if "names" in arrays:
        arrays = {**arrays, "names": np.frombuffer(json.dumps(arrays["names"].tolist()).encode(), dtype=np.uint8)}
    return _bytes(arrays)


def _bytes(arrays: Arrays) -> bytes:
    content: bytes = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return content


def _built(build: Callable[[Arrays], Stored], content: bytes | None) -> Stored | None:
    """Return what bytes hold; ``None`` if there are none, or arrays are missing or not of their kind."""
    if content is None:
        return None
    try:
        # Copied, since numpy does not allow writing to arrays that lie in bytes.
        return build({name: array.copy() for name, array in safetensors.numpy.load(content).items()})
    # A contract's own errors too: a trajectory whose lengths differ, say.
    except (SafetensorError, KeyError, ValueError, TypeError, IndexError, TokimpError):
        return None


def _cell(arrays: Arrays) -> Cell:
    trajectory = None
    if "joint" in arrays:
        joint, answer, reasoning = _vectors(arrays, "joint", "answer", "reasoning")
        trajectory = Trajectory(joint, answer, reasoning)
    names = [str(name) for name in parse_json(arrays["names"].tobytes())]
    (values,) = _vectors(arrays, "values")
    (scores, *order) = _vectors(arrays, "scores", *(["order"] if "order" in arrays else []))
    diagnostics = dict(zip(names, values.tolist(), strict=True))
    importance = Importance(scores, order[0] if order else None, trajectory, diagnostics)
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
