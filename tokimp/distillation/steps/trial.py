"""A short trial of a model of a plan: how fast it writes or reads, and what memory and disk it takes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch

from tokimp.bench.matmul import synchronize
from tokimp.chains.chain import TokenizedChain
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.executor import Executor, Piece
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.distillation.steps.forecast import stand_in
from tokimp.errors import TokimpError
from tokimp.models.device import resolve_device
from tokimp.models.memory import total_memory, with_peak_memory
from tokimp.models.weight_files import bytes_of_weights

_PROMPTS, _MOST_PROMPTS = 8, 64
"""Responses that are written together in the first trial of writing, and in the last."""
_SHORT, _LONG = 8, 24
"""Tokens of these responses."""
_BUDGET = 3.0
"""Seconds after which no more responses are tried together."""
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Trial:
    """What a model did in a trial.

    Attributes
    ----------
    rate
        Tokens that it writes, or positions that it reads, in a second.
    memory
        The most bytes in use, weights included; ``None`` if that is not known.
    seconds_a_prompt
        What a response takes beside the time of its tokens: its prompt is read.
    """

    rate: float
    memory: int | None
    seconds_a_prompt: float = 0.0


def try_model(executor: Executor, recipe: ScorerRecipe, *, fetches: bool) -> Trial | str:
    """Load a model where the plan's work is done, and let it write or read a little; or return why it was not.

    Parameters
    ----------
    executor
        Of the plan, entered; one of its workers makes the trial.
    recipe
        The model.
    fetches
        Whether a model that is not here may be fetched from the hub.
    """
    try:
        if not fetches and (reason := _not_here(recipe)):
            return reason
        work = ScorerWork(recipe, _write if recipe.only_writes else _read)
        (outcome,) = results_of(executor, work, [Piece(0, f"a trial of {recipe.model}", stand_in(100, 150, 12))])
    except (TokimpError, MemoryError, torch.OutOfMemoryError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    result: Trial = outcome.result
    return result


def _not_here(recipe: ScorerRecipe) -> str:
    """Return why a model is not tried; empty if its weights are here, and no larger than the device's memory.

    Where a device map spreads them, or they are quantised, their size on disk does not say whether they fit.
    """
    size = bytes_of_weights(recipe.model)
    if size is None:
        return f"the weights of {recipe.model!r} are not here, and nothing is fetched for an estimate"
    if {"device_map", "quantization"} & set(recipe.options):
        return ""
    memory = total_memory(resolve_device(recipe.device))
    if size > memory:
        return (
            f"the weights of {recipe.model!r} are {size / _GIGABYTE:.1f} GB, and {resolve_device(recipe.device)} has "
            f"{memory / _GIGABYTE:.1f} GB"
        )
    return ""


def _write(model: Scorer, chain: TokenizedChain) -> Trial:
    def seconds_of(prompts: int, tokens: int) -> float:
        began = time.perf_counter()
        model.generate([list(chain.prompt_ids)] * prompts, max_new_tokens=tokens, temperature=1.0, seed=1)
        synchronize(model.device if model.device != "vllm" else "cpu")
        return time.perf_counter() - began

    def write() -> tuple[float, float]:
        began, count = time.perf_counter(), _PROMPTS
        # The first call compiles and allocates.
        seconds_of(count, _SHORT)
        short = seconds_of(count, _SHORT)
        # Many responses are written together, as in the plan, as long as that takes no time to try.
        while count < _MOST_PROMPTS and time.perf_counter() - began + 6 * short < _BUDGET:
            count *= 2
            short = seconds_of(count, _SHORT)
        long = seconds_of(count, _LONG)
        # Times of short trials are noisy: a token takes no less than a tenth of its share.
        a_token = max((long - short) / (_LONG - _SHORT), long / _LONG / 10) / count
        return 1 / a_token, max(0.0, short / count - _SHORT * a_token)

    (rate, a_prompt), memory = with_peak_memory(model.device, write)
    return Trial(rate, memory, a_prompt)


def _read(scorer: Scorer, chain: TokenizedChain) -> Trial:
    chains = [replace(chain, chain=replace(chain.chain, id=f"{number}")) for number in range(4)]

    def read() -> float:
        seconds = math.inf
        for _ in range(2):
            began = time.perf_counter()
            scorer.logprobs(chains)
            synchronize(scorer.device)
            seconds = time.perf_counter() - began
        return sum(map(len, chains)) / seconds

    return Trial(*with_peak_memory(scorer.device, read))
