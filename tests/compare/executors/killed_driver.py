"""A comparison that is killed again and again, workers and driver, until it is through."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

import tokimp as ti
from tests.compare.executors.byte_scorer import Patient, chains, scorer

_COUNT = 40
_SECONDS = 0.02


def run(out: Path, executor: str, notes: Path) -> xr.DataTree:
    """Compare chains of letters, and leave a line for each cell."""
    return ti.compare(
        chains(_COUNT),
        scorer(),
        [Patient(_SECONDS, notes=str(notes)), "leave_one_out"],
        prompt_format="plain",
        seed=3,
        out=out,
        executor=executor,
        progress=lambda progress: print(progress.done, progress.kept, flush=True),  # noqa: T201 - read by the killer
    )


def main() -> None:
    """Run once, as a process that may be killed; the arguments are the folder, the executor and the folder of notes."""
    out, executor, notes = sys.argv[1:]
    ti.save(run(Path(out), executor, Path(notes)), Path(out) / "result.nc")


def survive(folder: Path, executor: str, kills: int, seed: int) -> dict[str, int]:
    """Run a comparison under kills until it ends; raise unless its bits are those of an unbroken run here.

    Parameters
    ----------
    folder
        An empty folder.
    executor
        Where it runs.
    kills
        How many processes are killed on the way.
    seed
        Of the choice of which worker and when.

    Returns
    -------
    dict
        How often a worker and how often the driver was killed.
    """
    notes, unbroken_notes = folder / "notes", folder / "unbroken_notes"
    notes.mkdir()
    unbroken_notes.mkdir()
    draw = random.Random(seed)  # noqa: S311 - no secret
    killed = {"worker": 0, "driver": 0}
    program = "from tests.compare.executors.killed_driver import main; main()"
    while True:
        for note in notes.iterdir():
            note.unlink()
        with subprocess.Popen(
            [sys.executable, "-c", program, str(folder / "run"), executor, str(notes)],
            stdout=subprocess.PIPE,
            text=True,
        ) as driver:
            assert driver.stdout is not None
            wait = draw.randrange(1, 6)
            for line in driver.stdout:
                wait -= line.endswith("False\n")  # a cell that was computed now
                if wait or sum(killed.values()) >= kills:
                    continue
                # Two workers for every driver, whatever the moment at which each is killed.
                whom = "worker" if killed["worker"] <= 2 * killed["driver"] else "driver"
                victim = driver.pid if whom == "driver" else _a_worker(notes, draw)
                if victim is not None:
                    os.kill(victim, signal.SIGKILL)
                    killed[whom] += 1
                # Nobody estimates at the moment: the next cell will do.
                wait = 1 if victim is None else draw.randrange(1, 3)
        if driver.returncode == 0:
            break
        assert driver.returncode == -signal.SIGKILL, driver.returncode
        time.sleep(0.1)  # the lock of the folder goes with the process
    result = ti.load(folder / "run" / "result.nc")
    unbroken = ti.compare(
        chains(_COUNT),
        scorer(),
        [Patient(_SECONDS, notes=str(notes)), "leave_one_out"],
        prompt_format="plain",
        seed=3,
    )
    for name in ("importance", "rank", "loglik_joint", "logprob", "full_loglik_joint"):
        np.testing.assert_array_equal(result[name].to_numpy(), unbroken[name].to_numpy(), err_msg=name)
    return killed


def _a_worker(notes: Path, draw: random.Random) -> int | None:
    """Return a process that estimates, and is alive."""
    alive = sorted(int(note.name) for note in notes.iterdir() if Path("/proc", note.name).exists())
    return draw.choice(alive) if alive else None
