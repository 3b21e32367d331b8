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


def attention_paths(model: Any, layers: int) -> dict[int, str]:
    """Return the dotted path of the attention module, for each layer that seems to have attention.

    Blocks are looked for in the decoder that reads text, beside which a model may have a tower of equal depth that
    reads images: its first module list with as many entries as it has layers. A block's attention is the child whose
    class name ends in "Attention" (``LlamaAttention``, ``GPT2Attention``, ...). Recurrent layers have none. Linear
    attention may have such a name too; it shows no weights that add up to 1, which the scorer tries.
    """
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    prefix = module_path(model, decoder) if decoder is not model else ""
    for path, module in decoder.named_modules(prefix=prefix):
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            paths = {}
            for index, block in enumerate(module):
                for name, child in block.named_children():
                    if type(child).__name__.endswith("Attention"):
                        paths[index] = f"{path}.{index}.{name}"
            return paths
    return {}


def output_projection(attention: torch.nn.Module) -> torch.nn.Module:
    """Return the module within an attention module that maps its concatenated heads to the residual stream."""
    # GPT-Neo has another module between the two.
    modules: dict[str, Any] = {path.rpartition(".")[2]: module for path, module in attention.named_modules()}
    for name in _PROJECTIONS:
        if name in modules:
            projection: torch.nn.Module = modules[name]
            return projection
    raise UnsupportedError(
        f"the output projection of {type(attention).__name__} is none of {', '.join(_PROJECTIONS)}; "
        "use weights='pattern'"
    )
