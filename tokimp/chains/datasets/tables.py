"""The records of tables: rows of values apart by commas or tabs, and rows of Parquet files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tokimp.chains.datasets.records import Record, Skips
from tokimp.errors import ChainError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""What stands between the values of a file, by the ending of its name."""


def separated_records(content: bytes, path: Path, skips: Skips, separator: str) -> Iterator[Record]:
    """Yield the rows of a table whose first row names its columns; ``where`` is ``file:line``, where a row begins.

    An empty cell is null, all others are text. Values may stand in double quotes, and quoted ones may hold line breaks
    (RFC 4180).

    Raises
    ------
    ChainError
        If the table is not UTF-8, a quotation mark is misplaced, the header lacks or repeats a name, or there is no
        row. For a row of another length than the header, unless `skips` takes it.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ChainError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    rows = _rows(text, path, separator)
    if not rows:
        raise ChainError(f"{path}: the table is empty; its first row must name the columns")
    (line, header), *rest = rows
    if unnamed := [str(number) for number, name in enumerate(header, start=1) if not name.strip()]:
        raise ChainError(f"{path}:{line}: column {', '.join(unnamed)} has no name; name every column in the first row")
    if repeated := [name for name, times in Counter(header).items() if times > 1]:
        raise ChainError(f"{path}:{line}: the column {repeated[0]!r} stands twice; give every column its own name")
    if not rest:
        raise ChainError(f"{path}: the table has no row below the names of its columns")
    for line, row in rest:
        where = f"{path}:{line}"
        if len(row) == len(header):
            yield Record(where, {name: value or None for name, value in zip(header, row, strict=True)})
        else:
            wrong_length = ChainError(
                f"{where}: the row has {len(row)} values, and there are {len(header)} columns; put quotation marks "
                f"around values that hold {separator!r} or line breaks"
            )
            skips.take(wrong_length, where)


def _rows(text: str, path: Path, separator: str) -> list[tuple[int, list[str]]]:
    """Return each row that is not empty, with the line on which it begins."""
    rows: list[tuple[int, list[str]]] = []
    # The library refuses values of more than 131,072 characters, and a chain can be longer. The limit is one for the
    # whole process, so that it is set for this reading alone.
    usual_limit = csv.field_size_limit(max(len(text), 1))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        begins = 1
        for row in reader:
            if row:
                rows.append((begins, row))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise ChainError(
            f"{path}:{begins}: the row that begins here cannot be read ({error}); a quotation mark within a quoted "
            'value is written twice ("")'
        ) from error
    finally:
        csv.field_size_limit(usual_limit)
    return rows


def parquet_records(content: bytes, path: Path) -> Iterator[Record]:
    """Yield the rows of a Parquet file, nested values as lists and objects; ``where`` is ``file[3]`` for the third.

    Raises
    ------
    ChainError
        If the file is damaged, or holds no row.
    """
    import pyarrow  # noqa: PLC0415 - takes a while to load, and most chains come from JSONL
    import pyarrow.parquet  # noqa: PLC0415

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content)).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield Record(f"{path}[{number}]", row)
    except (pyarrow.ArrowException, OSError) as error:
        raise ChainError(
            f"{path}: the Parquet file cannot be read after row {number} ({error}); fetch or make it anew"
        ) from error
    if not number:
        raise ChainError(f"{path}: the Parquet file has no row")
