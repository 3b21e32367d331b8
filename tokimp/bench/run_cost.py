"""Measure one piece of work: seconds, calls, memory, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from tokimp.bench.matmul import synchronize
from tokimp.bench.roofline import seconds_of_a_call
from tokimp.bench.time_split import TimeSplit, time_split
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.memory import peak_memory, reset_peak_memory

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a piece of work cost.

    Attributes
    ----------
    seconds
        How long it took.
    calls
        Calls of the model; one that several chains share counts once.
    call_seconds
        The fixed cost of a call, with one reading of the weights.
    memory
        Peak memory in bytes, weights included; on systems that cannot reset the peak, since the process began.
    split
        Where the time went. On a CPU it is that of the run itself; elsewhere that of a second, slower run, which waits
        for the device after each part.
    """

    seconds: float
    calls: int
    call_seconds: float
    memory: int
    split: TimeSplit


def run_and_measure(new_scorer: Callable[[], CausalLMScorer], work: Callable[[CausalLMScorer], T]) -> tuple[T, RunCost]:
    """Do a piece of work; return what it returned, and what it cost.

    Parameters
    ----------
    new_scorer
        Returns a scorer with caches and counts of its own.
    work
        The work. On devices other than a CPU it is done twice.
    """
    call_seconds, scorer = seconds_of_a_call(new_scorer()), new_scorer()
    on_cpu = torch.device(scorer.device).type == "cpu"
    reset_peak_memory(scorer.device)
    if on_cpu:
        with time_split(scorer.decoder) as split:
            result = work(scorer)
        seconds = split.total
    else:
        begin = time.perf_counter()
        result = work(scorer)
        synchronize(scorer.device)
        seconds = time.perf_counter() - begin
    memory = peak_memory(scorer.device)
    if not on_cpu:
        again = new_scorer()
        with time_split(again.decoder) as split:
            work(again)
    return result, RunCost(seconds, scorer.work.calls, call_seconds, memory, split)
