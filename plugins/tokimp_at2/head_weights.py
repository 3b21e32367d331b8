"""The fitted weights of a model's heads, and their file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tokimp.chains.arrays import FloatArray
from tokimp.errors import EstimatorError
from tokimp.storage.atomic import replacing

FORMAT = "tokimp at2 1"
_HEADER, _DIGEST = "tokimp_at2", "sha256"
_AGAIN = "fit it again with 'tokimp analyze RUN at2:save=FILE'"


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """The weights of heads, and what they were fitted on.

    Attributes
    ----------
    weights
        [layer, head], float64; their sizes add up to 1.
    model_id, model_fingerprint
        The model whose heads they are.
    unit, prompt_format
        Of the chains.
    operator
        How units were taken away: ``knockout`` or ``delete``.
    chains, ablations
        How many chains, and ablations of each.
    versions
        Of tokimp and torch.
    """

    weights: FloatArray
    model_id: str
    model_fingerprint: str
    unit: str
    prompt_format: str
    operator: str
    chains: int
    ablations: int
    versions: dict[str, str]


def save_weights(fitted: HeadWeights, path: Path) -> None:
    """Write weights: numbers as safetensors, everything else as JSON in the file's metadata; nothing is pickled.

    An earlier file is replaced once the new one is complete.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    fields = {name: value for name, value in asdict(fitted).items() if name != "weights"}
    written = json.dumps({"format": FORMAT, **fields})
    weights = np.ascontiguousarray(fitted.weights, dtype=np.float64)
    with replacing(path) as partial:
        save_file({"weights": weights}, partial, metadata={_HEADER: written, _DIGEST: _digest(written, weights)})


def load_weights(path: Path) -> HeadWeights:
    """Read what `save_weights` wrote.

    Raises
    ------
    EstimatorError
        If there is no such file, it is damaged, or it holds no weights of this format.
    """
    if not path.is_file():
        raise EstimatorError(f"{path}: there is no such file; fit weights with 'tokimp analyze RUN at2:save=FILE'")
    try:
        with safe_open(path, framework="numpy") as stored:
            metadata = stored.metadata() or {}
            weights: FloatArray = stored.get_tensor("weights")
        written = metadata[_HEADER]
        return _assemble(json.loads(written), weights, metadata.get(_DIGEST) == _digest(written, weights))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise EstimatorError(f"{path} holds no whole weights of heads ({error}); {_AGAIN}") from error


def _assemble(header: Any, weights: FloatArray, is_whole: bool) -> HeadWeights:
    """Return weights from the contents of their file; raise what is wrong with them as any of Python's errors."""
    if not isinstance(header, dict) or header.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    if not is_whole:
        raise ValueError("it does not have the digest that it was saved with")
    if weights.ndim != 2 or not np.isfinite(weights).all():
        raise ValueError("its weights are no finite numbers by layer and head")
    return HeadWeights(weights=weights, **header)


def _digest(header: str, weights: FloatArray) -> str:
    """Return the digest of a header and weights."""
    digest = hashlib.sha256(header.encode())
    digest.update(f"\n{weights.dtype} {weights.shape}\n".encode())
    digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
