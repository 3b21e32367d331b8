"""The log of finished batches: a torn line is done again, a damaged batch is done again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokimp.errors import StorageError
from tokimp.storage.batch_log import NAME, BatchLog


def test_what_is_appended_comes_back(tmp_path: Path) -> None:
    """Batches come back in order, in another log, whatever texts they hold."""
    texts = ["a\nb", "é\u2028", '"\\', ""]
    log = BatchLog(tmp_path)
    for text in texts:
        log.append({"responses": [[text]]})
    read_back = BatchLog(tmp_path)
    assert read_back.batches == log.batches
    assert None not in read_back.batches
    assert [batch["responses"][0][0] for batch in read_back.whole] == texts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_a_torn_line_is_cut_off(tmp_path: Path, data: st.DataObject) -> None:
    """Wherever the file was torn, the whole lines are kept, and going on ends with the same bytes."""
    path = tmp_path / NAME
    path.unlink(missing_ok=True)
    batches = [{"responses": [[text]]} for text in ("one", "zwei é", "three")]
    log = BatchLog(tmp_path)
    for batch in batches:
        log.append(batch)
    whole = path.read_bytes()
    torn = whole[: data.draw(st.integers(0, len(whole)))]
    path.write_bytes(torn)
    again = BatchLog(tmp_path)
    assert len(again.batches) == torn.count(b"\n")
    for batch in batches[len(again.batches) :]:
        again.append(batch)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff", b'{"responses": []}', b"3", b"", b"{}", b"[" * 100_000])
def test_a_damaged_line_is_done_again(tmp_path: Path, line: bytes) -> None:
    """A line in the middle that is no batch counts as missing; done again, the file can have the bytes of before."""
    log = BatchLog(tmp_path)
    for text in ("one", "two", "three"):
        log.append({"responses": [[text]]})
    path = tmp_path / NAME
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    damaged = BatchLog(tmp_path)
    assert [batch is None for batch in damaged.batches] == [False, True, False]
    assert [batch["responses"] for batch in damaged.whole] == [[["one"]], [["three"]]]
    damaged.store(1, {"responses": [["two"]]})
    assert BatchLog(tmp_path).batches == log.batches
    damaged.put_in_order()
    assert path.read_bytes() == whole


def test_of_two_damaged_lines_each_is_done_again(tmp_path: Path) -> None:
    """After one of two damaged batches is done again, the other is still known to be missing."""
    log = BatchLog(tmp_path)
    for text in ("one", "two", "three"):
        log.append({"responses": [[text]]})
    path = tmp_path / NAME
    whole = path.read_bytes()
    path.write_bytes(b"x\ny\n" + whole.split(b"\n")[2] + b"\n")
    BatchLog(tmp_path).store(0, {"responses": [["one"]]})
    again = BatchLog(tmp_path)
    assert [batch is None for batch in again.batches] == [False, True, False]
    again.put_in_order()
    again.store(1, {"responses": [["two"]]})
    again.put_in_order()
    assert path.read_bytes() == whole


@given(order=st.permutations(range(4)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
def test_batches_may_come_in_any_order(tmp_path: Path, order: list[int]) -> None:
    """Each is kept as it comes, what is not there yet is missing, and put in order the file has the same bytes."""
    path = tmp_path / NAME
    contents = []
    for numbers in (range(4), order):
        path.unlink(missing_ok=True)
        log = BatchLog(tmp_path)
        for done, number in enumerate(numbers, start=1):
            log.store(number, {"responses": [[str(number)]]})
            assert [batch["batch"] for batch in BatchLog(tmp_path).whole] == sorted(list(numbers)[:done])
        log.put_in_order()
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_no_changed_byte_goes_unseen(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever one byte is changed into, each batch comes back as it was, or is done again."""
    path = tmp_path / NAME
    path.unlink(missing_ok=True)
    log = BatchLog(tmp_path)
    for text in ("one", "zwei é", "three"):
        log.append({"responses": [[text]], "tokens_forwarded": 1234})
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    for stored in BatchLog(tmp_path).whole:
        # A changed space between two fields changes nothing, and a key more in it does no harm.
        assert {key: stored[key] for key in ("batch", "responses", "tokens_forwarded")} in log.batches


def test_a_line_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Lines of 0.1.0 have no digest, and are believed as they were then."""
    (tmp_path / NAME).write_bytes(b'{"batch": 0, "responses": [["x"]]}\n')
    assert BatchLog(tmp_path).batches == [{"batch": 0, "responses": [["x"]]}]


def test_a_batch_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    """The line that was written last counts; put in order, the file has one."""
    log = BatchLog(tmp_path)
    for text in ("first", "second"):
        log.store(0, {"responses": [[text]]})
    again = BatchLog(tmp_path)
    assert [batch["responses"] for batch in again.batches if batch] == [[["second"]]]
    again.put_in_order()
    assert (tmp_path / NAME).read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("number", [b"-1", b"true", b'"0"', b"1.0", b"99999999999"])
def test_a_number_that_no_batch_has_is_not_believed(tmp_path: Path, number: bytes) -> None:
    """A line of an earlier version, which has no digest, with such a number counts as missing."""
    (tmp_path / NAME).write_bytes(b'{"batch": ' + number + b', "responses": []}\n')
    assert BatchLog(tmp_path).batches == []


def test_a_full_disk_is_told_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a batch cannot be written the file is named, and what was written of the line is taken back."""
    log = BatchLog(tmp_path)
    log.append({"responses": []})
    whole = (tmp_path / NAME).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tokimp.storage.atomic.os.fsync", full)
        with pytest.raises(StorageError, match=rf"{NAME} cannot be written \(no space left.*free some space"):
            log.append({"responses": [["lost"]]})
    assert (tmp_path / NAME).read_bytes() == whole
    log.append({"responses": [["kept"]]})
    assert BatchLog(tmp_path).batches == log.batches
