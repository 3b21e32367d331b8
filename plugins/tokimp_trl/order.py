"""The order of an epoch's examples, drawn again if a training is continued in the middle of the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler


class RedrawnOrder(Sampler[int]):
    """Draws like another sampler, and can draw an epoch's order again.

    The other sampler draws from torch's global generator, whose state at a checkpoint is no longer the state at the
    epoch's beginning. To continue, transformers skips as many batches as were read. In a newly drawn order these would
    be other batches: some examples would be read twice in that epoch, and others never.

    Parameters
    ----------
    sampler
        The other sampler; it draws a new order each time it is iterated over.
    redrawn
        The file that `save` wrote for the checkpoint to continue from; ignored if it is not there.

    Attributes
    ----------
    state
        The generator's state before it drew the order of the current epoch; ``None`` before the first epoch.
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
        """Draw the next order from the generator as it is; after an epoch's end there is no order to draw again."""
        self._again = None

    def save(self, path: Path) -> None:
        """Write the state from which the order of the current epoch can be drawn again."""
        if self.state is not None:
            save_file({"state": self.state}, path)
