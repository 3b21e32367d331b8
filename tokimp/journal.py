"""What a run has finished, on disk: it can be killed at any moment and continued by the same call.

``folder/run.json`` says which run it is; ``folder/cells/`` holds one ``.npz`` a finished cell, a cell being an
estimator's say on one chain, or the chain's own log-probabilities. File names are made of indices, never of ids.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from tokimp.assembly import Baseline, Cell
from tokimp.atomic import remove_partial, replacing
from tokimp.errors import ResumeError
from tokimp.estimator import Importance, Trajectory
from tokimp.scorer import SpanLogprobs

Arrays = Mapping[str, npt.NDArray[Any]]

FORMAT = 1
# What numpy and zipfile raise on files that are cut short, overwritten or not theirs.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


_CHAIN_IDS = re.compile(r"chains\[\d+\]\.tokens:")
_DIGEST = re.compile(r'"[0-9a-f]{64}"')


def digest(content: Any) -> str:
    """Return the SHA-256 of something JSON can hold, in hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Journal:
    """The finished cells of one run; a context that holds the folder's lock.

    Parameters
    ----------
    folder
        Where the run is kept; made if it is missing.
    identity
        Everything that changes the result, as JSON can hold it.

    Attributes
    ----------
    created
        When the run first started, UTC, ISO 8601; the same after it was continued.

    Raises
    ------
    ResumeError
        On entering: if the folder holds another run (the message names what differs), holds cells of an unknown
        run, or is in use by another process.
    """

    created: str

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        self._cells = folder / "cells"
        # What is compared is what JSON gives back, so that tuples and lists are the same on both sides.
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._run = digest(self._identity)
        # The operating system lets go of the lock when the process ends, however it ends.
        self._lock = filelock.FileLock(folder / ".lock")

    def __enter__(self) -> Journal:
        if self._folder.exists() and not self._folder.is_dir():
            raise ResumeError(f"{self._folder} is a file; a run is kept in a folder: name another one")
        try:
            self._cells.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ResumeError(
                f"{self._folder}: another process is at work in this folder; wait for it, or use another folder"
            ) from None
        except OSError as error:
            raise ResumeError(f"{self._folder} cannot be written to ({error}); use another folder") from error
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def _claim(self) -> None:
        manifest = self._folder / "run.json"
        # Only what this lock protects: a result beside it is written after its run has let go of the lock.
        remove_partial(self._folder, manifest.name)
        remove_partial(self._cells)
        if manifest.exists():
            self.created = self._check(manifest)
            return
        if any(self._cells.iterdir()):
            raise ResumeError(f"{self._cells} holds finished work, but run.json is missing; use another folder")
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"format": FORMAT, "created": self.created, "run": self._identity}
        with replacing(manifest) as partial:
            partial.write_text(json.dumps(content, indent=1, ensure_ascii=True), encoding="utf-8")

    def _check(self, manifest: Path) -> str:
        try:
            content = json.loads(manifest.read_text(encoding="utf-8"))
            form, created, before = content["format"], str(content["created"]), content["run"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(f"{manifest} is damaged ({error}); use another folder, or delete this one") from error
        if form != FORMAT:
            raise ResumeError(f"{manifest} was written by another tokimp (format {form}, here {FORMAT})")
        found = list(differences(before, self._identity))
        if found:
            # Another unit or format changes every chain's ids; naming the cause is enough.
            causes = [each for each in found if not _CHAIN_IDS.match(each)] or found
            # Another name stands for another class; saying both says it twice.
            renamed = {cause.split(".name:")[0] for cause in causes if ".name:" in cause}
            causes = [cause for cause in causes if cause.split(".class:")[0] not in renamed or ".class:" not in cause]
            more = f"; and {len(causes) - 8} more" if len(causes) > 8 else ""
            raise ResumeError(
                f"{self._folder} holds another run ({'; '.join(causes[:8])}{more}): repeat the earlier call to "
                "continue it, or use another folder for this one"
            )
        return created

    def baseline(self, chain: int) -> Baseline | None:
        """Return the log-probabilities kept for a chain, or ``None`` where there are none to be trusted."""
        arrays = self._read(f"{chain:06d}-baseline")
        if arrays is None:
            return None
        logprobs = SpanLogprobs(arrays["reasoning"], arrays["answer"])
        return Baseline(logprobs, arrays["seconds"].item(), arrays["tokens_forwarded"].item())

    def keep_baseline(self, chain: int, baseline: Baseline) -> None:
        """Put a chain's log-probabilities on disk, for good."""
        self._write(
            f"{chain:06d}-baseline",
            {"reasoning": baseline.logprobs.reasoning, "answer": baseline.logprobs.answer, **_cost(baseline)},
        )

    def cell(self, chain: int, estimator: int) -> Cell | None:
        """Return what is kept of an estimator's say on a chain, or ``None`` where there is nothing to be trusted."""
        arrays = self._read(f"{chain:06d}-{estimator:03d}")
        if arrays is None:
            return None
        trajectory = None
        if "joint" in arrays:
            trajectory = Trajectory(arrays["joint"], arrays["answer"], arrays["reasoning"])
        diagnostics = dict(zip(arrays["names"].tolist(), arrays["values"].tolist(), strict=True))
        importance = Importance(arrays["scores"], arrays.get("order"), trajectory, diagnostics)
        return Cell(importance, arrays["seconds"].item(), arrays["tokens_forwarded"].item())

    def keep_cell(self, chain: int, estimator: int, cell: Cell) -> None:
        """Put an estimator's say on a chain on disk, for good."""
        importance = cell.importance
        arrays: dict[str, npt.NDArray[Any]] = {"scores": importance.scores, **_cost(cell)}
        if importance.order is not None:
            arrays["order"] = importance.order
        if importance.trajectory is not None:
            arrays["joint"] = importance.trajectory.joint
            arrays["answer"] = importance.trajectory.answer
            arrays["reasoning"] = importance.trajectory.reasoning
        arrays["names"] = np.array(list(importance.diagnostics), dtype=np.str_)
        arrays["values"] = np.array(list(importance.diagnostics.values()), dtype=np.float64)
        self._write(f"{chain:06d}-{estimator:03d}", arrays)

    def _read(self, name: str) -> Arrays | None:
        try:
            # Reading an entry to its end checks the archive's checksum of it.
            with np.load(self._cells / f"{name}.npz", allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except _UNREADABLE:
            return None
        # A cell copied in from another run, or to another place in this one, is no better than a torn one.
        mine = arrays.get("run", np.array("")).item() == self._run and arrays.get("name", np.array("")).item() == name
        return arrays if mine else None

    def _write(self, name: str, arrays: Arrays) -> None:
        with replacing(self._cells / f"{name}.npz") as partial, partial.open("wb") as stream:
            np.savez(stream, allow_pickle=False, run=np.array(self._run), name=np.array(name), **arrays)


def _cost(measured: Baseline | Cell) -> dict[str, npt.NDArray[Any]]:
    return {"seconds": np.array(measured.seconds), "tokens_forwarded": np.array(measured.tokens_forwarded)}


def differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """Say where two things that JSON can hold differ, and what stood there before and stands there now."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            yield f"number of {path}: before {len(before)}, now {len(now)}"
        for index, (old, new) in enumerate(zip(before, now, strict=False)):
            yield from differences(old, new, f"{path}[{index}]")
    # As text, because not-a-number differs from itself.
    elif json.dumps(before) != json.dumps(now):
        yield f"{path}: before {_shown(before)}, now {_shown(now)}"


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    if _DIGEST.fullmatch(text):
        return text[1:9]
    return text if len(text) <= 80 else text[:77] + "..."
