"""The continuations of one chain on disk: JSONL that `tokimp.load_chains` reads, appended to and safe from a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokimp.chains.chain import TokenizedChain
from tokimp.storage.appending import append
from tokimp.storage.atomic import replacing
from tokimp.storage.digests import json_digest
from tokimp.storage.folder_lock import locked
from tokimp_resample.answers import divide

UNANSWERED = "unanswered"
"""The folder, in the folder of continuations, of those that are no chains: without an answer, or without reasoning."""

_WAIT = 60.0
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")


class ContinuationFile:
    """The continuations of one chain that a model wrote in one way.

    Each line is a chain: the beginning that was given and what was written after it as its reasoning, and the answer
    that it ends with. A continuation that is no chain is in a file of the same name in the folder ``unanswered``. A
    line holds a digest, by which damage is known: a line that is torn or damaged is taken out, and written again.

    Parameters
    ----------
    folder
        The folder of all continuations; made when something is added.
    chain
        The chain that is continued.
    key
        What tells its continuations from those of other models and settings.
    origin
        The model's fingerprint and the settings, which each line repeats for its reader.
    rollouts
        How many continuations a beginning gets.
    """

    def __init__(
        self, folder: Path, chain: TokenizedChain, key: str, origin: Mapping[str, Any], *, rollouts: int
    ) -> None:
        name = f"{_UNUSUAL.sub('_', chain.id)[:60]}-{key[:16]}.jsonl"
        self._folder, self._paths = folder, (folder / name, folder / UNANSWERED / name)
        self._chain, self._key, self._origin, self._rollouts = chain, key, dict(origin), rollouts

    def read(self) -> dict[str, list[str]]:
        """Return the texts after each beginning that has all of them, by the beginning's name."""
        stored = self._stored()
        return {
            name: [texts[rollout] for rollout in range(self._rollouts)]
            for name, texts in stored.items()
            if len(texts) == self._rollouts
        }

    def add(self, name: str, positions: Sequence[int], texts: Sequence[str]) -> list[str]:
        """Store the texts after a beginning; return those that count.

        Once this returns, they survive a kill. If another process stored some meanwhile, its texts count.

        Parameters
        ----------
        name
            The beginning's name.
        positions
            The positions of its reasoning tokens.
        texts
            What was written, [rollout].

        Raises
        ------
        StorageError
            If they cannot be written; what was stored before is kept.
        ResumeError
            If another process holds the folder for more than a minute.
        """
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._folder, wait=_WAIT):
            self._mend()
            stored = self._stored().get(name, {})
            records = [
                self._record(name, positions, rollout, text)
                for rollout, text in enumerate(texts)
                if rollout not in stored
            ]
            for path, is_chain in zip(self._paths, (True, False), strict=True):
                lines = [_line(record) for record in records if _is_chain(record) is is_chain]
                if lines:
                    append(path, b"".join(lines))
        return [stored.get(rollout, text) for rollout, text in enumerate(texts)]

    def _record(self, name: str, positions: Sequence[int], rollout: int, text: str) -> dict[str, Any]:
        own, given = self._chain.chain, self._text_of(positions)
        written = divide(text, own)
        record = {
            "id": f"{own.id}@{name}.{rollout}-{self._key[:8]}",
            "question": own.question,
            "reasoning": given + written.reasoning.rstrip() if written.reasoning.strip() else given.rstrip(),
            "answer": written.answer,
            "gold": own.gold,
            "system": own.system,
            "continues": name,
            "rollout": rollout,
            "given": len(given),
            "written": text,
            **self._origin,
        }
        return {field: value for field, value in record.items() if value is not None}

    def _text_of(self, positions: Sequence[int]) -> str:
        """Return the characters that some reasoning tokens cover."""
        reasoning, offsets = self._chain.chain.reasoning, self._chain.reasoning_offsets
        covered = sorted({place for position in positions for place in range(*offsets[position])})
        return "".join(reasoning[place] for place in covered)

    def _stored(self) -> dict[str, dict[int, str]]:
        """Return what is stored, by beginning and rollout."""
        texts: dict[str, dict[int, str]] = {}
        for path in self._paths:
            for record in _records(path):
                if record is not None:
                    texts.setdefault(record["continues"], {})[record["rollout"]] = record["written"]
        return texts

    def _mend(self) -> None:
        """Take out the lines that a kill tore, or that were damaged."""
        for path in self._paths:
            records = _records(path)
            if any(record is None for record in records):
                with replacing(path) as partial:
                    partial.write_bytes(b"".join(_line(record) for record in records if record is not None))


def _is_chain(record: Mapping[str, Any]) -> bool:
    return bool(record["answer"].strip() and record["reasoning"].strip())


def _line(record: Mapping[str, Any]) -> bytes:
    # ASCII, since what a model writes may hold half a surrogate pair, which has no bytes.
    return json.dumps({**record, "digest": json_digest(record)}).encode() + b"\n"


def _records(path: Path) -> list[dict[str, Any] | None]:
    """Return the records of a file, ``None`` in the place of a line that is torn or damaged."""
    content = path.read_bytes() if path.exists() else b""
    return [_record_of(line) for line in content.splitlines(keepends=True)]


def _record_of(line: bytes) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(line.decode())
        is_whole = line.endswith(b"\n") and record.pop("digest", None) == json_digest(record)
        return record if is_whole and {"continues", "rollout", "written"} <= record.keys() else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
