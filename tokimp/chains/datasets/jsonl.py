"""tokimp's own JSONL: one chain an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.datasets.records import ChainFormat, Record
from tokimp.chains.think_tags import inside_think_tags
from tokimp.errors import ChainError
from tokimp.storage.atomic import write_records


class JsonlChains(ChainFormat):
    """Fields ``id``, ``question``, ``reasoning``, ``answer``, and some that may be missing.

    Fields that may be missing are the texts ``gold``, ``system`` and ``wrong_answer``; ``category``, a list of
    ``{"start": 0, "end": 3, "label": "symbolic_math"}`` over the characters of the reasoning; and ``filler``, a list of
    ``{"start": 0, "end": 14}`` that marks text known to be of no use for the answer, each with a ``kind`` if kinds are
    to be told apart. Thinking tags around the whole reasoning (``<think>...</think>``) are taken off, with the white
    space beside them: a prompt format writes the model's own. Spans count characters of the field as it is written,
    tags included. Other texts are kept as they are, and other fields are ignored.
    """

    name = "jsonl"

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        """Only this format has a field ``reasoning``."""
        return "reasoning" in fields

    def chain_id(self, record: Record, part: str) -> str:
        """Return the field ``id``."""
        value = record.fields.get("id")
        return value if isinstance(value, str) else ""

    def chain(self, record: Record, part: str, *, keep_calculator: bool) -> Chain:
        """Return the record's chain."""
        chain_id = record.text("id", self.chain_id(record, part))
        written = record.text("reasoning", chain_id)
        category = _category(record, chain_id)
        filler, kinds = _filler(record, chain_id)
        start, end = inside_think_tags(written)
        if (start, end) != (0, len(written)):
            category = tuple(
                CategorySpan(*inner, span.label)
                for span in category
                for inner in _within(span.start, span.end, start, end)
            )
            inside = [[*_within(*span, start, end)] for span in filler or ()]
            kinds = kinds and tuple(kind for spans, kind in zip(inside, kinds, strict=True) for _ in spans)
            filler = filler and tuple(span for spans in inside for span in spans)
        return Chain(
            id=chain_id,
            question=record.text("question", chain_id),
            reasoning=written[start:end],
            answer=record.text("answer", chain_id),
            gold=record.optional_text("gold", chain_id),
            system=record.optional_text("system", chain_id),
            wrong_answer=record.optional_text("wrong_answer", chain_id),
            category=category,
            filler=filler,
            filler_kinds=kinds,
            source=record.where,
        )


def save_chains(chains: Sequence[Chain], path: str | PathLike[str]) -> None:
    """Write chains as a JSONL file, which `tokimp.load_chains` reads as they were; an old file is replaced.

    Where a chain was read (``Chain.source``) is not written.

    Raises
    ------
    ChainError
        If two chains have one id, or a reasoning has thinking tags around it, which would be taken off on reading.
    StorageError
        If the file cannot be written.
    """
    taken = set[str]()
    for chain in chains:
        if chain.id in taken:
            raise ChainError(f"{chain.where}: another of the chains to write has this id; give each its own")
        taken.add(chain.id)
        if inside_think_tags(chain.reasoning) != (0, len(chain.reasoning)):
            raise ChainError(f"{chain.where}: thinking tags stand around the reasoning; leave them out of it")
    write_records(Path(path), [_fields_of(chain) for chain in chains])


def _fields_of(chain: Chain) -> dict[str, Any]:
    """Return what a line of the format holds of a chain; what the chain does not have is left out."""
    fields: dict[str, Any] = {name: getattr(chain, name) for name in ("id", "question", "reasoning", "answer")}
    for name in ("gold", "system", "wrong_answer"):
        if (text := getattr(chain, name)) is not None:
            fields[name] = text
    if chain.category:
        fields["category"] = [{"start": s.start, "end": s.end, "label": s.label} for s in chain.category]
    if chain.filler is not None:
        fields["filler"] = [{"start": start, "end": end} for start, end in chain.filler]
        for span, kind in zip(fields["filler"], chain.filler_kinds or (), strict=False):
            span["kind"] = kind
    return fields


def _within(first: int, last: int, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Return the part of a span that lies from `start` to `end`, counted from `start`; none if no part does."""
    if first < 0 or last <= first:
        return ((first, last),)
    inner = max(first, start) - start, min(last, end) - start
    return (inner,) if inner[0] < inner[1] else ()


def _category(record: Record, chain_id: str) -> tuple[CategorySpan, ...]:
    spans = _spans(record, chain_id, "category", ("start", "end", "label")) or []
    return tuple(
        CategorySpan(span["start"], span["end"], record.checked_text(span["label"], f"category[{position}]", chain_id))
        for position, span in enumerate(spans)
    )


def _filler(record: Record, chain_id: str) -> tuple[tuple[tuple[int, int], ...] | None, tuple[str, ...] | None]:
    """Return the spans of filler, and their kinds if one has any; a span without one is of the kind ``filler``."""
    spans = _spans(record, chain_id, "filler", ("start", "end"))
    if spans is None:
        return None, None
    kinds = [
        record.checked_text(span.get("kind", "filler"), f"filler[{position}]: 'kind'", chain_id)
        for position, span in enumerate(spans)
    ]
    has_kinds = any("kind" in span for span in spans)
    return tuple((span["start"], span["end"]) for span in spans), tuple(kinds) if has_kinds else None


def _spans(record: Record, chain_id: str, field: str, parts: tuple[str, ...]) -> list[dict[str, Any]] | None:
    value = record.fields.get(field)
    if value is None:
        return None
    if not isinstance(value, list):
        raise record.error(chain_id, f"{field!r} must be a list of spans, not {type(value).__name__}")
    for position, span in enumerate(value):
        name = f"{field}[{position}]"
        if not isinstance(span, dict) or not set(parts) <= span.keys():
            *first, last = map(repr, parts)
            raise record.error(chain_id, f"{name} must be an object with {', '.join(first)} and {last}")
        for border in ("start", "end"):
            # A bool is an int to Python, but not a position.
            if not isinstance(span[border], int) or isinstance(span[border], bool):
                raise record.error(chain_id, f"{name}: {border!r} must be a whole number, not {span[border]!r}")
    return value
