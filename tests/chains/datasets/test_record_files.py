"""Files of records: compressed or not, JSON or a table, told by their first bytes and their names."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokimp.chains.datasets import load_chains
from tokimp.chains.datasets.record_files import has_file_ending
from tokimp.errors import ChainError

ROWS = [
    {"id": "a", "question": "How many?", "reasoning": "So 3+4=7.", "answer": "7"},
    {"id": "b", "question": "And, then?", "reasoning": 'She says "8",\nand\tthat is all.', "answer": "8"},
]


def as_jsonl(path: Path) -> None:
    """Write the rows one a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")


def as_list(path: Path) -> None:
    """Write the rows as one JSON list."""
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")


def as_table(separator: str) -> Callable[[Path], None]:
    """Return what writes the rows with a separator, every value in quotation marks."""

    def write(path: Path) -> None:
        lines = [list(ROWS[0]), *[list(row.values()) for row in ROWS]]
        quoted = [separator.join('"' + value.replace('"', '""') + '"' for value in line) for line in lines]
        path.write_text("\ufeff" + "\r\n".join(quoted), encoding="utf-8", newline="")

    return write


def as_parquet(path: Path) -> None:
    """Write the rows as Parquet."""
    pq.write_table(pa.Table.from_pylist(ROWS), path)


FILES: dict[str, Callable[[Path], None]] = {
    "rows.jsonl": as_jsonl,
    "rows.json": as_list,
    "rows.csv": as_table(","),
    "rows.tsv": as_table("\t"),
    "rows.parquet": as_parquet,
}
WHERE = {
    "rows.jsonl": [":1", ":2"],
    "rows.json": ["[1]", "[2]"],
    "rows.csv": [":2", ":3"],
    "rows.tsv": [":2", ":3"],
    "rows.parquet": ["[1]", "[2]"],
}
COMPRESSION: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", COMPRESSION)
def test_every_kind_of_file_gives_the_same_chains(tmp_path: Path, name: str, ending: str) -> None:
    """The same rows are the same chains in each kind of file, compressed or not, and know where they stand."""
    plain = tmp_path / name
    FILES[name](plain)
    path = tmp_path / (name + ending)
    path.write_bytes(COMPRESSION[ending](plain.read_bytes()))
    chains = load_chains(path)
    assert [(c.id, c.question, c.reasoning, c.answer) for c in chains] == [tuple(row.values()) for row in ROWS]
    assert [chain.source for chain in chains] == [f"{path}{place}" for place in WHERE[name]]


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path, kind: str) -> None:
    """A compressed file that ends too soon, or has a wrong byte, is one clear error."""
    content = COMPRESSION[f".{kind}"](json.dumps(ROWS).encode())
    path = tmp_path / f"rows.json.{kind}"
    for damaged in (content[:-9], content[:20] + b"\x00\xff\x00" + content[23:]):
        path.write_bytes(damaged)
        with pytest.raises(ChainError, match=rf"rows\.json\.{kind}: the file is compressed with .*and damaged"):
            load_chains(path, skipped=[])


def test_a_damaged_parquet_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    """Half a Parquet file is one clear error; one without rows says so."""
    path = tmp_path / "rows.parquet"
    as_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ChainError, match=r"rows\.parquet: the Parquet file cannot be read after row 0"):
        load_chains(path, skipped=[])
    pq.write_table(pa.Table.from_pylist([], schema=pa.schema([("id", pa.string())])), path)
    with pytest.raises(ChainError, match="has no row"):
        load_chains(path, skipped=[])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a/b.jsonl", True),
        ("a/b.csv.gz", True),
        ("b.PARQUET", True),
        ("a/b", False),
        ("a/b.gz", False),
        ("v1.5", False),
    ],
)
def test_names_of_files_are_told_from_hub_ids(name: str, known: bool) -> None:
    """A name with the ending of a readable file is never looked for on the hub."""
    assert has_file_ending(Path(name)) is known
