"""The records of a file, told by its first bytes and its name: JSON, tables, and either of them compressed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tokimp.chains.datasets.records import Record, Skips
from tokimp.chains.datasets.tables import SEPARATORS, parquet_records, separated_records
from tokimp.errors import ChainError

_COMPRESSED: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": ("gzip", gzip.decompress),
    b"BZh": ("bzip2", bz2.decompress),
    b"\xfd7zXZ\x00": ("xz", lzma.decompress),
}
_PARQUET = b"PAR1"
# Files of other kinds, by their first bytes, with what makes a file that can be read of them.
_OTHER_KINDS = {
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it (unzstd)"),
    b"PK\x03\x04": ("a zip archive", "unpack it (unzip)"),
    b"ARROW1": ("an Arrow file", "write it as Parquet"),
    b"\x89HDF": ("an HDF5 or netCDF file", "tokimp analyze reads a result; make chains of it with tokimp prune --run"),
    b"SQLite format 3": ("an SQLite database", "write its rows as JSONL"),
    b"\xff\xfe": ("UTF-16", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16", "save it as UTF-8"),
}
_COMPRESSED_ENDINGS = (".gz", ".bz2", ".xz")
_ENDINGS = (".jsonl", ".json", ".parquet", *SEPARATORS)


def has_file_ending(path: Path) -> bool:
    """Whether a path ends as the name of a file of chains does: ``chains.jsonl``, ``rows.csv.gz``, ``rows.parquet``."""
    return _bare_name(path).suffix.lower() in _ENDINGS


def read_records(path: Path, skips: Skips) -> Iterator[Record]:
    """Yield the records of a file.

    A file is read as

    - Parquet, if it begins as Parquet does;
    - a table of values apart by commas or tabs, if it is named ``.csv`` or ``.tsv``;
    - one JSON list of objects, if it begins with ``[``;
    - JSONL otherwise: one JSON object a line. Empty lines are ignored.

    Each of these may be compressed with gzip, bzip2 or xz. Texts are UTF-8.

    Raises
    ------
    ChainError
        If the file is missing, not a file, damaged, of another kind, or holds no record. For a line or row that is not
        a record (not JSON, not an object, a key twice, a row of another length than the header), unless `skips` takes
        it.
    """
    if path.is_dir():
        run = "; tokimp analyze and tokimp prune --run read runs" if (path / "run.json").is_file() else ""
        raise ChainError(f"{path}: a folder cannot be read; give the path of a file of chains{run}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ChainError(f"{path}: the file cannot be read ({error.strerror}); check the path") from error
    content = _unpacked(content, path)
    _check_kind(content, path)
    separator = SEPARATORS.get(_bare_name(path).suffix.lower())
    if content.startswith(_PARQUET):
        yield from parquet_records(content, path)
    elif separator is not None:
        yield from separated_records(_without_mark(content), path, skips, separator)
    # A list of one line may also be a line of JSONL that is wrong; both are read as a list.
    elif (content := _without_mark(content)).lstrip()[:1] == b"[":
        yield from _list_records(content, path, skips)
    else:
        yield from _line_records(content, path, skips)


def _bare_name(path: Path) -> Path:
    """Return a file's name without the ending of its compression."""
    return Path(path.stem) if path.suffix.lower() in _COMPRESSED_ENDINGS else Path(path.name)


def _unpacked(content: bytes, path: Path) -> bytes:
    for mark, (kind, decompress) in _COMPRESSED.items():
        if content.startswith(mark):
            try:
                return decompress(content)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise ChainError(
                    f"{path}: the file is compressed with {kind}, and damaged ({error}); fetch or make it anew"
                ) from error
    return content


def _check_kind(content: bytes, path: Path) -> None:
    twice = {mark: (f"compressed twice ({kind})", "unpack it once") for mark, (kind, _) in _COMPRESSED.items()}
    for mark, (kind, remedy) in (_OTHER_KINDS | twice).items():
        if content.startswith(mark):
            raise ChainError(f"{path}: the file is {kind}, which is not read: {remedy}, and give that file")


def _without_mark(content: bytes) -> bytes:
    """Return a text's bytes without the byte order mark that other systems' editors put before it."""
    return content.removeprefix(b"\xef\xbb\xbf")


def empty_file(path: Path) -> str:
    """Return the message about a file that holds nothing."""
    return f"{path}: the file is empty; it must hold chains, such as one JSON object a line"


def _line_records(content: bytes, path: Path, skips: Skips) -> Iterator[Record]:
    lines = content.split(b"\n")
    if not any(line.strip() for line in lines):
        raise ChainError(empty_file(path))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            yield Record(where, _object(line, where))
        except ChainError as error:
            skips.take(error, where)


def _list_records(content: bytes, path: Path, skips: Skips) -> Iterator[Record]:
    """Yield the objects of a file that is one JSON list, as MMLU-Pro publishes models' outputs."""
    values = _parsed(content, str(path), "the file must be one JSON list of objects, or one JSON object a line")
    if not values:
        raise ChainError(f"{path}: the list is empty; it must hold one object a chain")
    for number, value in enumerate(values, start=1):
        where = f"{path}[{number}]"
        if isinstance(value, dict):
            yield Record(where, value)
        else:
            error = ChainError(f"{where}: not a JSON object but {_kind(value)}; the list must hold objects")
            skips.take(error, where)


def _object(line: bytes, where: str) -> dict[str, Any]:
    value = _parsed(line, where, "each line must be one JSON object (a table is named .csv or .tsv)")
    if not isinstance(value, dict):
        raise ChainError(f"{where}: not a JSON object but {_kind(value)}; each line must be one object")
    return value


def _kind(value: object) -> str:
    """Return what JSON calls a value that is no object."""
    names = {type(None): "null", bool: "true or false", str: "a text", list: "a list"}
    return names.get(type(value), "a number")


def _parsed(text: bytes, where: str, expected: str) -> Any:
    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in pairs:
            if key in fields:
                raise ChainError(f"{where}: the key {key!r} stands twice in one object; leave one out")
            fields[key] = value
        return fields

    try:
        return json.loads(text.decode(), object_pairs_hook=once_each)
    except UnicodeDecodeError as error:
        raise ChainError(f"{where}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ChainError(f"{where}: not JSON ({error}); {expected}") from error
    # Python limits the digits of an integer that it reads, against inputs made to take long.
    except ValueError as error:
        raise ChainError(f"{where}: a number has more digits than can be read; write it as text") from error
