"""Bring arrays of indices to the device without waiting for what it computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokimp.chains.arrays import IntArray


def to_device(arrays: Sequence[IntArray], device: torch.device) -> list[torch.Tensor]:
    """Return arrays as tensors on a device, in one transfer.

    An ordinary copy to a GPU waits until the GPU has finished all that it was given before. One from pinned memory does
    not, so the next kernels are launched while the GPU is at work.

    Parameters
    ----------
    arrays
        Integers, in any shapes.
    device
        Where they go.
    """
    if device.type != "cuda":
        return [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays])).pin_memory()
    parts = torch.split(flat.to(device, non_blocking=True), [array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]
