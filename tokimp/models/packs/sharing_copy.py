"""A copy of a model's modules that shares its weights."""

from __future__ import annotations

import copy
from typing import Any


def sharing_copy(model: Any, attention: str | None) -> Any:
    """Return a copy of a model's modules that shares its weights.

    Parameters
    ----------
    model
        A transformers model, left as it is.
    attention
        How the copy computes attention, a name of transformers'; ``None`` as the model does.
    """
    tensors = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    twin = copy.deepcopy(model, tensors)
    if attention is not None:
        twin.set_attn_implementation(attention)
    return twin
