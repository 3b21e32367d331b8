"""Give a model object the precision, and the buffers, that it would have if it were loaded from a folder."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import init_empty_weights


def convert(model: Any, precision: torch.dtype | None) -> None:
    """Convert a model's weights in place, and leave rotary frequencies as precise as transformers keeps them.

    ``model.half()`` also rounds rotary frequencies and other constants, which no checkpoint holds and which
    transformers computes anew when it loads one. Rounded frequencies turn later positions by a wrong angle. So
    constants are computed anew here too, if they may have been rounded or depend on the precision.

    Parameters
    ----------
    model
        A transformers model.
    precision
        The precision of the weights; ``None`` leaves it.
    """
    names = [name for name, buffer in _constants(model) if buffer.is_floating_point()]
    was_half = model.dtype.itemsize == 2
    if precision is not None:
        stored = [buffer for name, buffer in model.named_buffers() if name in model.state_dict()]
        for tensor in (*model.parameters(), *stored):
            if tensor.is_floating_point():
                tensor.data = tensor.data.to(precision)
    if not names or not (was_half or model.dtype.itemsize == 2):
        return
    default = torch.get_default_dtype()
    torch.set_default_dtype(model.dtype)  # as transformers does while it loads
    try:
        # Weights take no memory here; buffers are computed.
        with init_empty_weights(include_buffers=False):
            twin = type(model)(model.config)
    finally:
        torch.set_default_dtype(default)
    for module in twin.modules():
        twin._init_weights(module)  # which transformers calls after that, and which computes some buffers again
    fresh = dict(_constants(twin))
    for name in names:
        if name in fresh and fresh[name].device.type != "meta":
            module_name, _, own_name = name.rpartition(".")
            setattr(model.get_submodule(module_name), own_name, fresh[name].to(model.device))


def _constants(model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return the buffers that are not saved with a model, by their dotted names."""
    stored = model.state_dict().keys()
    return [(name, buffer) for name, buffer in model.named_buffers() if name not in stored]
