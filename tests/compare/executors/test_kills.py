"""What runs on workers, and is killed at random with them or with its driver, ends with the bits of an unbroken run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compare.executors.killed_driver import survive


@pytest.mark.parametrize(
    "what", ["compare", *(pytest.param(what, marks=pytest.mark.slow) for what in ("analyze", "write"))]
)
@pytest.mark.slow
def test_processes_survive_a_few_kills(tmp_path: Path, what: str) -> None:
    """One kill of a worker, and one of the driver: of a comparison, an analysis and a sampling."""
    killed = survive(tmp_path, "processes:workers=2,retries=9", kills=2, seed=1, what=what)
    assert killed == {"worker": 1, "driver": 1}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["compare", "analyze", "write"])
def test_processes_survive_twenty_kills(tmp_path: Path, what: str) -> None:
    """Twenty kills, of workers and of the driver."""
    killed = survive(tmp_path, "processes:workers=2,retries=20", kills=20, seed=2, what=what)
    assert sum(killed.values()) == 20
    assert min(killed.values()) > 0
