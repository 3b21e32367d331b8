"""The log of records: what was stored comes back, torn or damaged records are missing, and the others are kept."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.lost_records import lose_last_record
from tokimp.errors import StorageError
from tokimp.storage.record_log import SUFFIX, RecordLog

RECORDS = {"one": b"1" * 20, "zwei é": b"", "three": bytes(range(256))}


def written(folder: Path) -> Path:
    """Store the records, one by one, in a new file; return the file."""
    path = folder / f"0{SUFFIX}"
    path.unlink(missing_ok=True)
    log = RecordLog(folder)
    for key, content in RECORDS.items():
        log.append([(key, content)])
    return path


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    """Contents come back under their keys, in this log and in another one; unknown keys have none."""
    log = RecordLog(tmp_path / "later")
    assert len(log) == 0
    (tmp_path / "later").mkdir()
    log.append(RECORDS.items())
    for opened in (log, RecordLog(tmp_path / "later"), RecordLog(tmp_path / "later", writes=False)):
        assert {key: opened.get(key) for key in opened} == RECORDS
        assert "one" in opened
        assert opened.get("four") is None


def test_of_two_records_with_one_key_the_later_counts(tmp_path: Path) -> None:
    """A record stored again replaces the earlier one, here and after opening."""
    log = RecordLog(tmp_path)
    log.append([("a", b"first"), ("b", b"other")])
    log.append([("a", b"second")])
    assert [opened.get("a") for opened in (log, RecordLog(tmp_path))] == [b"second", b"second"]


def test_a_damaged_record_does_not_hide_an_earlier_one(tmp_path: Path) -> None:
    """Of several records with one key the latest that is whole counts."""
    log = RecordLog(tmp_path)
    for content in (b"first", b"second", b"third!"):
        log.append([("one", content)])
    path = tmp_path / f"0{SUFFIX}"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"third!", b"th!rd!") + b"\x93tokimp")  # what follows is torn
    assert RecordLog(tmp_path, writes=False).get("one") == b"second"
    path.write_bytes(content.replace(b"third!", b"th!rd!").replace(b"second", b"sec0nd"))
    assert RecordLog(tmp_path).get("one") == b"first"


def test_every_writers_file_is_read(tmp_path: Path) -> None:
    """A folder may hold the files of several writers; each log appends to its own."""
    RecordLog(tmp_path, writer="1").append([("a", b"1")])
    RecordLog(tmp_path, writer="2").append([("b", b"2")])
    assert {key: RecordLog(tmp_path).get(key) for key in ("a", "b")} == {"a": b"1", "b": b"2"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.records", "2.records"]


def test_a_record_of_another_writer_is_stored_again(tmp_path: Path) -> None:
    """What is stored in the place of a damaged record counts, whatever the names of the files are."""
    RecordLog(tmp_path, writer="9").append([("a", b"damaged soon")])
    lose_last_record(tmp_path)
    RecordLog(tmp_path).append([("a", b"again")])
    assert RecordLog(tmp_path).get("a") == b"again"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.data())
def test_a_torn_record_is_cut_off(tmp_path: Path, data: st.DataObject) -> None:
    """Wherever the file was torn, the whole records are kept, and going on ends with the same bytes."""
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    log = RecordLog(tmp_path)
    kept = {key: log.get(key) for key in log}
    assert list(kept.items()) == list(RECORDS.items())[: len(kept)]
    for key in list(RECORDS)[len(kept) :]:
        log.append([(key, RECORDS[key])])
    assert path.read_bytes() == whole


def test_a_log_that_is_only_read_changes_nothing(tmp_path: Path) -> None:
    """A torn record is not cut off by somebody who only looks: another process may be writing it."""
    path = written(tmp_path)
    path.write_bytes(torn := path.read_bytes()[:-1])
    assert len(RecordLog(tmp_path, writes=False)) == 2
    assert path.read_bytes() == torn


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(st.data())
def test_no_changed_byte_goes_unseen(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever one byte is changed into, one record is missing, and the others come back as they were."""
    path = written(tmp_path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    log = RecordLog(tmp_path)
    contents = {key: log.get(key) for key in RECORDS}
    assert sum(content is None for content in contents.values()) == 1
    assert all(content in {None, RECORDS[key]} for key, content in contents.items())
    (lost,) = (key for key, content in contents.items() if content is None)
    log.append([(lost, RECORDS[lost])])
    assert {key: RecordLog(tmp_path).get(key) for key in RECORDS} == RECORDS


def test_contents_that_look_like_records_are_contents(tmp_path: Path) -> None:
    """A log stored inside a record is read as that record's content."""
    inner = written(tmp_path).read_bytes()
    outer = RecordLog(tmp_path / "..", writer=tmp_path.name)
    outer.append([("log", inner)])
    again = RecordLog(tmp_path / "..", writer=tmp_path.name)
    assert list(again) == ["log"]
    assert again.get("log") == inner


def test_a_full_disk_is_told_and_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where records cannot be written the file is named, and what was written of them is taken back."""
    path = written(tmp_path)
    whole, log = path.read_bytes(), RecordLog(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tokimp.storage.atomic.os.fsync", full)
        with pytest.raises(StorageError, match=r"0\.records cannot be written \(no space left.*free some space"):
            log.append([("lost", b"x")])
    assert path.read_bytes() == whole
    assert "lost" not in log
    log.append([("kept", b"x")])
    assert RecordLog(tmp_path).get("kept") == b"x"
