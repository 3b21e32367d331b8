"""Random weights in place of a model's own, from the output down: the control of whether a method reads the weights."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from tokimp.errors import ScorerError
from tokimp.models.checkpoint import LAYER
from tokimp.models.placement import is_dispatched

_WRITTEN = re.compile(r"(head|all)(?:\+(\d+))?(?::seed=(\d+))?")
_HOW_TO_WRITE = "write 'head', 'head+2' (the head and the two uppermost blocks) or 'all', and ':seed=1' for other draws"


@dataclass(frozen=True, slots=True)
class RandomWeights:
    """Which weights of a model are replaced by random numbers, and their seed.

    Attributes
    ----------
    blocks
        How many blocks, counted from the output down, are replaced beside the head (all that follows the blocks: the
        last norm and the projection to the vocabulary); ``None`` for all blocks and the embeddings too.
    seed
        The seed of the numbers.
    """

    blocks: int | None
    seed: int = 0

    @classmethod
    def read(cls, written: Any) -> Self:
        """Return what a text says: ``head``, ``head+2`` or ``all``, with ``:seed=1`` behind it if need be.

        >>> RandomWeights.read("head+2:seed=1")
        RandomWeights(blocks=2, seed=1)

        Raises
        ------
        ScorerError
            If the text says something else.
        """
        if isinstance(written, cls):
            return written
        match = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
        if match is None or (match[1] == "all" and match[2]):
            raise ScorerError(f"no random weights are called {written!r}; {_HOW_TO_WRITE}")
        return cls(None if match[1] == "all" else int(match[2] or 0), int(match[3] or 0))

    def __str__(self) -> str:
        """Return the text that `read` takes."""
        depth = "all" if self.blocks is None else f"head+{self.blocks}" if self.blocks else "head"
        return depth + (f":seed={self.seed}" if self.seed else "")


def cuts(n_blocks: int, n_cuts: int | None = None, seed: int = 0) -> list[RandomWeights]:
    """Return the steps by which a model's weights become random, from the head alone to all weights.

    Parameters
    ----------
    n_blocks
        How many blocks the model has.
    n_cuts
        How many steps, spread evenly, the first and the last among them; by default one for the head, one for each
        block, and one for the embeddings.
    seed
        The seed of all of them: what one step replaced, the next replaces by the same numbers.

    >>> [str(cut) for cut in cuts(4, 4)]
    ['head', 'head+2', 'head+3', 'all']
    """
    last = n_blocks + 1
    chosen = np.linspace(0, last, last + 1 if n_cuts is None else min(n_cuts, last + 1)).round().astype(int)
    return [RandomWeights(None if depth == last else int(depth), seed) for depth in np.unique(chosen)]


def randomize(model: Any, wanted: RandomWeights, name: str) -> None:
    """Replace weights of a model by random numbers, from the output down.

    Each parameter is drawn from a normal distribution with the mean and the standard deviation of its own numbers. The
    mean matters for norms alone: their gains lie around 1 with a small spread, and around 0 they would silence a block
    instead of making it random. Each parameter has a generator of its own, seeded by `wanted.seed` and the parameter's
    name, so that two matrices of one shape differ, and a deeper cut keeps what the shallower one drew. A head that
    shares its matrix with the embeddings gets one of its own. This is the cascading randomisation of Adebayo et al.
    2018 (Sanity Checks for Saliency Maps, NeurIPS, section 3).

    Parameters
    ----------
    model
        A decoder of transformers. Its parameters are replaced, not overwritten: whoever shares them keeps them.
    wanted
        What to replace.
    name
        The model's name, for messages.

    Raises
    ------
    ScorerError
        If the model has fewer blocks, or its weights are quantised or spread over devices.
    """
    if why := why_not_random(model, name):
        raise ScorerError(why)
    n_blocks = model.config.get_text_config(decoder=True).num_hidden_layers
    if wanted.blocks is not None and wanted.blocks > n_blocks:
        raise ScorerError(f"{name} has {n_blocks} blocks, so {wanted.blocks} of them cannot be made random")
    lowest = 0 if wanted.blocks is None else n_blocks - wanted.blocks
    if getattr(model.config, "tie_word_embeddings", False):
        model.config = copy.deepcopy(model.config)
        model.config.tie_word_embeddings = False
    for own_name, module, key, parameter in list(_parameters(model)):
        block = LAYER.search(own_name)
        embeds = isinstance(module, torch.nn.Embedding)
        if int(block[1]) >= lowest if block else wanted.blocks is None or not embeds:
            drawn = _drawn(parameter, f"{wanted.seed}\n{own_name}")
            module._parameters[key] = torch.nn.Parameter(drawn, requires_grad=False)


def why_not_random(model: torch.nn.Module, name: str) -> str:
    """Return why a model cannot be given random weights, and what to do; empty if it can."""
    if not is_dispatched(model) and not getattr(model, "is_quantized", False):
        return ""
    return (
        f"the weights of {name} are quantised or spread over devices, and only whole ones can be made random; load "
        "it without a device map and without quantization"
    )


def _parameters(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module, str, torch.Tensor]]:
    """Yield each parameter's name, its module, its name there, and the parameter.

    A parameter that two modules share comes once for each.
    """
    for prefix, module in model.named_modules():
        for key, parameter in module._parameters.items():
            if parameter is not None and parameter.is_floating_point():
                yield f"{prefix}.{key}", module, key, parameter


def _drawn(original: torch.Tensor, source: str) -> torch.Tensor:
    """Return normal numbers with the shape, mean and standard deviation of a tensor, from a generator of their own.

    They are drawn on the CPU in float32, so that they are the same on every device.
    """
    generator = torch.Generator()
    generator.manual_seed(int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") % 2**63)
    exact = original.detach().double()
    deviation, mean = exact.std(correction=0).item(), exact.mean().item()
    numbers = torch.randn(original.shape, generator=generator, dtype=torch.float32) * deviation + mean
    return numbers.to(original.device, original.dtype)
