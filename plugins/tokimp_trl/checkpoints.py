"""Checkpoints with digests of their files: a damaged one is passed over, and the one before is gone on from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from tokimp.errors import TokimpError
from tokimp.storage.atomic import write_object
from tokimp.storage.digests import file_digest
from tokimp.storage.json_file import read_json, read_object

_SEAL = "tokimp.json"
# Where several processes train, each writes files of its own, perhaps after the first process has sealed the others.
_OF_ONE_PROCESS = re.compile(r"(rng_state|order)_\d+\..*")


def seal(checkpoint: Path, tokens: int) -> None:
    """Write down that a checkpoint is whole: the digests of its files, and the tokens read so far.

    Parameters
    ----------
    checkpoint
        The folder of the checkpoint, written to its end.
    tokens
        Token positions read in training so far, those before an interruption included.
    """
    write_object(checkpoint / _SEAL, {"tokens": tokens, "files": _digests(checkpoint)})


def last_whole(checkpoints: Path, *, keeps_best: bool = False) -> Path | None:
    """Return the latest checkpoint that can be gone on from, and remove those that cannot.

    Parameters
    ----------
    checkpoints
        The folder of the checkpoints of one training.
    keeps_best
        Whether the training ends with the weights of its best checkpoint. Then a checkpoint is of use only if the best
        one up to it is whole too.
    """
    by_step: dict[int, Path] = {}
    for folder in checkpoints.glob("checkpoint-*"):
        step = folder.name.rpartition("-")[2]
        if step.isdecimal() and is_whole(folder):
            by_step[int(step)] = folder
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if keeps_best:
        for reached, folder in sorted(by_step.items()):
            if _best_step(folder) not in {None, *by_step}:
                shutil.rmtree(by_step.pop(reached), ignore_errors=True)
    return by_step[max(by_step)] if by_step else None


def place_of_best(checkpoints: Path, step: int | None) -> Path | None:
    """Return the folder of the checkpoint of a step; ``None`` if there is no step, that is no best one yet.

    transformers records the whole path, which leads elsewhere once the folder of the training has been moved or copied.
    """
    return checkpoints / f"checkpoint-{step}" if step else None


def tokens_read(checkpoint: Path) -> int:
    """Return the token positions that had been read when a whole checkpoint was written."""
    return int(_sealed(checkpoint)["tokens"])


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint has all the files that it was sealed with, and each as it was."""
    try:
        sealed = _sealed(checkpoint)
        return isinstance(sealed["tokens"], int) and sealed["files"] == _digests(checkpoint)
    except (OSError, ValueError, KeyError, TypeError, TokimpError):
        return False


def _best_step(checkpoint: Path) -> int | None:
    """Return the step of the best checkpoint, as a whole checkpoint knows it; ``None`` if none was measured."""
    step = read_json(checkpoint / "trainer_state.json").get("best_global_step")
    return None if step is None else int(step)


def _sealed(checkpoint: Path) -> dict[str, Any]:
    return read_object(checkpoint / _SEAL)


def _digests(checkpoint: Path) -> dict[str, str]:
    return {
        file.relative_to(checkpoint).as_posix(): file_digest(file)
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != _SEAL and not _OF_ONE_PROCESS.fullmatch(file.name)
    }
