"""How a model may write: with prompts of unequal length padded, and with a cache, or only without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from tokimp.models.trial import differ

_WRITTEN = 3


@dataclass(frozen=True, slots=True)
class WritingManner:
    """What transformers' ``generate`` does right for a model.

    Attributes
    ----------
    pads
        Whether prompts of unequal length can be written on in one batch, padded on the left.
    caches
        Whether what was read can be kept; if not, everything is read again for each token.
    """

    pads: bool
    caches: bool


def writing_manner(model: Any, ids: torch.Tensor) -> WritingManner:
    """Try how a model may write, the fastest way first.

    Recurrent layers of some models take padding for text, and some caches do not go on as the model itself would. In
    each way a few tokens are written, and the logits that they were chosen by are compared with those of the whole
    sequence.

    Parameters
    ----------
    model
        A transformers decoder.
    ids
        What it is tried on, [1, position].
    """
    ids = ids[:, : ids.shape[1] - _WRITTEN]
    for manner in (WritingManner(pads=True, caches=True), WritingManner(pads=False, caches=True)):
        try:
            right = _writes_right(model, ids, manner)
        # A model that cannot write in this way fails with any of these.
        except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
            right = False
        if right:
            return manner
    return WritingManner(pads=False, caches=False)


def _writes_right(model: Any, ids: torch.Tensor, manner: WritingManner) -> bool:
    half = ids.shape[1] // 2
    mask = torch.ones_like(ids)
    if manner.pads:
        short, short_mask = ids.clone(), mask.clone()
        short[:, :half] = 0
        short_mask[:, :half] = 0
        ids, mask = torch.cat([ids, short]), torch.cat([mask, short_mask])
    chosen = settings(
        max_new_tokens=_WRITTEN,
        min_new_tokens=_WRITTEN,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=chosen)
        found = torch.stack(list(out.logits), dim=1)
        for row, logits in enumerate(found):
            whole = out.sequences[row : row + 1, half if row else 0 : -1]
            if differ(logits, model(whole, use_cache=False).logits[0, -_WRITTEN:], model.dtype.itemsize):
                return False
    return True


def settings(**fields: Any) -> GenerationConfig:
    """Return settings for ``generate``."""
    return GenerationConfig(**fields)  # type: ignore[no-untyped-call] # transformers leaves its __init__ untyped
