"""Tables whose values are apart by commas or tabs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.chains.datasets.record_files import read_records
from tokimp.chains.datasets.records import SkippedRecord, Skips
from tokimp.errors import ChainError

_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(rows=st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=4), separator=st.sampled_from([",", "\t"]))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], separator: str
) -> None:
    """What Python's own writer puts into a table is read as it was; an empty cell is null."""
    path = tmp_path_factory.mktemp("tables") / {",": "rows.csv", "\t": "rows.tsv"}[separator]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("one", "other"), *rows])
    path.write_bytes(stream.getvalue().encode())
    read = [dict(record.fields) for record in read_records(path, Skips(None))]
    assert read == [{"one": one or None, "other": other or None} for one, other in rows]


def test_rows_know_the_line_on_which_they_begin(tmp_path: Path) -> None:
    """Line breaks within a value, and empty lines, do not shift the numbers."""
    path = tmp_path / "rows.csv"
    path.write_text('id,text\n1,"a\nb"\n\n2,c\n', encoding="utf-8")
    records = list(read_records(path, Skips(None)))
    assert [(record.where, record.fields["id"]) for record in records] == [(f"{path}:2", "1"), (f"{path}:5", "2")]


def test_a_long_value_is_read_and_the_limit_of_the_process_stays(tmp_path: Path) -> None:
    """Chains of more than 131,072 characters are read, and Python's limit is as it was afterwards."""
    limit = csv.field_size_limit()
    path = tmp_path / "rows.csv"
    path.write_text(f"id,text\n1,{'x' * 200_000}\n", encoding="utf-8")
    (record,) = read_records(path, Skips(None))
    assert len(record.fields["text"]) == 200_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the table is empty"),
        (b"id,text\n", "has no row below"),
        (b"id,\n1,2\n", ":1: column 2 has no name"),
        (b"id,id\n1,2\n", ":1: the column 'id' stands twice"),
        (b'id,text\n1,"a\n2,b\n', ":2: the row that begins here cannot be read"),
        (b"id,text\n1,\xff\n", "not UTF-8 at byte 10"),
        (b"id,text\n1,2\n1,2,3\n", r":3: the row has 3 values, and there are 2 columns; .*','"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """Each fault is named with its line and what to do."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(ChainError, match=rf"rows\.csv.*{reason}"):
        list(read_records(path, Skips(None)))


def test_a_row_of_another_length_can_be_left_out(tmp_path: Path) -> None:
    """The rows around it are read, and it is listed with its line."""
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n1,a\n2\n3,c\n", encoding="utf-8")
    skipped: list[SkippedRecord] = []
    assert [record.fields["id"] for record in read_records(path, Skips(skipped))] == ["1", "3"]
    assert [record.where for record in skipped] == [f"{path}:3"]
