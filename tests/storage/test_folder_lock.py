"""The lock of a folder, also where the file system has no locks or cannot flush: nobody is stuck, nothing is lost."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from tokimp.errors import ResumeError, StorageError
from tokimp.storage.atomic import write_object
from tokimp.storage.batch_log import BatchLog
from tokimp.storage.folder_lock import locked
from tokimp.storage.json_file import read_object
from tokimp.storage.record_log import RecordLog
from tokimp.storage.run_folder import RunFolder

# A process on a file system without locks that holds the lock until it is told to end, or dies with it.
HOLD = """
import os, sys
from pathlib import Path
import filelock._unix
def no_locks(*_):
    raise OSError(int(sys.argv[2]), "no locks here")
filelock._unix.fcntl.flock = no_locks
from tokimp.storage.folder_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
    if sys.argv[3] == "dies":
        os._exit(9)
"""


def held_by_another(folder: Path, number: int, fate: str) -> subprocess.Popen[str]:
    """Start a process that holds the lock of a folder, and wait until it does."""
    command = [sys.executable, "-W", "ignore", "-c", HOLD, str(folder), str(number), fate]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Take the locks of the file system away, and return what it says instead."""
    refused: int = request.param

    def no_locks(*_: object) -> None:
        raise OSError(refused, "no locks here")

    monkeypatch.setattr("filelock._unix.fcntl.flock", no_locks)
    return refused


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_without_locks_a_file_stands_for_the_lock(tmp_path: Path, number: int) -> None:
    """A second process is refused while the first is at work, told what to delete if it is not, and let in after it."""
    holder = held_by_another(tmp_path, number, "ends")
    with pytest.raises(ResumeError, match=r"another process is at work.*if none is.*delete .*\.lock"), locked(tmp_path):
        pass
    holder.communicate("\n")
    assert holder.returncode == 0
    with locked(tmp_path), locked(tmp_path):
        assert any(path.stat().st_size for path in tmp_path.iterdir())
    assert not any(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_without_locks_a_killed_process_holds_nobody_up(tmp_path: Path, number: int) -> None:
    """A process of this machine that is gone has no lock any more."""
    holder = held_by_another(tmp_path, number, "dies")
    holder.communicate("\n")
    assert holder.returncode == 9
    with RunFolder(tmp_path, {"seed": 1}, "work"):
        pass


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_without_locks_what_to_delete_is_said(tmp_path: Path, number: int) -> None:
    """Whether a process of another machine is gone cannot be known: the file named is the one to delete."""
    held_by_another(tmp_path, number, "dies").communicate("\n")
    (left,) = [path for path in tmp_path.iterdir() if path.stat().st_size]
    left.write_text(left.read_text().replace(socket.gethostname(), "another-machine"))
    with pytest.raises(ResumeError, match="delete") as refused, RunFolder(tmp_path, {"seed": 1}, "work"):
        pass
    Path(str(refused.value).rpartition("delete ")[2]).unlink()
    with RunFolder(tmp_path, {"seed": 1}, "work"):
        pass


def test_a_file_that_goes_away_at_the_first_try_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of the library that remove an ended process's file and then give up are asked once more."""
    tries: list[str] = []
    acquire = filelock.BaseFileLock.acquire

    def gives_up_once(self: filelock.BaseFileLock, timeout: float | None = None) -> object:
        tries.append(self.lock_file)
        if len(tries) == 1:
            raise filelock.Timeout(self.lock_file)
        return acquire(self, timeout=timeout)

    monkeypatch.setattr(filelock.BaseFileLock, "acquire", gives_up_once)
    with locked(tmp_path):
        pass
    assert len(tries) == 2


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Without fsync, of files or of folders, everything is stored all the same."""

    def no_fsync(_: int) -> None:
        raise OSError(number, "cannot flush")

    monkeypatch.setattr(os, "fsync", no_fsync)
    write_object(tmp_path / "object.json", {"a": 1})
    BatchLog(tmp_path).append({"n": 1})
    (tmp_path / "cells").mkdir()
    RecordLog(tmp_path / "cells").append([("key", b"content")])
    with RunFolder(tmp_path, {"seed": 1}, "work"):
        pass
    assert read_object(tmp_path / "object.json") == {"a": 1}
    assert BatchLog(tmp_path).whole == [{"batch": 0, "n": 1}]
    assert RecordLog(tmp_path / "cells").get("key") == b"content"


def test_a_folder_that_cannot_be_opened_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may be written to, but not read, cannot be flushed."""
    opened = os.open

    def no_folders(path: str, flags: int, *more: int) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "may not be read")
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", no_folders)
    write_object(tmp_path / "object.json", {"a": 1})
    assert read_object(tmp_path / "object.json") == {"a": 1}


def test_a_disk_that_fails_while_it_flushes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a disk is broken is not passed over: the old file stays, and the message says why."""
    write_object(tmp_path / "object.json", {"a": 1})

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError, match=r"object\.json cannot be written \(Input/output error\); the disk fails"):
        write_object(tmp_path / "object.json", {"a": 2})
    assert read_object(tmp_path / "object.json") == {"a": 1}
