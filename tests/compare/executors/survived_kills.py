"""A program that is killed again and again, its workers and itself, until it is through."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def run_under_kills(program: str, arguments: Sequence[str], notes: Path, *, kills: int, seed: int) -> dict[str, int]:
    """Run a program, and again after its death, until it ends well; return how often a worker and it were killed.

    Parameters
    ----------
    program
        A line of Python. For each piece that was done now it prints a line that ends in ``False``. After its own death
        the next run is to go on.
    arguments
        What it finds in ``sys.argv`` after its name.
    notes
        A folder in which each process that is at a piece leaves a file of its number.
    kills
        How many processes are killed on the way, two workers for every driver.
    seed
        Of the choice of which worker and when.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    killed = {"worker": 0, "driver": 0}
    while True:
        for note in notes.iterdir():
            note.unlink()
        with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True) as driver:
            assert driver.stdout is not None
            wait = draw.randrange(1, 6)
            for line in driver.stdout:
                wait -= line.endswith("False\n")
                if wait or sum(killed.values()) >= kills:
                    continue
                # Two workers for every driver, whatever the moment at which each is killed.
                whom = "worker" if killed["worker"] <= 2 * killed["driver"] else "driver"
                victim = driver.pid if whom == "driver" else _a_worker(notes, draw)
                if victim is not None:
                    os.kill(victim, signal.SIGKILL)
                    killed[whom] += 1
                # Nobody is at a piece at the moment: the next one will do.
                wait = 1 if victim is None else draw.randrange(1, 3)
        if driver.returncode == 0:
            return killed
        assert driver.returncode == -signal.SIGKILL, driver.returncode
        time.sleep(0.1)  # the lock of the folder goes with the process


def _a_worker(notes: Path, draw: random.Random) -> int | None:
    """Return a process that is at a piece, and is alive."""
    alive = sorted(int(note.name) for note in notes.iterdir() if Path("/proc", note.name).exists())
    return draw.choice(alive) if alive else None
