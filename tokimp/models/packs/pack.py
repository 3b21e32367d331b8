"""A pack: rows to be read, laid end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.chains.arrays import IntArray


@dataclass(frozen=True)
class PackRow:
    """One row of a pack.

    Attributes
    ----------
    ids
        Token ids that are read, [position].
    past
        Slots of the keys and values of everything before them, in order, [past position].
    slots
        Slots for their own keys and values, [position].
    tokens
        The ids whose log-probabilities are asked for at the row's last positions, [scored position, choice].
    """

    ids: IntArray
    past: IntArray
    slots: IntArray
    tokens: IntArray


@dataclass(frozen=True)
class Pack:
    """Rows to be read, laid end to end.

    Attributes
    ----------
    ids, positions
        Token ids and their places in their own sequences, [position].
    row_starts
        Where each row begins in `ids`, and where the last one ends, [row + 1].
    new_slots
        Where the keys and values of `ids` are written in the pool, [position].
    key_slots
        For each row the slots of everything it attends to, in order, its own last; laid end to end, [key].
    key_starts
        Where each row begins in `key_slots`, and where the last one ends, [row + 1].
    scored
        Indices into `ids` of the positions whose predictions are asked for, [scored].
    tokens
        The ids whose log-probabilities are asked for there, [scored, choice].
    """

    ids: IntArray
    positions: IntArray
    row_starts: IntArray
    new_slots: IntArray
    key_slots: IntArray
    key_starts: IntArray
    scored: IntArray
    tokens: IntArray

    @classmethod
    def of(cls, rows: Sequence[PackRow]) -> Pack:
        """Lay rows end to end; each reads at least one position, and all ask for the same number of choices."""
        lengths, keys = ([len(row.ids) for row in rows], [len(row.past) + len(row.ids) for row in rows])
        ends = np.cumsum([0, *lengths])
        return cls(
            ids=np.concatenate([row.ids for row in rows]),
            positions=np.concatenate([len(row.past) + np.arange(len(row.ids)) for row in rows]),
            row_starts=ends,
            new_slots=np.concatenate([row.slots for row in rows]),
            key_slots=np.concatenate([part for row in rows for part in (row.past, row.slots)]),
            key_starts=np.cumsum([0, *keys]),
            scored=np.concatenate(
                [np.arange(end - len(row.tokens), end) for row, end in zip(rows, ends[1:], strict=True)]
            ),
            tokens=np.concatenate([row.tokens for row in rows]),
        )

    @classmethod
    def joined(cls, packs: list[Pack]) -> Pack:
        """Return several packs as one, in their order; choices that a pack does not ask for repeat its first."""
        if len(packs) == 1:
            return packs[0]
        choices = max(pack.tokens.shape[1] for pack in packs)
        sizes = np.cumsum([0, *(len(pack.ids) for pack in packs)])
        keys = np.cumsum([0, *(len(pack.key_slots) for pack in packs)])

        def starts(name: str, shifts: IntArray) -> IntArray:
            parts = [getattr(pack, name)[:-1] + shift for pack, shift in zip(packs, shifts, strict=False)]
            return np.concatenate([*parts, shifts[-1:]])

        widened = [
            np.concatenate([pack.tokens, np.repeat(pack.tokens[:, :1], choices - pack.tokens.shape[1], axis=1)], axis=1)
            for pack in packs
        ]
        return cls(
            ids=np.concatenate([pack.ids for pack in packs]),
            positions=np.concatenate([pack.positions for pack in packs]),
            row_starts=starts("row_starts", sizes),
            new_slots=np.concatenate([pack.new_slots for pack in packs]),
            key_slots=np.concatenate([pack.key_slots for pack in packs]),
            key_starts=starts("key_starts", keys),
            scored=np.concatenate([pack.scored + shift for pack, shift in zip(packs, sizes, strict=False)]),
            tokens=np.concatenate(widened),
        )

    @property
    def pairs(self) -> int:
        """Pairs of a position that is read and one it attends to, itself included."""
        read, seen = np.diff(self.row_starts), np.diff(self.key_starts)
        return int((read * (seen - read) + read * (read + 1) // 2).sum())
