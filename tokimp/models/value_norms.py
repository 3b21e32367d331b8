"""Norms of value vectors after the output projection: how much a head adds when it attends to a key."""

from __future__ import annotations

import torch

from tokimp.models.batching import out_of_memory


def value_norms(values: torch.Tensor, heads: int, projection: torch.nn.Module) -> torch.Tensor:
    """Return ``||f(x)||`` for each head and key, where f takes a value vector through the head's output projection.

    The projection is called with one head's values and zeros for all other heads, and its bias (what it returns for
    zeros) is subtracted. So it can be any linear module, however it stores its weights.

    Parameters
    ----------
    values
        Values as the cache stores them, [key-value head, key, head dimension].
    heads
        Number of query heads. Several may share one key-value head (grouped-query attention).
    projection
        Maps [..., head * head dimension] to [..., d_model].

    Returns
    -------
    torch.Tensor
        [head, key], float32.

    References
    ----------
    Kobayashi et al. 2020, *Attention is Not Only a Weight*, section 3, equations 3 to 5.
    """
    groups, keys, dimension = values.shape
    zero = values.new_zeros(1, keys, heads * dimension)
    at_zero = projection(zero)
    norms = []
    for head in range(heads):
        alone = zero.clone()
        alone[0, :, head * dimension : (head + 1) * dimension] = values[head // (heads // groups)]
        norms.append((projection(alone) - at_zero)[0].float().norm(dim=-1))
    return torch.stack(norms)


class MovedValues:
    """What a layer's heads move, caught as it goes into the output projection, beside what they should move.

    A backend may show a layer's weights before or after the layer moves values, so the two are compared at the end.

    Parameters
    ----------
    projection
        The layer's output projection.
    """

    def __init__(self, projection: torch.nn.Module) -> None:
        self._projection = projection
        self._moved: torch.Tensor | None = None
        self._expected: torch.Tensor | None = None
        self._tolerance, self._watching = 0.0, True
        self._handle = projection.register_forward_pre_hook(self._catch)

    def remove(self) -> None:
        """Stop watching the projection."""
        self._handle.remove()

    def norms(self, values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor | None:
        """Return the norms of values, [head, key], and remember what is moved if these values are.

        Parameters
        ----------
        values
            [key-value head, key, head dimension]
        weights
            [head, query, key]

        Returns
        -------
        torch.Tensor or None
            ``None`` if the shapes show that the heads move something else.
        """
        heads, length, _ = weights.shape
        if values.shape[1] != length or heads % values.shape[0]:
            return None
        expected = weights @ values.float().repeat_interleave(heads // values.shape[0], dim=0)
        self._expected = expected.transpose(0, 1).reshape(length, -1)
        self._tolerance = 3e-2 if values.dtype.itemsize == 2 else 1e-3
        self._watching = False
        try:
            return value_norms(values, heads, self._projection)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            return None  # the projection takes vectors of another size
        finally:
            self._watching = True

    def confirmed(self) -> bool:
        """Return whether the layer moved what it should: the weighted sums of the values."""
        moved, expected = self._moved, self._expected
        if moved is None or expected is None or moved.numel() != expected.numel():
            return False
        error = (moved.reshape(expected.shape).float() - expected).norm()
        return bool(error <= self._tolerance * expected.norm())

    def _catch(self, module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        if self._watching and self._moved is None:
            self._moved = arguments[0].detach()
