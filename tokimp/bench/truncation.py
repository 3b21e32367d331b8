"""Chains cut short, to see how cost grows with length."""

from __future__ import annotations

from dataclasses import replace

from tokimp.chains.chain import TokenizedChain
from tokimp.errors import ChainError


def truncate(chain: TokenizedChain, length: int) -> TokenizedChain:
    """Return a chain with the first `length` tokens of its reasoning; a unit that is cut in two keeps its first part.

    Raises
    ------
    ChainError
        If the reasoning has fewer tokens, or `length` is below 1.
    """
    if not 1 <= length <= len(chain.reasoning_ids):
        raise ChainError(
            f"{chain.chain.where}: cannot be cut to {length} reasoning tokens, it has {len(chain.reasoning_ids)}; give "
            "lengths from 1 to that, or a longer chain (--chain)"
        )
    end = max(stop for _, stop in chain.reasoning_offsets[:length])
    units = (tuple(position for position in unit if position < length) for unit in chain.units)
    return replace(
        chain,
        chain=replace(chain.chain, reasoning=chain.chain.reasoning[:end], category=(), filler=None, filler_kinds=None),
        reasoning_ids=chain.reasoning_ids[:length],
        reasoning_offsets=chain.reasoning_offsets[:length],
        units=tuple(unit for unit in units if unit),
    )
