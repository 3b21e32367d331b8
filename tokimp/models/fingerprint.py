"""A digest of a model's content: the same wherever the model is stored and whatever runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterator
from typing import Any

import torch

from tokimp.models.placement import weights_fetched

_PIECE = 2**22
_WORDS = 512
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
    for name, tensor in _weights(model):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {checksum(tensor)}\n".encode())
    return digest.hexdigest()


def _weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each tensor of a model's weights under its first name: offloaded ones fetched, quantised ones in parts."""
    state = sorted(model.state_dict().items())
    tied: dict[str, str] = getattr(model, "all_tied_weights_keys", {}) if any(t.is_meta for _, t in state) else {}
    seen: set[Any] = set()
    for name, tensor in state:
        # A quantised weight of a class of its own has no place in memory; its parts have.
        in_memory = not (tensor.is_meta or hasattr(tensor, "__tensor_flatten__"))
        places: set[Any] = {(tensor.data_ptr(), tensor.numel())} if in_memory else {id(tensor)}
        # Between calls, an offloaded weight has no place in memory by which it is known to be tied.
        places |= {tied.get(name, name)} if tied else set()
        if places & seen:  # a tied weight, which was counted under its first name
            continue
        seen |= places
        if tensor.is_meta:
            module, _, own_name = name.rpartition(".")
            with weights_fetched(owner := model.get_submodule(module)):
                yield name, getattr(owner, own_name)
        else:
            yield from _parts(name, tensor)


def _parts(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the plain tensors that a tensor is made of: itself, or what a quantised one holds."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield name, tensor
        return
    names, _ = tensor.__tensor_flatten__()
    for own_name in sorted(names):
        yield from _parts(f"{name}.{own_name}", getattr(tensor, own_name))


class RememberedFingerprint:
    """The fingerprint of a model, computed again only where its content may have changed.

    Whether it has is asked each time. Changes that torch counts, and other tensors, are seen at once. Changes through
    ``weight.data``, which torch does not count, are found by sums of each weight along rows and columns of 512 words.
    Those take one pass over the weights in their own precision, a small part of the time of a fingerprint.
    """

    def __init__(self) -> None:
        self._content: Hashable = None
        self._fingerprint = ""

    def of(self, model: torch.nn.Module) -> str:
        """Return `model_fingerprint` of a model, always the same one."""
        content = (
            json.dumps(_configuration(model), sort_keys=True, default=str),
            tuple(
                (name, tensor.data_ptr(), _version(tensor), tensor.shape, tensor.dtype, _sums(tensor))
                for own_name, whole in model.state_dict(keep_vars=True).items()
                # What is offloaded lies in a file, or where nobody changes it.
                for name, tensor in _parts(own_name, whole)
                if not tensor.is_meta
            ),
        )
        if content != self._content:
            self._content, self._fingerprint = content, model_fingerprint(model)
        return self._fingerprint


def _version(tensor: torch.Tensor) -> int:
    """Return how often torch saw a tensor changed in place; it does not count for tensors made in inference mode."""
    return -1 if tensor.is_inference() else tensor._version


def _sums(tensor: torch.Tensor) -> tuple[int, int, int]:
    """Return what moving or changing numbers in a tensor changes: sums of its bits along rows, columns and the rest."""
    bits = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    whole = bits.numel() - bits.numel() % (8 * _WORDS)
    words, rest = bits[:whole].view(torch.int64).view(-1, _WORDS), bits[whole:]
    return checksum(words.sum(dim=1)), checksum(words.sum(dim=0)), checksum(rest)


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
