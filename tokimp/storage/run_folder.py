"""A folder on disk that belongs to one run: locked while at work, and refused to any other run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from tokimp.errors import ResumeError
from tokimp.storage.atomic import remove_partial, replacing

FORMAT = 2
"""Format 1 recorded the class of a plugin (``module:Class``), format 2 records its distribution."""

# What follows from where questions or chains come from, and says less than that does.
_DRAWN = ("questions[", "number of questions:", "examples:")
_CHAIN_IDS = re.compile(r"chains\[\d+\]\.tokens:")
_DIGEST = re.compile(r'"[0-9a-f]{64}"')


def digest(content: Any) -> str:
    """Return the SHA-256 of something JSON can hold, in hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class RunFolder:
    """A folder that belongs to one run; a context that holds its lock.

    ``folder/run.json`` says which run it is. Whoever enters with another identity is refused, and told what differs.

    Parameters
    ----------
    folder
        Where the run is kept; made if it is missing.
    identity
        Everything that changes the result, as JSON can hold it.
    work
        What in the folder holds finished work: a file, or a folder with files, of this name.
    origin
        Where what the run is about comes from (a file, a seed), as JSON can hold it. It may change as long as the same
        comes of it: it is no part of the identity, and is named where another run is refused because of it.

    Attributes
    ----------
    created
        When the run first started, UTC, ISO 8601; the same after it was continued.

    Raises
    ------
    ResumeError
        On entering: if the folder holds another run (the message names what differs), holds the work of an unknown
        run, or is in use by another process.
    """

    created: str

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], work: str, *, origin: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self._work = folder / work
        # What is compared is what JSON gives back, so that tuples and lists are the same on both sides.
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._origin = json.loads(json.dumps(origin))
        self.run = digest(self._identity)
        # The operating system lets go of the lock when the process ends, however it ends.
        self._lock = filelock.FileLock(folder / ".lock")

    def __enter__(self) -> Self:
        if self.folder.exists() and not self.folder.is_dir():
            raise ResumeError(f"{self.folder} is a file; a run is kept in a folder: name another one")
        try:
            self._prepare()
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ResumeError(
                f"{self.folder}: another process is at work in this folder; wait for it, or use another folder"
            ) from None
        except OSError as error:
            raise ResumeError(f"{self.folder} cannot be written to ({error}); use another folder") from error
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

    def _prepare(self) -> None:
        """Make the folder, and what must be in it."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def _claim(self) -> None:
        manifest = self.folder / "run.json"
        # Only what this lock protects: a result beside it is written after its run has let go of the lock.
        remove_partial(self.folder, manifest.name)
        if self._work.is_dir():
            remove_partial(self._work)
        if manifest.exists():
            self.created = self._check(manifest)
            return
        if any(self._work.iterdir()) if self._work.is_dir() else self._work.exists():
            raise ResumeError(f"{self._work} holds finished work, but run.json is missing; use another folder")
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"format": FORMAT, "created": self.created, "run": self._identity}
        if self._origin:
            content["origin"] = self._origin
        with replacing(manifest) as partial:
            partial.write_text(json.dumps(content, indent=1, ensure_ascii=True), encoding="utf-8")

    def _check(self, manifest: Path) -> str:
        try:
            content = json.loads(manifest.read_text(encoding="utf-8"))
            form, created, before = content["format"], str(content["created"]), content["run"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(f"{manifest} is damaged ({error}); use another folder, or delete this one") from error
        if form not in {1, FORMAT}:
            raise ResumeError(
                f"{manifest} was written by another tokimp (format {form}, here {FORMAT}): continue the run with that "
                "version, or use another folder"
            )
        now = self._identity
        if form == 1:
            # What only one of the formats records is not compared. The finished work names the run as it was recorded.
            self.run = digest(before)
            before, now = (_without(content, {"class", "distribution"}) for content in (before, now))
        found = list(differences(before, now))
        if found:
            # Another unit or format changes every chain's ids; naming the cause is enough.
            causes = [each for each in found if not _CHAIN_IDS.match(each)] or found
            causes = _by_origin(causes, content.get("origin"), self._origin)
            # Where more or fewer questions were drawn, what has moved to which place says no more.
            if any(cause.startswith("number of questions:") for cause in causes):
                causes = [cause for cause in causes if not cause.startswith("questions[")]
            # Another name stands for another class; saying both says it twice.
            renamed = {cause.split(".name:")[0] for cause in causes if ".name:" in cause}
            causes = [cause for cause in causes if cause.split(".class:")[0] not in renamed or ".class:" not in cause]
            more = f"; and {len(causes) - 8} more" if len(causes) > 8 else ""
            remedy = "repeat the earlier call to continue it"
            if all(cause.startswith("versions.") for cause in causes):
                remedy = "its numbers are those of the earlier versions: install these again to continue it"
            raise ResumeError(
                f"{self.folder} holds another run ({'; '.join(causes[:8])}{more}): {remedy}, "
                "or use another folder for this one"
            )
        return created


def _without(content: Any, keys: set[str]) -> Any:
    """Return something that JSON can hold without the entries of these keys, at any depth."""
    if isinstance(content, dict):
        return {name: _without(value, keys) for name, value in content.items() if name not in keys}
    return [_without(value, keys) for value in content] if isinstance(content, list) else content


def _by_origin(causes: list[str], before: Any, now: Any) -> list[str]:
    """Return the causes with what differs in the origin first, instead of all that follows from it."""
    others = [cause for cause in causes if not cause.startswith(_DRAWN)]
    # Where it was not recorded, or differs in name only, it explains nothing.
    told = list(differences(before, now)) if before and now and len(others) < len(causes) else []
    return [*told, *others] if told else causes


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
    # Long ones are cut in the middle: the end of a path is what tells files apart.
    return text if len(text) <= 80 else f"{text[:37]}...{text[-40:]}"
