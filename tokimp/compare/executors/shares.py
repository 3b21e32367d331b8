"""What each worker of this machine gets: a GPU of its own, or its share of the CPU's cores."""

from __future__ import annotations

import os

import torch


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; no GPU is touched for it."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()] if torch.cuda.is_available() else []
    return [str(index) for index in range(torch.cuda.device_count())]


def gpus_for(device: str) -> list[str]:
    """Return the GPUs that workers get one each of; none if they compute elsewhere, or all on a certain one.

    Parameters
    ----------
    device
        As of `tokimp.load_scorer`.
    """
    return visible_gpus() if device in {"auto", "cuda"} else []


def usable_cores() -> int:
    """Return how many cores of the CPU this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def own_threads() -> int:
    """Return how many threads this process computes with: workers use as many, since another number changes bits."""
    return torch.get_num_threads()
