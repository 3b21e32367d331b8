"""Where the time of a run goes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AttentionInterface

from tokimp.bench import time_split as module
from tokimp.bench.time_split import time_split
from tokimp.contracts.objective import Joint
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.packs.packed_model import PackedModel
from tokimp.testing.reference import random_chain

CHAIN = random_chain(prompt=4, reasoning=9, answer=3)
PARTS = ("trunk", "attention", "copies", "projection", "python")


def prune(own: CausalLMScorer) -> list[float]:
    """Score all deletions of one token, twice, so that stored keys and values are copied."""
    whole, candidates = tuple(range(9)), [(place,) for place in range(9)]
    own.score_deletions(CHAIN, whole, candidates, Joint())
    rest = own.score_deletions(CHAIN, whole[1:], [(place,) for place in range(1, 9)], Joint())
    return [float(value) for value in rest.objective]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_every_part_of_a_run_is_timed_in_either_reading(
    random_scorer: Callable[..., CausalLMScorer], architecture: str, packed: bool
) -> None:
    """Layers, attention, copies, projection and Python all take time, and the numbers are those of an untimed run."""
    scorer = random_scorer(architecture, packed=packed)
    expected = prune(scorer.reusing(reuse_kv=True))
    own = scorer.reusing(reuse_kv=True)
    with time_split(own.decoder) as split:
        numbers = prune(own)
    assert numbers == pytest.approx(expected, abs=1e-6)
    assert all(getattr(split, part) > 0 for part in PARTS)
    assert split.total == pytest.approx(sum(getattr(split, part) for part in PARTS))


class Ticks:
    """A clock on which every reading of it takes one second, and nothing else takes any time."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Return the seconds so far."""
        self.now += 1.0
        return self.now


def test_time_inside_another_part_counts_once(monkeypatch: pytest.MonkeyPatch, scorer: CausalLMScorer) -> None:
    """The parts add up to all seconds between the first and the last look at the clock, and none is counted twice."""
    ticks = Ticks()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=ticks.perf_counter))
    with time_split(scorer.reusing(reuse_kv=True).decoder) as split:
        clock = module._Clock(split, "cpu")
        inner: Callable[[], Any] = clock.timed("attention", lambda: None)
        outer = clock.timed("trunk", lambda: (inner(), inner()))
        outer()
    # Looks at the clock: begin; outer begins; inner begins, ends; inner begins, ends; outer ends; end.
    assert (split.trunk, split.attention, split.python) == (3.0, 2.0, 2.0)
    assert split.total == ticks.now - 1.0


def test_functions_are_put_back_after_an_error(scorer: CausalLMScorer) -> None:
    """What was replaced for the measurement is as before, also where the run fails."""
    own = scorer.reusing(reuse_kv=True)
    head = own.decoder._plain.get_output_embeddings()
    before = AttentionInterface.get_interface, PackedModel.hidden, dict(vars(head))
    replaced: list[bool] = []

    def fail() -> None:
        with time_split(own.decoder):
            replaced.append(PackedModel.hidden is not before[1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert replaced == [True]
    assert (AttentionInterface.get_interface, PackedModel.hidden, dict(vars(head))) == before


class PretendedGpu:
    """A GPU that computes later: a launch returns at once, and its seconds pass when somebody waits for the device."""

    def __init__(self) -> None:
        self.now, self.waiting = 0.0, 0.0

    def perf_counter(self) -> float:
        """Return the seconds so far."""
        return self.now

    def launch(self, seconds: float) -> None:
        """Give the device work for so many seconds."""
        self.waiting += seconds

    def synchronize(self, device: str) -> None:
        """Wait until the device has done its work."""
        self.now, self.waiting = self.now + self.waiting, 0.0


def test_on_a_gpu_time_counts_where_the_work_was_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part waits for the device, so that seconds of a part do not pass in the part that happens to wait next."""
    gpu = PretendedGpu()

    class Work:
        def layer(self) -> None:
            gpu.launch(2.0)
            self.attention()
            gpu.launch(1.0)

        def attention(self) -> None:
            gpu.launch(5.0)

        def project(self) -> None:
            gpu.launch(4.0)

    monkeypatch.setattr(torch.cuda, "synchronize", gpu.synchronize)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=gpu.perf_counter))
    timed = ((Work, "layer", "trunk"), (Work, "attention", "attention"), (Work, "project", "projection"))
    monkeypatch.setattr(module, "_TIMED", timed)
    decoder: Any = SimpleNamespace(device="cuda:0", _plain=None, packed=None)
    gpu.launch(8.0)  # begun before the measurement, so no part of it
    with time_split(decoder) as split:
        work = Work()
        for _ in range(2):
            work.layer()
            gpu.now += 0.5  # Python on the CPU
            work.project()
    assert (split.trunk, split.attention, split.projection, split.copies) == (6.0, 10.0, 8.0, 0.0)
    assert split.python == pytest.approx(1.0)
    assert split.total == pytest.approx(25.0)
