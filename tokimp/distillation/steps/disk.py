"""What the steps of a plan keep on disk, as far as it is known before they run and without loading a model."""

from __future__ import annotations

import torch

from tokimp.bench.forecast import bytes_of_result
from tokimp.distillation.plan.plan import Plan
from tokimp.errors import TokimpError
from tokimp.models.device import resolve_device
from tokimp.models.weight_files import bytes_of_weights, numbers_in_weights

CHARACTERS_A_TOKEN = 4.0
"""Characters of a question for each token: a common rule for English, since no tokenizer is loaded."""
_TIMES_KEPT = 2
"""A response is kept as it was written, and in the file of its kind."""
_BYTES_OF_KEYS = 120
"""What the record of a text holds beside texts."""
_BYTES_A_CELL, _BYTES_A_UNPRUNED_CHAIN, _BYTES_A_TOKEN = 900, 300, 4


def bytes_of_response(response: float, question: float = 0.0) -> float:
    """Return about what is kept of a response.

    Parameters
    ----------
    response
        Its tokens.
    question
        The tokens of the question, if it is kept with the response.
    """
    return _BYTES_OF_KEYS + CHARACTERS_A_TOKEN * (_TIMES_KEPT * response + question)


def bytes_of_ranking(plan: Plan, chains: int, prompt: float, reasoning: float, answer: float) -> float:
    """Return about what the ranking of chains takes: cells, ``results.nc``, and the chains cut to each keep ratio.

    Parameters
    ----------
    plan
        The plan.
    chains
        How many chains are ranked.
    prompt, reasoning, answer
        Their mean numbers of tokens.
    """
    cells = chains * (_BYTES_A_CELL + _BYTES_A_UNPRUNED_CHAIN + _BYTES_A_TOKEN * (2 * reasoning + answer))
    texts = chains * CHARACTERS_A_TOKEN * (prompt + 2 * reasoning)
    cut = sum(
        chains * (_BYTES_OF_KEYS + CHARACTERS_A_TOKEN * (prompt + ratio * reasoning + answer))
        for ratio in plan.keep_ratios
    )
    return cells + bytes_of_result(chains * reasoning, texts, estimators=1) + cut


def bytes_of_students(plan: Plan, trainings: int) -> float | None:
    """Return what the folders of trained students keep: their weights; ``None`` if their size is not known here.

    A plan that does not keep its students deletes each once it is evaluated, and keeps next to nothing.
    """
    if not plan.keep_models:
        return 0.0
    sizes = [_bytes_of_student(plan, spec.model) for spec in plan.students]
    known = [size for size in sizes if size is not None]
    return trainings * sum(known) / len(sizes) if len(known) == len(sizes) else None


def _bytes_of_student(plan: Plan, model: str) -> float | None:
    settings = plan.train
    try:
        on_cpu = resolve_device(settings.device) == "cpu"
        if settings.dtype == "auto" and settings.lora is not None and not on_cpu:
            # Adapters are trained on the weights as they are.
            return bytes_of_weights(model)
        numbers = numbers_in_weights(model)
    except TokimpError:
        return None
    dtype = torch.float32 if settings.dtype == "auto" else getattr(torch, settings.dtype)
    return None if numbers is None else float(numbers * dtype.itemsize)
