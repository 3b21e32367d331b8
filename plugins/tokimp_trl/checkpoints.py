"""Checkpoints with digests of their files: a damaged one is passed over, and the one before is gone on from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from tokimp.errors import TokimpError
from tokimp.storage.atomic import write_object
from tokimp.storage.digests import file_digest
from tokimp.storage.json_file import read_json

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


def last_whole(checkpoints: Path) -> Path | None:
    """Return the latest checkpoint that is whole, and remove those that are not.

    Parameters
    ----------
    checkpoints
        The folder of the checkpoints of one training.
    """
    by_step: dict[int, Path] = {}
    for folder in checkpoints.glob("checkpoint-*"):
        step = folder.name.rpartition("-")[2]
        if step.isdecimal() and _is_whole(folder):
            by_step[int(step)] = folder
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return by_step[max(by_step)] if by_step else None


def tokens_read(checkpoint: Path) -> int:
    """Return the token positions that had been read when a whole checkpoint was written."""
    return int(_sealed(checkpoint)["tokens"])


def _is_whole(checkpoint: Path) -> bool:
    try:
        sealed = _sealed(checkpoint)
        return isinstance(sealed["tokens"], int) and sealed["files"] == _digests(checkpoint)
    except (OSError, ValueError, KeyError, TypeError, TokimpError):
        return False


def _sealed(checkpoint: Path) -> dict[str, Any]:
    return dict(read_json(checkpoint / _SEAL))


def _digests(checkpoint: Path) -> dict[str, str]:
    return {
        file.relative_to(checkpoint).as_posix(): file_digest(file)
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != _SEAL and not _OF_ONE_PROCESS.fullmatch(file.name)
    }
