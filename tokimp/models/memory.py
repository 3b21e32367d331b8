"""How much memory a device has, and how much of it was used at most."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def total_memory(device: str | torch.device) -> int:
    """Return the memory of a device in bytes, whether it is free or in use.

    In a container, the memory of the CPU is the container's limit if that is lower.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if kind == "mps":
        return int(torch.mps.recommended_max_memory())
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CONTAINER_LIMITS:
        if path.is_file() and (limit := path.read_text(encoding="ascii").strip()).isdigit():
            total = min(total, int(limit))
    return total


def peak_memory(device: str | torch.device) -> int:
    """Return the most bytes in use at one time since the process began, or since the last `reset_peak_memory`.

    On CUDA this is what torch allocated on the device; elsewhere it is the resident memory of the process, with the
    model and all libraries.
    """
    if torch.device(device).type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if _STATUS.is_file():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak_memory(device: str | torch.device) -> bool:
    """Begin a new measurement of peak memory; return whether the system can do that (CUDA and Linux can)."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        _CLEAR.write_text("5", encoding="ascii")  # proc(5): resets VmHWM to what is resident now
    except OSError:
        return False
    return True


def with_peak_memory(device: str, work: Callable[[], T]) -> tuple[T, int | None]:
    """Do some work; return what it returned, and the most bytes in use on the device meanwhile, weights included.

    The bytes are ``None`` where the device is not one of torch's (``vllm``), so that nobody knows.
    """
    try:
        reset_peak_memory(device)
    except RuntimeError:
        return work(), None
    result = work()
    return result, peak_memory(device)
