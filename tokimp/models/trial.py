"""Try a model out on a few tokens when it is loaded, and refuse it if a number would depend on what it must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tokimp.errors import UnsupportedError
from tokimp.models.batching import out_of_memory
from tokimp.models.placement import input_device

# What the code of a model raises that was not written for what it is tried with.
FOREIGN_FAILURES = (
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
_FEWEST, _MOST = 9, 64
# Fields of a configuration that hold a length at which attention or a recurrence changes.
_BORDERS = (
    "sliding_window",
    "attention_window_size",
    "window_size",
    "local_attention",
    "attention_chunk_size",
    "keep_window_size",
    "index_topk",
    "block_size",
    "chunk_size",
    "mamba_chunk_size",
)


def trial_ids(model: Any) -> torch.Tensor:
    """Return ids to try a model on, [1, position]: longer than its windows and chunks, as far as those are short.

    At most 64 tokens are read, so that a large model does not load for minutes on a CPU. What changes at a greater
    length is known from the configuration alone.
    """
    config = model.config.get_text_config(decoder=True)
    borders = [value for name in _BORDERS if isinstance(value := getattr(config, name, None), int)]
    length = max([_FEWEST, *(min(_MOST, 2 * border + 8) for border in borders if 0 < border <= _MOST - 8)])
    limit = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if isinstance(limit, int) and limit > _FEWEST:
        length = min(length, limit)
    size, device = model.get_input_embeddings().weight.shape[0], input_device(model)
    # Neighbours in a vocabulary are often alike, so the ids are far apart.
    return (3 + 7 * torch.arange(length, device=device)).remainder(size)[None]


def passes(trial: Callable[[], bool]) -> bool:
    """Return what a trial of a model returns; false if it fails in a way that says the model is of another make.

    Parameters
    ----------
    trial
        Runs the model and says whether its numbers are right.

    Raises
    ------
    Exception
        What the trial raises where memory runs out, or what a model of another make does not raise.
    """
    try:
        return trial()
    except (UnsupportedError, *FOREIGN_FAILURES) as error:
        if out_of_memory(error):
            raise
        return False


def rounding_bytes(model: Any) -> int:
    """Return the bytes of the numbers whose rounding a model's logits show: 2 where its weights are quantised.

    Kernels for quantised weights round what they multiply, in blocks that depend on the shape of the batch.
    """
    return 2 if getattr(model, "is_quantized", False) else int(model.dtype.itemsize)


def differ(found: torch.Tensor, wanted: torch.Tensor, itemsize: int) -> bool:
    """Return whether two sets of logits, [..., vocabulary], differ by more than rounding in a precision explains.

    They are compared with the spread of the logits: rounding is far below it, another computation is not.

    Parameters
    ----------
    found, wanted
        Logits.
    itemsize
        Bytes of a number of the model's precision; see `rounding_bytes`.
    """
    found, wanted = found.float(), wanted.float()
    spread = (wanted - wanted.mean(dim=-1, keepdim=True)).norm()
    return not bool((found - wanted).norm() <= (0.1 if itemsize == 2 else 1e-3) * spread + 1e-6)


def check_predictions(name: str, model: Any) -> None:
    """Refuse a model if what it predicts depends on later tokens, on the batch, or is not a number.

    Raises
    ------
    UnsupportedError
        If the model cannot run in its precision, gives numbers that are not finite, is not causal, or gives a sequence
        other numbers in a batch than alone.
    """
    ids = trial_ids(model)
    length = ids.shape[1]
    about, itemsize = f"{name} ({model.config.model_type})", rounding_bytes(model)
    precision = str(model.dtype).removeprefix("torch.")
    with torch.no_grad():
        try:
            alone = model(ids, use_cache=False).logits
            prefixes = [model(ids[:, :end], use_cache=False).logits for end in (length // 2 + 1, length - 1)]
            batch = model(torch.cat([ids.flip(1), ids]), use_cache=False).logits[1:]
        # Code of a model that was written for float32 fails in half precision with any of these.
        except FOREIGN_FAILURES as error:
            if out_of_memory(error):
                raise
            advice = "; use dtype='float32'" if itemsize == 2 else ""
            reason = " ".join(str(error).split())[:200]
            raise UnsupportedError(f"{about} cannot run in {precision}: {reason}{advice}") from error
    if not bool(alone.isfinite().all()):
        advice = "use dtype='float32' or 'bfloat16'" if itemsize == 2 else "its weights may be damaged"
        raise UnsupportedError(f"{about} gives logits that are not finite in {precision}; {advice}")
    if any(differ(prefix, alone[:, : prefix.shape[1]], itemsize) for prefix in prefixes):
        raise UnsupportedError(
            f"{about} is not causal: what it predicts depends on later tokens, as in an encoder, or on how many there "
            "are; use another causal language model"
        )
    if differ(batch, alone, itemsize):
        raise UnsupportedError(
            f"{about} gives a sequence other numbers in a batch than alone, as experts with a limited capacity do; "
            "use another model"
        )
