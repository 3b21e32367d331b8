"""Chains from files, from the hub and from the package, whatever their format; and whether their answers are right."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from importlib.resources import as_file, files
from os import PathLike
from typing import Any

from tokimp.chains.chain import Chain
from tokimp.chains.datasets.correctness import is_right
from tokimp.chains.datasets.field_map import FieldMap, MappedFields
from tokimp.chains.datasets.gsm8k import Gsm8k, Gsm8kSolutions
from tokimp.chains.datasets.jsonl import JsonlChains, save_chains
from tokimp.chains.datasets.mmlu_pro import MmluPro
from tokimp.chains.datasets.planted_problems import planted_problems
from tokimp.chains.datasets.records import ChainFormat, Record, SkippedRecord, Skips
from tokimp.chains.datasets.sources import check_source, source_records
from tokimp.errors import ChainError

__all__ = [
    "FORMATS",
    "FieldMap",
    "SkippedRecord",
    "check_there",
    "demo_chains",
    "is_right",
    "load_chains",
    "save_chains",
]

_FORMATS: dict[str, ChainFormat] = {
    reader.name: reader for reader in (JsonlChains(), Gsm8k(), Gsm8kSolutions(), MmluPro())
}
FORMATS: tuple[str, ...] = ("auto", *_FORMATS)
WORD_PROBLEMS = "word_problems"
_EMBEDDED = ("demo", WORD_PROBLEMS)
_PROBLEMS = 200
# The number of records that are looked at to recognise the format.
_LOOKED_AT = 100


def load_chains(
    source: str | PathLike[str],
    *,
    format: str = "auto",  # noqa: A002 - the word every user expects
    fields: FieldMap | Mapping[str, Any] | None = None,
    limit: int | None = None,
    keep_calculator: bool = False,
    skipped: list[SkippedRecord] | None = None,
    split: str = "test",
) -> list[Chain]:
    """Read chains.

    Parameters
    ----------
    source
        ``"demo"`` (the embedded chains), ``"word_problems"`` (200 problems, or `limit`, with planted text:
        `tokimp.chains.datasets.planted_problems`), ``"gsm8k"`` or ``"mmlu_pro"`` (from the hub), the path of a file
        (JSONL, one JSON list, ``.csv``, ``.tsv`` or Parquet, each also compressed with gzip, bzip2 or xz), or a hub id,
        ``owner/name`` or ``owner/name:configuration``. These names come before files of the same name (write
        ``./gsm8k``); an existing file comes before a hub id.
    format
        ``jsonl``, ``gsm8k``, ``gsm8k_solutions`` or ``mmlu_pro``. ``auto`` recognises the format by fields that only
        one of them has, in the first 100 records; if there are none, it takes ``jsonl``.
    fields
        For records of any other layout: which field holds what, as a `tokimp.FieldMap` or a mapping of the same names,
        ``{"question": "problem", "reasoning": "generation", "split": "think"}``. No format is looked for then.
    limit
        The most chains to read; records left out do not count. Reading ends there, so what follows is not checked.
    keep_calculator
        Keep GSM8K's calculator notes, ``<<16-3-4=9>>``, in the reasoning.
    skipped
        If a list is given, records that are not a chain are appended to it and left out, instead of raising.
    split
        The split of a data set on the hub. MMLU-Pro has chains in ``validation`` only.

    Raises
    ------
    ChainError
        If the source cannot be read or holds nothing. Unless `skipped` is given, also for the first record that is not
        a JSON object, that lacks a field, has it twice, of a wrong type or empty, that cannot be split as `fields`
        says, or that repeats an id. The message names file, line and id.
    """
    if limit is not None and limit < 1:
        raise ChainError(f"limit must be at least 1, not {limit}")
    if format not in FORMATS:
        raise ChainError(f"{source}: there is no format {format!r}; formats are {', '.join(FORMATS)}")
    if fields is not None and format != "auto":
        raise ChainError(f"{source}: the format {format!r} knows its fields; give a format, or fields, not both")
    places = None if fields is None else FieldMap.of(fields)
    if source == "demo" and places is None:
        return demo_chains(limit)
    if source == WORD_PROBLEMS and places is None:
        return planted_problems(limit or _PROBLEMS)
    skips = Skips(skipped)
    records = source_records(source, split, skips, also=_EMBEDDED)
    if places is not None:
        reader: ChainFormat = MappedFields(places)
    elif format == "auto":
        reader, records = _recognise(records)
    else:
        reader = _FORMATS[format]
    return _chains(reader, records, limit, skips, keep_calculator=keep_calculator)


def check_there(source: str) -> None:
    """Raise `ChainError` if `load_chains` would find nothing of this name here; no file is read, nor the hub asked."""
    check_source(source, _EMBEDDED)


def demo_chains(limit: int | None = None) -> list[Chain]:
    """Return the embedded chains: word problems solved by the embedded model, every token's category known.

    Parameters
    ----------
    limit
        The most chains to return.
    """
    with as_file(files("tokimp.chains.datasets") / "demo_chains.jsonl") as path:
        return load_chains(path, format="jsonl", limit=limit)


def _recognise(records: Iterator[Record]) -> tuple[ChainFormat, Iterator[Record]]:
    """Return the format of some records, and all of the records, from the first one on."""
    seen: list[Record] = []
    for record in itertools.islice(records, _LOOKED_AT):
        seen.append(record)
        for reader in _FORMATS.values():
            if reader.recognises(record.fields):
                return reader, itertools.chain(seen, records)
    return _FORMATS["jsonl"], itertools.chain(seen, records)


def _chains(
    reader: ChainFormat, records: Iterator[Record], limit: int | None, skips: Skips, *, keep_calculator: bool
) -> list[Chain]:
    chains: dict[str, Chain] = {}
    for record in records:
        for part in reader.parts(record):
            chain_id = reader.chain_id(record, part)
            try:
                chain = reader.chain(record, part, keep_calculator=keep_calculator)
                chain_id = chain.id
                if chain.id in chains:
                    first = chains[chain.id].source
                    raise record.error(chain.id, f"the id is taken by {first}; {reader.own_id}")
            except ChainError as error:
                skips.take(error, record.where, chain_id)
            else:
                chains[chain.id] = chain
                if len(chains) == limit:
                    return list(chains.values())
    return list(chains.values())
