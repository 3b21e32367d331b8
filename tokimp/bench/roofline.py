"""What a run would take at least: by its arithmetic, by what it moves through memory, and by the calls it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tokimp.bench.matmul import synchronize
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.forward_work import ForwardWork
from tokimp.models.packs.pack import Pack, PackRow

# Bytes of the tensor that is copied to measure the memory: larger than the caches of a processor.
_COPY_ON_CPU, _COPY_ON_OTHERS = 2**27, 2**30
_REPETITIONS = 5
_OVERHEAD = "starting calls and Python"
_EXPLAINS = 1 / 3  # a limit that would take less of the time is named, but does not bound the run


@dataclass(frozen=True, slots=True)
class RooflineShares:
    """What a run would take at least by one limit alone, as shares of what it took.

    The shares need not add up to 1: on a GPU the limits overlap, and some work is counted by none.

    Attributes
    ----------
    arithmetic
        Its additions and multiplications at the rate of the fastest matrix product.
    memory
        What has to be read and written at least (`TrafficSize.bytes_moved`), at the rate of a copy.
    overhead
        The fixed cost of its calls, and Python outside the model.
    """

    arithmetic: float
    memory: float
    overhead: float

    @property
    def roofline(self) -> float:
        """The rate reached, as a share of what arithmetic and memory allow."""
        return max(self.arithmetic, self.memory)

    @property
    def bound(self) -> str:
        """What bounds the run: ``arithmetic``, ``memory`` or ``starting calls and Python``."""
        return max(self._by_name().items(), key=lambda entry: entry[1])[0]

    def sentence(self) -> str:
        """Say in one sentence what bounds the run; where no limit takes a third of the time, that none explains it."""
        shares = self._by_name()
        others = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if name != self.bound)
        if shares[self.bound] < _EXPLAINS:
            return (
                f"far from every limit, {self.bound} first with {shares[self.bound]:.0%} of the time ({others}): the "
                "rest goes to small operations within calls, or to other programs on the same cores"
            )
        return f"bound by {self.bound}, which alone would take {shares[self.bound]:.0%} of the time ({others})"

    def _by_name(self) -> dict[str, float]:
        return {"arithmetic": self.arithmetic, "memory": self.memory, _OVERHEAD: self.overhead}


@dataclass(frozen=True, slots=True)
class TrafficSize:
    """Sizes that decide how many bytes a model has to move.

    Attributes
    ----------
    trunk_weights, projection_weights
        Bytes of the weights of the layers, and of the projection onto the vocabulary.
    position
        Bytes that the matrix products of the layers read and write for a position, its keys and values included.
    scored_position
        Bytes of the logits of a position, written and read once.
    """

    trunk_weights: int
    projection_weights: int
    position: int
    scored_position: int

    @classmethod
    def of(cls, scorer: CausalLMScorer) -> TrafficSize:
        """Return the sizes of a scorer's model."""
        model = scorer.model
        output = model.get_output_embeddings().weight
        embeddings = [p for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()]
        left_out = {id(output), *(id(parameter) for parameter in embeddings)}
        weights = [parameter for parameter in model.parameters() if id(parameter) not in left_out]
        ends = sum(sum(weight.shape[-2:]) * weight.element_size() for weight in weights if weight.ndim >= 2)
        return cls(
            trunk_weights=sum(weight.numel() * weight.element_size() for weight in weights),
            projection_weights=output.numel() * output.element_size(),
            position=ends + 2 * scorer.size.cache_bytes,
            scored_position=2 * output.shape[0] * output.element_size(),
        )

    def bytes_moved(self, work: ForwardWork, calls: int) -> int:
        """Return how many bytes a run has to move at least: all weights once a call, and the ends of all products.

        Parameters
        ----------
        work
            What passed through the model.
        calls
            How often the model was called; where several chains share a call it counts once.
        """
        weights = self.trunk_weights + (self.projection_weights if work.scored else 0)
        return calls * weights + work.positions * self.position + work.scored * self.scored_position


def memory_rate(device: str) -> float:
    """Measure how many bytes a second a device reads and writes when it copies a large tensor."""
    size = _COPY_ON_CPU if torch.device(device).type == "cpu" else _COPY_ON_OTHERS
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    times = []
    for _ in range(_REPETITIONS):
        synchronize(device)
        begin = time.perf_counter()
        target.copy_(source)
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return 2 * size / min(times)


def seconds_of_a_call(scorer: CausalLMScorer) -> float:
    """Return the seconds of a call that reads one position: next to no arithmetic, so its fixed cost and the weights.

    Parameters
    ----------
    scorer
        Reads packs or batches, whichever it is made for; what it reads here is counted.
    """
    decoder, times = scorer.decoder, []
    token, pool = np.zeros(1, dtype=np.int64), KeyValuePool()
    pack = Pack.of([PackRow(token, token[:0], pool.allocate(1), token[:, None])])
    ids = decoder.tensor([[0]])
    with torch.no_grad():
        for _ in range(_REPETITIONS + 1):  # the first compiles and allocates
            synchronize(scorer.device)
            begin = time.perf_counter()
            if decoder.reads_packs:
                decoder.read_pack(pack, pool)
            else:
                decoder.predict(ids, ids[..., None], None)
            synchronize(scorer.device)
            times.append(time.perf_counter() - begin)
    return min(times[1:])
