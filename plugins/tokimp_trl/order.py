"""The order in which an epoch's examples are read, drawn again where a training goes on in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler


class RedrawnOrder(Sampler[int]):
    """Draws as another sampler does, and can be made to draw an epoch's order again.

    That sampler draws from torch's global generator, whose state at a checkpoint is not that at the epoch's beginning:
    transformers, which skips the batches that were read before, would skip those of another order, and of that epoch
    some examples would be read twice and others never.

    Parameters
    ----------
    sampler
        Which draws a new order each time it is iterated over.
    redrawn
        A file of `save`, of a checkpoint that is continued from; passed over where there is none.

    Attributes
    ----------
    state
        Of the generator, before the order of the epoch under way was drawn; ``None`` before the first.
    """

    def __init__(self, sampler: Any, redrawn: Path | None) -> None:
        self._sampler = sampler
        self._again = load_file(redrawn)["state"] if redrawn is not None and redrawn.is_file() else None
        self.state: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[int]:
        if self._again is not None:
            torch.set_rng_state(self._again)
            self._again = None
        self.state = torch.get_rng_state()
        return iter(self._sampler)

    def begin_anew(self) -> None:
        """Draw the next order from the generator as it is: a checkpoint at an epoch's end has nothing to draw again."""
        self._again = None

    def save(self, path: Path) -> None:
        """Write what the order of the epoch under way can be drawn from again."""
        if self.state is not None:
            save_file({"state": self.state}, path)
