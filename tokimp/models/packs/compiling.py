"""Compile the blocks of a model that reads packs, by ``torch.compile``: fewer kernels, and less Python between them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from tokimp.models.packs.attention import PackLayout, attend_within_rows

COMPILED_ATTENTION = "tokimp_packed_compiled"
"""The name under which transformers finds the attention of packs between compiled parts."""

# One block's code serves all blocks: the number of a block must not be built into it.
_SETTINGS: dict[str, Any] = {"allow_unspec_int_on_nn_module": True}
# The parts before and after a block's attention become one function each, whatever modules they are divided into.
_WISHED_FOR: dict[str, Any] = {"nested_graph_breaks": True}


class PassingCache(Cache):
    """A cache that stores nothing: the attention between compiled parts stores keys and values itself."""

    def __init__(self) -> None:
        super().__init__(layers=[])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what a layer computes, as it is."""
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return 0: positions are given with the ids."""
        return 0


def compile_blocks(trunk: Any, n_blocks: int) -> None:
    """Let the blocks of a trunk be compiled when they are first run, for packs of any size.

    Parameters
    ----------
    trunk
        Turns ids into states.
    n_blocks
        How many blocks it has.

    Raises
    ------
    ValueError
        If its blocks are not in one list of that length.
    """
    lists = [module for module in trunk.modules() if isinstance(module, torch.nn.ModuleList)]
    blocks = next((found for found in lists if len(found) == n_blocks), None)
    if blocks is None:
        raise ValueError(f"its {n_blocks} blocks are not in one list")
    register_attention()
    for block in blocks:
        block.compile(dynamic=True)


@functools.cache
def register_attention() -> None:
    """Let transformers find the attention between compiled parts, which is itself run as it is written."""

    # Looked up by name at each call, so that a measurement can put a clock around it.
    def attend(*given: Any, **named: Any) -> tuple[torch.Tensor, None]:
        return store_and_attend(*given, **named)

    AttentionInterface.register(COMPILED_ATTENTION, torch.compiler.disable(attend))  # type: ignore[no-untyped-call] # torch leaves it untyped


def store_and_attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    pack_layout: PackLayout,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Store the keys and values of a pack's positions, and attend to those of its rows.

    Parameters and what is returned are those of `attend_within_rows`, with the new positions' keys and values alone.
    """
    key, value = pack_layout.stored(key, value)
    return attend_within_rows(module, query, key, value, attention_mask, pack_layout=pack_layout, **others)


@contextmanager
def compiler_settings() -> Iterator[None]:
    """Set what the compiler needs for blocks, for the calls within the ``with`` block."""
    import torch._dynamo  # noqa: PLC0415 - slow to import, and needed only where blocks are compiled

    config: Any = torch._dynamo.config
    wished = {name: value for name, value in _WISHED_FOR.items() if hasattr(config, name)}
    with config.patch(**_SETTINGS, **wished):
        yield
