"""A run whose workers and driver are killed at random ends with the bits of an unbroken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compare.executors.killed_driver import survive


def test_processes_survive_a_few_kills(tmp_path: Path) -> None:
    """One kill of a worker, and one of the driver."""
    killed = survive(tmp_path, "processes:workers=2,retries=9", kills=2, seed=1)
    assert killed == {"worker": 1, "driver": 1}


@pytest.mark.slow
def test_processes_survive_twenty_kills(tmp_path: Path) -> None:
    """Twenty kills, of workers and of the driver."""
    killed = survive(tmp_path, "processes:workers=2,retries=20", kills=20, seed=2)
    assert sum(killed.values()) == 20
    assert min(killed.values()) > 0
