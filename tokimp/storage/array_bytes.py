"""Arrays under names as bytes and back: numbers as safetensors, texts as JSON in them; nothing is ever run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from tokimp.storage.json_file import parse_json

Arrays = Mapping[str, npt.NDArray[Any]]
# safetensors holds numbers only. A name with this ending is of the bytes of a JSON object: shape and texts.
_TEXT = "\0text"


def to_bytes(arrays: Arrays) -> bytes:
    """Return arrays of numbers, or of texts (of dtype object or str), as bytes."""
    numbers: dict[str, npt.NDArray[Any]] = {}
    for name, array in arrays.items():
        if array.dtype.kind in "OU":
            texts = {"shape": array.shape, "texts": [str(text) for text in array.ravel()]}
            numbers[name + _TEXT] = np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8)
        else:
            numbers[name] = np.ascontiguousarray(array).reshape(array.shape)
    content: bytes = safetensors.numpy.save(numbers)
    return content


def from_bytes(content: bytes) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays that bytes hold, texts as objects; ``None`` if they hold something else."""
    try:
        stored = safetensors.numpy.load(content)
        return {name.removesuffix(_TEXT): _read(name, array) for name, array in stored.items()}
    except (SafetensorError, KeyError, ValueError, TypeError):
        return None


def _read(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not name.endswith(_TEXT):
        # Copied, since numpy does not allow writing to arrays that lie in bytes.
        return array.copy()
    described = parse_json(array.tobytes())
    texts = np.empty(len(described["texts"]), dtype=object)
    texts[:] = [str(text) for text in described["texts"]]
    return texts.reshape(described["shape"])
