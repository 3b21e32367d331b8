"""Whether a model's deletions are read in packs, and why."""

from __future__ import annotations

from typing import Any

import torch

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.packs.packed_model import NotCompilable, NotPackable, PackedModel


def choose_reader(
    model: Any, packed: bool | str, device: str, *, shares_prefix: bool, compiled: bool = False
) -> tuple[PackedModel | None, str]:
    """Decide whether a model's deletions are read in packs.

    Parameters
    ----------
    model
        A transformers model.
    packed
        True, false, or ``"auto"``.
    device
        Where the model is.
    shares_prefix
        Whether keys and values are shared at all.
    compiled
        Whether the blocks of a model that reads packs are to be compiled.

    Returns
    -------
    PackedModel or None
        What reads packs; ``None`` for batches.
    str
        Which it is, and why.

    Raises
    ------
    ScorerError
        If `packed` is none of the three, or compiled blocks are asked for and packs are not read.
    UnsupportedError
        If packs or compiled blocks are asked for and the model cannot read packs, or not by compiled blocks.
    """
    if packed not in (True, False, "auto"):
        raise ScorerError(f"packed={packed!r} is not allowed; give 'auto', true or false")
    if compiled and packed is not True and (packed is False or torch.device(device).type == "cpu"):
        raise ScorerError("compiled=true is for packs, and batches are read here; add packed=true (--packed)")
    if packed is False:
        return None, "batches of rows of one length: packed=false"
    if packed == "auto" and torch.device(device).type == "cpu":
        return None, "batches of rows of one length: on a CPU they are as fast as packs"
    try:
        reader = _reader(model, shares_prefix=shares_prefix, compiled=compiled)
    except NotPackable as reason:
        if packed is True or compiled:
            raise UnsupportedError(
                f"this model cannot be read in packs: {reason}; {_how_to_go_on(compiled)}"
            ) from reason
        return None, f"batches of rows of one length: {reason}"
    except NotCompilable as reason:
        raise UnsupportedError(f"this model's blocks cannot be compiled: {reason}; leave out compiled=true") from reason
    return reader, "packs of rows of any length" + (", compiled" if compiled else "")


def _how_to_go_on(compiled: bool) -> str:
    return "leave out compiled=true, and leave packed at 'auto'" if compiled else "leave packed at 'auto'"


def _reader(model: Any, *, shares_prefix: bool, compiled: bool) -> PackedModel:
    if not shares_prefix:
        raise NotPackable("keys and values are not shared")
    return PackedModel(model, compiled=compiled)
