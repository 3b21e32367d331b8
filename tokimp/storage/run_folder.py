"""A folder on disk that belongs to one run: locked while the run is at work, and refused to any other run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tokimp.errors import ResumeError, TokimpWarning
from tokimp.storage.atomic import remove_partial, replacing
from tokimp.storage.differences import causes_of_difference, without_keys, without_newer_parameters
from tokimp.storage.digests import json_digest
from tokimp.storage.folder_lock import locked
from tokimp.storage.json_file import read_json

FORMAT = 2
"""Format of ``run.json``: 1 recorded the class of a plugin (``module:Class``), 2 records its distribution."""

_ONLY_IN_ONE_FORMAT = {"class", "distribution"}
_MOST_CAUSES_SHOWN = 8


class RunFolder:
    """A folder that belongs to one run; a context manager that holds the folder's lock.

    ``folder/run.json`` records which run it is. A run with another identity is refused, and told what differs.

    Parameters
    ----------
    folder
        The folder of the run; made on entering if it is missing.
    identity
        Everything that changes the result, as JSON can hold it.
    work
        The name, inside the folder, of the file or folder that holds finished work.
    origin
        Where the run's questions or chains come from (a file, a seed), as JSON can hold it. It is no part of the
        identity: another origin that gives the same questions is the same run. A refusal names it where it explains
        the difference.
    growing
        The names of lists in the identity that may gain entries: a run that has all that the recorded one had, in any
        order, is the same run. Such a run says in `_record_growth` when the folder is ready for it.

    Attributes
    ----------
    folder
        The folder of the run.
    run
        The digest of the identity. Finished work carries it, so that work of another run is recognised.
    created
        When the run first started, UTC, ISO 8601; the same after it was continued. Known once the folder is entered.
    threads
        The numbers of threads that what is stored was computed with, as `note_threads` recorded them, in the order of
        their first use; ``None`` among them for work of a version that did not record it. They are no part of the
        identity: they change last bits only, and a run goes on where there are fewer processors.

    Raises
    ------
    ResumeError
        On entering: if the folder holds another run (the message names what differs), holds finished work of an
        unknown run, is in use by another process, or cannot be written to.
    """

    created: str
    threads: list[int | None]

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        work: str,
        *,
        origin: Mapping[str, Any] | None = None,
        growing: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._work = folder / work
        # Sent through JSON, so that tuples and lists are the same here and in the file.
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._origin: dict[str, Any] | None = json.loads(json.dumps(origin))
        self._growing = tuple(growing)
        # The run as the folder has it, each entry of a growing list as this run describes it.
        self._earlier = self._identity
        self._has_grown = False
        self.threads = []
        self.run = json_digest(self._identity)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        if self.folder.exists() and not self.folder.is_dir():
            raise ResumeError(f"{self.folder} is a file; a run is kept in a folder: name another one")
        try:
            self._make_folders()
        except OSError as error:
            raise ResumeError(f"{self.folder} cannot be written to ({error}); use another folder") from error
        with ExitStack() as entering:
            entering.enter_context(locked(self.folder, alone=True))
            self._start_or_continue()
            self._held = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()

    def note_threads(self, threads: int) -> None:
        """Record, before work is stored, the number of threads that it was computed with.

        Warns if what is stored already was computed with another number: sums are then added up in another order, so
        last bits can differ from those of a run that was not interrupted.

        Parameters
        ----------
        threads
            The number of threads of torch.
        """
        if threads in self.threads:
            return
        if self.threads:
            known = [str(number) for number in self.threads if number is not None]
            before, remedy = (
                (" and ".join(known), f"; OMP_NUM_THREADS={known[0]} gives the same bits")
                if known
                else ("an unknown number of", "")
            )
            warnings.warn(
                f"{self.folder}: what is stored was computed with {before} threads, and the rest with {threads}: last "
                f"bits can differ from those of a run that was not interrupted{remedy}",
                TokimpWarning,
                stacklevel=2,
            )
        self.threads.append(threads)
        manifest = self.folder / "run.json"
        # What else is recorded stays as it is: finished work carries its digest.
        _put(manifest, {**read_json(manifest), "threads": self.threads})

    def _make_folders(self) -> None:
        """Make the folder, and the folders inside it that the run needs."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def _start_or_continue(self) -> None:
        """Record the run in a new folder, or check that the folder holds this run."""
        manifest = self.folder / "run.json"
        # Whoever writes in the folder of a run holds its lock, so that what is half written now was left by a kill.
        remove_partial(self.folder)
        if self._work.is_dir():
            remove_partial(self._work)
        if manifest.exists():
            self._continue(manifest)
            return
        if any(self._work.iterdir()) if self._work.is_dir() else self._work.exists():
            raise ResumeError(f"{self._work} holds finished work, but run.json is missing; use another folder")
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        self._write(manifest)

    def _record_growth(self) -> None:
        """Record the run as it is now in a folder that had less of it, once all work there is found by this run."""
        if self._has_grown:
            self._write(self.folder / "run.json")
            self._has_grown = False

    def _write(self, manifest: Path) -> None:
        write_run(manifest, self._identity, created=self.created, threads=self.threads, origin=self._origin)

    def _continue(self, manifest: Path) -> None:
        """Take over when the recorded run started, or raise if it is another run."""
        content = recorded_run(manifest)
        form, recorded = content["format"], content["run"]
        identity, is_as_recorded = self._identity, form == FORMAT and recorded == self._identity
        # The finished work carries the digest of the identity as it was recorded then: by class, with another path of
        # the same model.
        self.run = json_digest(recorded)
        if form == 1:
            recorded, identity = (without_keys(described, _ONLY_IN_ONE_FORMAT) for described in (recorded, identity))
            identity = without_newer_parameters(identity, recorded)
        places = {name: _places(recorded.get(name), identity.get(name)) for name in self._growing}
        # Where an entry is missing or has changed, the lists are compared as any other part.
        grown = {name for name, found in places.items() if found is not None}
        recorded, identity = (
            {name: value for name, value in described.items() if name not in grown}
            for described in (recorded, identity)
        )
        if recorded and identity and not (recorded.keys() & identity.keys()) - {"versions"}:
            raise ResumeError(
                f"{self.folder} holds a run of another command, which has {', '.join(list(recorded)[:4])}: use another "
                "folder for this one"
            )
        causes = causes_of_difference(recorded, identity, content.get("origin"), self._origin)
        if causes:
            raise ResumeError(_refusal(self.folder, causes))
        self.created, self.threads = content["created"], content["threads"]
        self._earlier = {
            **self._identity,
            **{name: [self._identity[name][place] for place in places[name] or ()] for name in grown},
        }
        self._has_grown = bool(self._growing) and not is_as_recorded


