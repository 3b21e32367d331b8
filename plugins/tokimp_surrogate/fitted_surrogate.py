"""A fitted surrogate, which predicts a unit's value from attention features, and its file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tokimp.chains.arrays import FloatArray
from tokimp.errors import EstimatorError
from tokimp.storage.atomic import replacing
from tokimp_surrogate.features import KINDS, FeatureSpace

FORMAT = "tokimp surrogate 2"
_HEADER = "tokimp_surrogate"
_DIGEST = "sha256"
_OF_FEATURES = ("low", "high", "center", "scale")


@dataclass(frozen=True, slots=True)
class SurrogateHeader:
    """What a surrogate was fitted on, which decides what it can be used on.

    Attributes
    ----------
    target
        Name of the target it predicts (`tokimp_surrogate.targets.Target`).
    sign
        1 if a higher prediction means a more important unit, -1 if it means a less important one.
    objective, unit
        Objective and unit of the run.
    layers, heads, per_head, kinds
        The features, in the order of the columns (`tokimp_surrogate.features.FeatureSpace`).
    model_id, model_fingerprint, prompt_format
        The model whose attention it was fitted on, and the prompt format of its chains. They are recorded, not
        checked: any model with as many layers and heads can be used.
    chains, units
        Number of chains and units it was fitted on.
    versions
        Versions of tokimp and scikit-learn.
    """

    target: str
    sign: int
    objective: str
    unit: str
    layers: int
    heads: int
    per_head: bool
    kinds: tuple[str, ...]
    model_id: str
    model_fingerprint: str
    prompt_format: str
    chains: int
    units: int
    versions: dict[str, str]

    @property
    def space(self) -> FeatureSpace:
        """The meaning of the features' columns."""
        return FeatureSpace(self.layers, self.heads, self.per_head)


@dataclass(frozen=True, slots=True)
class Network:
    """A multilayer perceptron on standardised features, as plain arrays (float32).

    Features are clipped to the range seen in training. A feature that hardly varied there may otherwise be many
    standard deviations away from its mean, for which no weight was fitted.

    Attributes
    ----------
    low, high
        Least and greatest value of each feature in training, [feature]; features are clipped to them.
    center, scale
        Subtracted from the clipped features, and then dividing them, [feature].
    weights, biases
        Weights and biases of each layer, [in, out] and [out]; there are rectified linear units between the layers.
    target_center, target_scale
        The output is multiplied by the scale, and the center is added.
    """

    low: FloatArray
    high: FloatArray
    center: FloatArray
    scale: FloatArray
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    target_center: float
    target_scale: float

    def predict(self, features: FloatArray) -> FloatArray:
        """Return predictions, [unit], float64, on the target's scale, from features, [unit, feature]."""
        values = (np.clip(features, self.low, self.high) - self.center) / self.scale
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = values @ weight + bias
            if index < len(self.weights) - 1:
                values = np.maximum(values, 0)
        predictions: FloatArray = values[:, 0].astype(np.float64) * self.target_scale + self.target_center
        return predictions


@dataclass(frozen=True, slots=True)
class FittedSurrogate:
    """A network with the description of what it was fitted on."""

    header: SurrogateHeader
    network: Network

    def importance(self, features: FloatArray) -> FloatArray:
        """Return the importance of each unit, [unit], from its features, [unit, feature]."""
        return self.header.sign * self.network.predict(features)


def save_surrogate(surrogate: FittedSurrogate, path: Path) -> None:
    """Write a surrogate: arrays as safetensors, everything else as JSON in their metadata; nothing is pickled.

    An earlier file is replaced once the new one is complete.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    network = surrogate.network
    arrays = {name: getattr(network, name) for name in _OF_FEATURES}
    for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays |= {f"weight.{index}": weight, f"bias.{index}": bias}
    # float64, unlike the rest: the levels of likelihoods are large beside their differences.
    arrays["target"] = np.array([network.target_center, network.target_scale], dtype=np.float64)
    header = {"format": FORMAT, "depth": len(network.weights), **asdict(surrogate.header)}
    # The library writes bytes as they lie in memory, whatever the order of the dimensions.
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with replacing(path) as partial:
        written = json.dumps(header)
        save_file(contiguous, partial, metadata={_HEADER: written, _DIGEST: _digest(written, contiguous)})


def load_surrogate(path: Path) -> FittedSurrogate:
    """Read a file that `save_surrogate` wrote.

    Raises
    ------
    EstimatorError
        If there is no such file, it is damaged, or it is no surrogate of this format.
    """
    if not path.is_file():
        raise EstimatorError(
            f"{path}: there is no such file; fit a surrogate with 'tokimp analyze RUN surrogate:save=FILE'"
        )
    try:
        with safe_open(path, framework="numpy") as stored:
            metadata = stored.metadata() or {}
            written = metadata.get(_HEADER, "{}")
            header = json.loads(written)
            arrays: dict[str, FloatArray] = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
        # Files that 0.1.0 wrote have no digest.
        is_whole = not metadata.keys() - {_HEADER} or metadata.get(_DIGEST) == _digest(written, arrays)
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise EstimatorError(f"{path} is damaged, or no safetensors file ({error}); fit the surrogate again") from error
    if not is_whole:
        raise EstimatorError(
            f"{path} is damaged: it does not have the digest it was saved with; fit the surrogate again"
        )
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        file_format = header.get("format") if isinstance(header, dict) else header
        raise EstimatorError(
            f"{path} is no surrogate that this tokimp reads (format {file_format!r}, here {FORMAT!r}); fit it again "
            "with 'tokimp analyze RUN surrogate:save=FILE'"
        )
    try:
        return _assemble(header, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise EstimatorError(f"{path} is not a whole surrogate ({error!r}); fit it again") from error


def _digest(header: str, arrays: dict[str, FloatArray]) -> str:
    """Return the digest of a surrogate's header and arrays."""
    digest = hashlib.sha256(header.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _assemble(header: dict[str, Any], arrays: dict[str, FloatArray]) -> FittedSurrogate:
    """Return a surrogate from the contents of its file; raise what is wrong with them as any of Python's errors."""
    fields = {name: value for name, value in header.items() if name not in {"format", "depth"}}
    described = SurrogateHeader(**{**fields, "kinds": tuple(fields["kinds"])})
    depth = int(header["depth"])
    weights = tuple(arrays[f"weight.{index}"] for index in range(depth))
    biases = tuple(arrays[f"bias.{index}"] for index in range(depth))
    if described.kinds != KINDS:
        raise ValueError(f"its features are {', '.join(described.kinds)}; this tokimp's are {', '.join(KINDS)}")
    widths = [len(described.space.names), *(len(bias) for bias in biases)]
    fits = [weight.shape for weight in weights] == list(pairwise(widths)) and widths[-1] == 1
    low, high, center, scale = of_features = [arrays[name] for name in _OF_FEATURES]
    if not fits or any(array.shape != (widths[0],) for array in of_features):
        raise ValueError(f"its arrays do not fit its {widths[0]} features")
    if described.sign not in {1, -1} or not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("it holds numbers that are not finite, or no sign")
    if (low > high).any():
        raise ValueError("the least value of a feature is above its greatest")
    target_center, target_scale = arrays["target"].tolist()
    network = Network(low, high, center, scale, weights, biases, target_center, target_scale)
    return FittedSurrogate(described, network)
