"""The queries of a layer's attention, as they would be at other positions, without knowing how its class rotates them.

What a query is rotated by is linear in the cosines and sines that the model gives its attention. So attention is run
once more on its own input, with the mean cosines and sines of the positions asked for, and the first product that it
computes shows the queries. That these are its queries, and by what it scales their products, is found from its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers.cache_utils import Cache

from tokimp.errors import UnsupportedError

_ROTATION = "position_embeddings"
_LEAST_WEIGHT = 1e-20  # of those below, the logarithm is lost
_NEAR = 5e-2


@dataclass(frozen=True)
class AttentionCall:
    """An attention module and what it was called with, for one sequence.

    Attributes
    ----------
    module
        The module.
    arguments, named
        What it was given.
    pattern
        The weights that it computed, [head, query, key], float32.
    """

    module: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    pattern: torch.Tensor

    def queries_at(self, positions: Sequence[int]) -> torch.Tensor:
        """Return the mean of each query over some positions, scaled; see `LayerStates.queries`.

        Raises
        ------
        UnsupportedError
            If its queries are not found, or turn with the position in a way that is not known.
        """
        own, keys = self._first_product({})
        scale = self._scale(own, keys)
        rotation = self.named.get(_ROTATION)
        if rotation is None:
            self._refuse_hidden_rotation()
            return own * scale
        curves = _curves(rotation[0], rotation[1])
        if curves is None:
            raise self._unknown("its cosines and sines do not turn evenly from position 0 on")
        cosines, sines = (_mean_at(part, positions) for part in curves)
        shape = rotation[0].shape
        turned = tuple(mean.to(table).expand(shape) for mean, table in zip((cosines, sines), rotation, strict=True))
        return self._first_product({_ROTATION: turned})[0] * scale

    def _first_product(self, changed: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run attention again; return the queries and keys whose products it takes, [head, position, dimension]."""
        # Without the cache, which holds the keys of this sequence already.
        arguments = [None if isinstance(value, Cache) else value for value in self.arguments]
        named = {name: None if isinstance(value, Cache) else value for name, value in self.named.items()}
        with _FirstProduct(self.pattern.shape) as product:
            # Not the module itself, whose hooks belong to those who set them.
            self.module.forward(*arguments, **(named | changed))
        factors: tuple[torch.Tensor, torch.Tensor] | None = product.factors
        if factors is None:
            raise self._unknown("it computes its weights in an unknown way")
        return factors

    def _scale(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return by what the products of queries and keys are multiplied before the softmax."""
        known = self.pattern > _LEAST_WEIGHT
        weights = torch.where(known, self.pattern, 1.0).double().log()
        products = torch.where(known, (queries @ keys.transpose(-1, -2)).double(), 0.0)
        count = known.sum(dim=-1, keepdim=True).clamp(min=1)
        weights, products = (
            torch.where(known, part - part.sum(dim=-1, keepdim=True) / count, 0.0) for part in (weights, products)
        )
        scale = (weights * products).sum() / (products * products).sum().clamp(min=1e-30)
        rest = (weights - scale * products).norm()
        if not rest <= _NEAR * weights.norm() + 1e-2 * known.sum().sqrt():
            raise self._unknown("its weights are not a softmax of the products of queries and keys")
        return scale.float()

    def _refuse_hidden_rotation(self) -> None:
        """Raise `UnsupportedError` if queries turn although no cosines and sines were given to attention."""
        place = "hidden_states" if "hidden_states" in self.named else 0
        hidden = self.named["hidden_states"] if place else self.arguments[0]
        alike = hidden[:, :1].expand_as(hidden)
        if place:
            call = AttentionCall(self.module, self.arguments, self.named | {"hidden_states": alike}, self.pattern)
        else:
            call = AttentionCall(self.module, (alike, *self.arguments[1:]), self.named, self.pattern)
        queries, _ = call._first_product({})
        if not (queries - queries[:, :1]).norm() <= 1e-3 * queries.norm():
            raise self._unknown("it turns its queries with the position by itself")

    def _unknown(self, why: str) -> UnsupportedError:
        return UnsupportedError(f"the queries of {type(self.module).__name__} are not found: {why}")


class _FirstProduct(TorchFunctionMode):
    """Sees the first product of queries and keys that is computed, [1, head, query, key]."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self._shape = (1, *shape)
        self.factors: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what was to be done, and keep the factors of the first product of the right shape."""
        result = func(*args, **(kwargs or {}))
        if self.factors is None and func in _PRODUCTS and result.shape == self._shape:
            queries, keys = args[:2]
            self.factors = queries[0].float(), keys[0].transpose(-1, -2).float()
        return result


_PRODUCTS = (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__)


_Curve = tuple[torch.Tensor, torch.Tensor, float]
"""``amplitude * cos(position * frequency + angle)``: amplitude and frequency, [dimension], and the angle."""


def _curves(cosines: torch.Tensor, sines: torch.Tensor) -> tuple[_Curve, _Curve] | None:
    """Return the curves of cosines and sines, [1, position, dimension] from position 0; `None` if they follow none.

    Frequencies are found from the first positions, and made more exact by later ones.
    """
    cosine, sine = (part.reshape(-1, *part.shape[-2:])[0].double() for part in (cosines, sines))
    amplitude, frequency = cosine[0], torch.zeros_like(cosine[0])
    place = 1
    while place < len(cosine):
        angle = torch.atan2(sine[place], cosine[place])
        turns = torch.round((place * frequency - angle) / (2 * torch.pi)) if place > 1 else torch.zeros_like(angle)
        frequency = (angle + 2 * torch.pi * turns) / place
        place *= 2
    curves = (amplitude, frequency, 0.0), (amplitude, frequency, -torch.pi / 2)
    places = torch.arange(len(cosine), dtype=torch.float64, device=cosine.device)[:, None]
    near = 1e-3 if cosines.dtype.itemsize > 2 else 3e-2
    for table, curve in zip((cosine, sine), curves, strict=True):
        if not (table - _values(curve, places)).abs().max() <= near * amplitude.abs().max():
            return None
    return curves


def _values(curve: _Curve, places: torch.Tensor) -> torch.Tensor:
    """Return a curve at some positions, [position, 1] to [position, dimension]."""
    amplitude, frequency, angle = curve
    return amplitude * torch.cos(places * frequency + angle)


def _mean_at(curve: _Curve, positions: Sequence[int]) -> torch.Tensor:
    """Return the mean of a curve over positions, [1, 1, dimension]."""
    places = torch.tensor(list(positions), dtype=torch.float64, device=curve[0].device)[:, None]
    return _values(curve, places).mean(dim=0)[None, None]
