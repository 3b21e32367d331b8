"""Norms of value vectors after the output projection: how much a head adds when it attends to a key."""

from __future__ import annotations

import torch


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
