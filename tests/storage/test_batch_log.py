"""The log of finished batches: a torn line is done again, a damaged one is not passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokimp.errors import ResumeError
from tokimp.storage.batch_log import NAME, BatchLog


def test_what_is_appended_comes_back(tmp_path: Path) -> None:
    """Batches come back in order, in another log, whatever texts they hold."""
    texts = ["a\nb", "é\u2028", '"\\', ""]
    log = BatchLog(tmp_path)
    for text in texts:
        log.append({"responses": [[text]]})
    read_back = BatchLog(tmp_path).batches
    assert read_back == log.batches
    assert [batch["responses"][0][0] for batch in read_back] == texts


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


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff", b'{"responses": []}', b"3"])
def test_a_damaged_line_is_an_error(tmp_path: Path, line: bytes) -> None:
    """A line in the middle that is no batch is an error with file and line."""
    BatchLog(tmp_path).append({"responses": []})
    with (tmp_path / NAME).open("ab") as stream:
        stream.write(line + b"\n")
    with pytest.raises(ResumeError, match=rf"{NAME}:2 is damaged"):
        BatchLog(tmp_path)


def test_a_batch_out_of_place_is_an_error(tmp_path: Path) -> None:
    """A line copied in from elsewhere is not believed."""
    BatchLog(tmp_path).append({"responses": []})
    with (tmp_path / NAME).open("ab") as stream:
        stream.write(json.dumps({"batch": 0}).encode() + b"\n")
    with pytest.raises(ResumeError, match=rf"{NAME}:2 is batch 0"):
        BatchLog(tmp_path)
