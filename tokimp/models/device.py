"""The device and the precision that a model is loaded onto and in."""

from __future__ import annotations

import torch

from tokimp.errors import ScorerError


def resolve_device(device: str) -> str:
    """Return the name of a device that is available: `device`, or the first of CUDA, MPS and CPU for ``auto``.

    Raises
    ------
    ScorerError
        If the name is not one of a device, or torch does not find the device on this machine.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ScorerError(f"there is no device {device!r}; use auto, cpu, cuda, cuda:1 or mps") from error
    missing = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if missing.get(kind, False):
        raise ScorerError(f"the device {device!r} was asked for, but torch finds none here; use device='auto' or 'cpu'")
    return device


def resolve_dtype(dtype: str, device: str) -> torch.dtype | None:
    """Return the precision to load weights in; ``None`` stands for the checkpoint's own.

    ``auto`` means float32 on a CPU, and the checkpoint's own precision on any other device.

    Raises
    ------
    ScorerError
        If there is no such precision.
    """
    if dtype == "auto":
        return torch.float32 if torch.device(device).type == "cpu" else None
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
    if dtype not in known:
        raise ScorerError(f"there is no dtype {dtype!r}; use auto, {', '.join(known)}")
    return known[dtype]
