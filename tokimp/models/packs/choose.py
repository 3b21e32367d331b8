"""Whether a model's deletions are read in packs, and why."""

from __future__ import annotations

from typing import Any

import torch

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.packs.packed_model import NotPackable, PackedModel


def choose_reader(
    model: Any, packed: bool | str, device: str, *, shares_prefix: bool
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

    Returns
    -------
    PackedModel or None
        What reads packs; ``None`` for batches.
    str
        Which it is, and why.

    Raises
    ------
    ScorerError
        If `packed` is none of the three.
    UnsupportedError
        If packs are asked for and the model cannot read them.
    """
    if packed not in (True, False, "auto"):
        raise ScorerError(f"packed={packed!r} is not allowed; give 'auto', true or false")
    if packed is False:
        return None, "batches of rows of one length: packed=false"
    if packed == "auto" and torch.device(device).type == "cpu":
        return None, "batches of rows of one length: on a CPU they are as fast as packs"
    try:
        return _reader(model, shares_prefix=shares_prefix), "packs of rows of any length"
    except NotPackable as reason:
        if packed is True:
            raise UnsupportedError(f"this model cannot be read in packs: {reason}; leave packed at 'auto'") from reason
        return None, f"batches of rows of one length: {reason}"


def _reader(model: Any, *, shares_prefix: bool) -> PackedModel:
    if not shares_prefix:
        raise NotPackable("keys and values are not shared")
    return PackedModel(model)
