"""How much a head moves from a key when it attends to it: norms of value vectors after the output projection."""

from __future__ import annotations

import torch


def value_norms(values: torch.Tensor, heads: int, projection: torch.nn.Module) -> torch.Tensor:
    """Return ``||f(x)||`` of each head and key: the value vector through the head's slice of the output projection.

    A linear map is read off its module by what it makes of a head's values with all other heads at zero, less what it
    makes of zero (its bias): so any module that is linear will do, whatever its layout.

    Parameters
    ----------
    values
        [key-value head, key, head dimension], as kept in the key-value cache.
    heads
        Query heads; several share the values of one key-value head (grouped-query attention).
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
