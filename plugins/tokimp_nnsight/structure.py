"""Where a transformers model keeps its token embedding, its attention and their output projections."""

from __future__ import annotations

from typing import Any

import torch

from tokimp.errors import UnsupportedError

_PROJECTIONS = ("o_proj", "c_proj", "dense", "out_proj", "wo", "o")


def module_path(model: torch.nn.Module, wanted: torch.nn.Module) -> str:
    """Return the dotted path of a module within a model."""
    for path, module in model.named_modules():
        if module is wanted:
            return str(path)
    raise UnsupportedError(f"{type(model).__name__} does not contain its own {type(wanted).__name__}")


def attention_paths(model: torch.nn.Module, layers: int) -> dict[int, str]:
    """Return the dotted path of the attention module, for each layer that has attention.

    The first module list with as many entries as the model has layers holds the blocks. A block's attention is the
    child whose class name ends in "Attention" (``LlamaAttention``, ``GPT2Attention``, ...). Recurrent layers have none.
    """
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            paths = {}
            for index, block in enumerate(module):
                for name, child in block.named_children():
                    if type(child).__name__.endswith("Attention"):
                        paths[index] = f"{path}.{index}.{name}"
            return paths
    return {}


def output_projection(attention: torch.nn.Module) -> torch.nn.Module:
    """Return the child of an attention module that maps its concatenated heads to the residual stream."""
    children: dict[str, Any] = dict(attention.named_children())
    for name in _PROJECTIONS:
        if name in children:
            projection: torch.nn.Module = children[name]
            return projection
    raise UnsupportedError(
        f"the output projection of {type(attention).__name__} is none of {', '.join(_PROJECTIONS)}; "
        "use weights='pattern'"
    )
