"""Total and peak memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tokimp.models import memory
from tokimp.models.memory import peak_memory, reset_peak_memory, total_memory, with_peak_memory


def test_the_peak_counts_what_was_used_and_given_back() -> None:
    """After a tensor of 200 MB has come and gone, the peak is that much higher, and a reset takes it away again."""
    if not reset_peak_memory("cpu"):
        pytest.skip("the system does not reset the peak of a process")
    before = peak_memory("cpu")
    torch.ones(50_000_000).sum()
    assert 190e6 < peak_memory("cpu") - before < 400e6
    assert reset_peak_memory("cpu")
    assert peak_memory("cpu") - before < 100e6


def test_the_peak_lies_within_the_total() -> None:
    """A process never uses more than there is."""
    assert 0 < peak_memory("cpu") < total_memory("cpu")


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a container allows less than the machine has, that is the total; ``max`` is no limit."""
    whole = total_memory("cpu")
    path = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTAINER_LIMITS", (path,))
    path.write_text("123456789\n")
    assert total_memory("cpu") == 123456789
    path.write_text("max\n")
    assert total_memory("cpu") >= whole


def test_the_peak_of_some_work_is_returned_with_what_it_returned() -> None:
    """A tensor that came and went is in the peak; a device that torch does not know has none."""
    before = peak_memory("cpu")
    result, peak = with_peak_memory("cpu", lambda: float(torch.ones(50_000_000).sum()))
    assert result == 50_000_000
    assert peak is not None
    assert peak > 200e6
    assert peak < before + 400e6
    assert with_peak_memory("vllm", lambda: "written") == ("written", None)
