"""A digest of a model's content: the same wherever the model is stored and whatever runs it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

_PIECE = 2**22
# Fields of a configuration that say where it comes from, or how the model is run, but do not change the numbers.
_IRRELEVANT = {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "use_cache"}
_IRRELEVANT |= {"_attn_implementation", "attn_implementation", "output_attentions", "output_hidden_states"}


def model_fingerprint(model: torch.nn.Module) -> str:
    """Return a digest (64 hexadecimal digits) of a model's configuration, weights and precision.

    Each tensor of weights enters with a checksum: the sum, modulo 2**64, of the bits of each number times an odd factor
    that depends on its index. Sums of integers are the same on every device and in any order, and changing a single
    weight always changes the sum.
    """
    digest = hashlib.sha256()
    config = {key: value for key, value in _configuration(model).items() if key not in _IRRELEVANT}
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    seen: set[tuple[int, int]] = set()
    for name, tensor in sorted(model.state_dict().items()):
        place = (tensor.data_ptr(), tensor.numel())
        if place in seen:  # a tied weight, which was counted under its first name
            continue
        seen.add(place)
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {checksum(tensor)}\n".encode())
    return digest.hexdigest()


def _configuration(model: torch.nn.Module) -> dict[str, Any]:
    config: Any = getattr(model, "config", None)
    return dict(config.to_dict()) if config is not None else {}


def checksum(tensor: torch.Tensor) -> int:
    """Return the sum, modulo 2**64, of the bits of each number times an odd factor that depends on its index."""
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = tensor.detach().contiguous().reshape(-1).view(integers[tensor.element_size()])
    total = 0
    for begin in range(0, bits.numel(), _PIECE):
        piece = bits[begin : begin + _PIECE].to(torch.int64)
        index = torch.arange(begin, begin + piece.numel(), device=piece.device)
        total += int((piece * (2 * index + 1)).sum())
    return total % 2**64