def recorded_run(manifest: Path) -> dict[str, Any]:
    """Return what a ``run.json`` records: ``format``, ``created``, ``run`` (the identity), ``threads``, ``origin``.

    Raises
    ------
    ResumeError
        If it is damaged, or was written by another tokimp.
    """
    try:
        content: dict[str, Any] = read_json(manifest)
        # Runs of 0.1.0 have no digest.
        digest = content.pop("digest", None)
        form, is_run = content["format"], isinstance(content["run"], dict)
        is_whole = is_run and (form not in {1, FORMAT} or digest in {None, json_digest(content)})
        content["created"] = str(content["created"])
        # Work of earlier versions was done with nobody knows how many threads.
        content["threads"] = [None if number is None else int(number) for number in content.get("threads", [None])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResumeError(f"{manifest} is damaged ({error}); use another folder, or delete this one") from error
    if not is_whole:
        why = "it does not have the digest that it was written with, or describes no run"
        raise ResumeError(f"{manifest} is damaged ({why}); use another folder, or delete this one")
    if form not in {1, FORMAT}:
        raise ResumeError(
            f"{manifest} was written by another tokimp (format {form}, here {FORMAT}): continue the run with that "
            "version, or use another folder"
        )
    return content


def write_run(
    manifest: Path,
    identity: Mapping[str, Any],
    *,
    created: str,
    threads: Sequence[int | None],
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Record a run in the ``run.json`` of its folder.

    Parameters
    ----------
    manifest
        The file; an old one is replaced.
    identity, origin
        As of `RunFolder`.
    created, threads
        When the run started, and with how many threads its work was done.
    """
    content = {"format": FORMAT, "created": created, "run": identity, "threads": list(threads)}
    if origin:
        content["origin"] = origin
    _put(manifest, content)


def _put(manifest: Path, content: Mapping[str, Any]) -> None:
    """Write the record of a run, with its digest."""
    content = {name: value for name, value in content.items() if name != "digest"}
    content["digest"] = json_digest(content)
    with replacing(manifest) as partial:
        # ASCII, since an id may hold half a surrogate pair, which has no bytes.
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=True), encoding="utf-8")


def _places(recorded: Any, now: Any) -> list[int] | None:
    """Return where each recorded entry stands in a list now; ``None`` if one is missing, or either is no list."""
    if not isinstance(recorded, list) or not isinstance(now, list):
        return None
    # Compared as text, because not-a-number differs from itself.
    place_of = {json.dumps(entry, sort_keys=True): place for place, entry in enumerate(now)}
    places = [place_of.get(json.dumps(entry, sort_keys=True), -1) for entry in recorded]
    return places if min(places, default=0) >= 0 else None


def _refusal(folder: Path, causes: list[str]) -> str:
    n_more = len(causes) - _MOST_CAUSES_SHOWN
    more = f"; and {n_more} more" if n_more > 0 else ""
    remedy = "repeat the earlier call to continue it"
    if all(cause.startswith("versions.") for cause in causes):
        remedy = "its numbers are those of the earlier versions: install these again to continue it"
    return (
        f"{folder} holds another run ({'; '.join(causes[:_MOST_CAUSES_SHOWN])}{more}): {remedy}, "
        "or use another folder for this one"
    )
