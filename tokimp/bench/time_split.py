"""Where the time of a run goes: the model's layers, attention, copies of keys and values, projection, and Python."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from transformers import AttentionInterface
from transformers.cache_utils import DynamicLayer

from tokimp.bench.matmul import synchronize
from tokimp.models import decoder as decoder_module
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.key_value_pool import GatheredLayer, KeyValuePool
from tokimp.models.packs import compiling, packed_model
from tokimp.models.packs.packed_model import PackedModel


@dataclass(slots=True)
class TimeSplit:
    """Seconds of a run by what they were spent on; each second is counted once.

    Attributes
    ----------
    trunk
        The model's layers without attention and copies: matrix products, norms, and Python between them.
    attention
        The attention functions of the layers. In architectures whose attention does not follow transformers' attention
        interface, attention counts as trunk; so does that of whole sequences where the blocks of packs are compiled.
    copies
        Copies of stored keys and values into rows, and of new ones into storage.
    projection
        The projection onto the vocabulary, and the log-softmax. Where the model can only be run inside its backend,
        the projection counts as trunk.
    python
        Everything outside the model: planning, arrays, the estimator.
    """

    trunk: float = 0.0
    attention: float = 0.0
    copies: float = 0.0
    projection: float = 0.0
    python: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return self.trunk + self.attention + self.copies + self.projection + self.python


# What is timed as which part. A part inside another is taken off the outer one.
_TIMED: tuple[tuple[Any, str, str], ...] = (
    (Decoder, "_logits", "trunk"),
    (PackedModel, "hidden", "trunk"),
    (PackedModel, "logprobs", "projection"),
    (decoder_module, "token_logprobs", "projection"),
    (decoder_module, "gather_logprobs", "projection"),
    (KeyValuePool, "gather", "copies"),
    (KeyValuePool, "write", "copies"),
    (GatheredLayer, "update", "copies"),
    (DynamicLayer, "update", "copies"),
    (packed_model._PoolCache, "update", "copies"),
    (compiling, "store_and_attend", "attention"),
)


@contextmanager
def time_split(decoder: Decoder) -> Iterator[TimeSplit]:
    """Split the time of what a decoder does inside the ``with`` block.

    Before and after each part the device finishes its work, so that its time counts where it was caused. On a GPU this
    makes a run slower: the parts say what the time goes to, and a run without them how long it takes. One block at a
    time: functions of the model are replaced while it lasts.

    Parameters
    ----------
    decoder
        The decoder whose work is timed, also where several tasks share it.

    Yields
    ------
    TimeSplit
        The seconds, complete when the block has ended.
    """
    split = TimeSplit()
    clock = _Clock(split, decoder.device)
    with ExitStack() as replaced:
        for owner, name, part in _TIMED:
            replaced.enter_context(_replaced(owner, name, clock.timed(part, getattr(owner, name))))
        if decoder.packed is None or not decoder.packed.compiled:  # compiled blocks have looked it up already
            find = clock.timing_attention(AttentionInterface.get_interface)
            replaced.enter_context(_replaced(AttentionInterface, "get_interface", find))
        if decoder._plain is not None:
            head = decoder._plain.get_output_embeddings()
            replaced.enter_context(_replaced(head, "forward", clock.timed("projection", head.forward)))
        synchronize(decoder.device)
        begin = time.perf_counter()
        yield split
        synchronize(decoder.device)
        split.python = time.perf_counter() - begin - split.total


class _Clock:
    """Adds the time of functions to the parts of a split; the time of a part inside another counts once."""

    def __init__(self, split: TimeSplit, device: str) -> None:
        self._split, self._device = split, device
        self._spent_inside: list[float] = []  # for each part that runs now, the seconds of the parts inside it

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that adds its time to a part."""

        @functools.wraps(function)
        def run(*values: Any, **named: Any) -> Any:
            synchronize(self._device)
            self._spent_inside.append(0.0)
            begin = time.perf_counter()
            try:
                return function(*values, **named)
            finally:
                synchronize(self._device)
                seconds = time.perf_counter() - begin
                own = seconds - self._spent_inside.pop()
                setattr(self._split, part, getattr(self._split, part) + own)
                if self._spent_inside:
                    self._spent_inside[-1] += seconds

        return run

    def timing_attention(self, get_interface: Callable[..., Any]) -> Callable[..., Any]:
        """Return a look-up of attention functions that times whichever is found."""

        @functools.wraps(get_interface)
        def find(*values: Any, **named: Any) -> Any:
            return self.timed("attention", get_interface(*values, **named))

        return find


@contextmanager
def _replaced(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """Put something else in the place of an attribute; afterwards the owner is as it was, inherited or its own."""
    own = vars(owner).get(name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
