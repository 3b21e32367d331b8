"""Continuations of prompts, by transformers' own ``generate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from tokimp.contracts.context_length import check_prompt_fits
from tokimp.errors import ScorerError
from tokimp.models.batching import PositionBudget, batches_by_length, run_within_memory, split_list


class Generating(Protocol):
    """What a model is generated with: its tokenizer, its limits, where its tensors are, and the count of positions."""

    tokenizer: Any
    model_id: str
    device: str
    context_length: int | None
    end_tokens: list[int]
    budget: PositionBudget
    tokens_forwarded: int

    def tensor(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return ids as a tensor on the model's device, [row, position]."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One continuation to write."""

    prompt: int
    repeat: int
    ids: tuple[int, ...]


def continue_prompts(
    scorer: Generating,
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    n: int,
    temperature: float,
    seed: int,
) -> list[list[str]]:
    """Continue each prompt `n` times; parameters as of `tokimp.contracts.scorer.Scorer.generate`.

    Raises
    ------
    ScorerError
        If a prompt is empty or fills the model's context, or a parameter makes no sense.
    """
    if max_new_tokens < 1 or n < 1 or temperature < 0:
        given = f"{max_new_tokens}, {n} and {temperature}"
        raise ScorerError(f"generation needs max_new_tokens >= 1, n >= 1 and temperature >= 0, not {given}")
    repeats = n if temperature else 1
    groups: dict[int, list[_Row]] = {}
    for index, prompt in enumerate(prompts):
        room = _room(scorer, index, prompt, max_new_tokens)
        groups.setdefault(room, []).extend(_Row(index, repeat, tuple(prompt)) for repeat in range(repeats))
    texts: dict[tuple[int, int], str] = {}
    # Rows of a batch may write equally many tokens, so that none is led past its context by another.
    with torch.no_grad():
        for room, rows in groups.items():
            texts |= _write(scorer, model, rows, room, temperature=temperature, seed=seed)
    # All greedy continuations of a prompt are one and the same.
    return [[texts[index, repeat % repeats] for repeat in range(n)] for index in range(len(prompts))]


def take_end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end a text, and rid the model of all its other settings for generation.

    ``generate`` fills in whatever it is not told from the checkpoint's own settings: a repetition penalty there would
    change what "the most likely token" is.
    """
    found: list[int] = []
    for source in (model.generation_config, model.config.get_text_config(decoder=True), tokenizer):
        token = getattr(source, "eos_token_id", None)
        found += token if isinstance(token, list) else [] if token is None else [token]
    model.generation_config = _settings()
    return sorted(set(found))


class _GumbelNoise(LogitsProcessor):
    """Turns taking the highest score into sampling from softmax(scores / temperature), one generator a row.

    Adding Gumbel noise and taking the maximum is sampling (Gumbel 1954). A generator for each row makes a row's text
    independent of the batch it is in, which the sampling in ``generate`` does not.
    """

    def __init__(self, generators: list[torch.Generator], temperature: float) -> None:
        self._generators = generators
        self._temperature = temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        waits = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
        for row, generator in zip(waits, self._generators, strict=True):
            row.exponential_(generator=generator)
        # Minus the logarithm of an exponential variable is Gumbel noise.
        return scores.float() / self._temperature - waits.clamp_min(torch.finfo(torch.float32).tiny).log()


def _write(
    scorer: Generating, model: Any, rows: Sequence[_Row], room: int, *, temperature: float, seed: int
) -> dict[tuple[int, int], str]:
    texts: dict[tuple[int, int], str] = {}
    lengths = [len(row.ids) + room for row in rows]

    def run(batch: list[int]) -> None:
        chosen = [rows[index] for index in batch]
        processors = LogitsProcessorList()
        if temperature:
            # Python mixes a tuple of integers the same way in every process.
            seeds = [hash((seed, row.prompt, row.repeat)) % 2**63 for row in chosen]
            generators = [torch.Generator(device=scorer.device).manual_seed(number) for number in seeds]
            processors.append(_GumbelNoise(generators, temperature))
        for row, ids in zip(chosen, _generate(scorer, model, chosen, room, processors), strict=True):
            texts[row.prompt, row.repeat] = scorer.tokenizer.decode(ids, skip_special_tokens=True)

    run_within_memory(
        batches_by_length(lengths, scorer.budget.positions),
        run,
        split=split_list,
        positions=lambda batch: len(batch) * max(lengths[index] for index in batch),
        budget=scorer.budget,
    )
    return texts


def _generate(
    scorer: Generating, model: Any, rows: Sequence[_Row], room: int, processors: LogitsProcessorList
) -> list[list[int]]:
    width = max(len(row.ids) for row in rows)
    end = scorer.end_tokens
    own = scorer.tokenizer.pad_token_id
    pad = own if own is not None else (end or [0])[0]
    gaps = [width - len(row.ids) for row in rows]
    ids = scorer.tensor([[pad] * gap + list(row.ids) for gap, row in zip(gaps, rows, strict=True)])
    mask = scorer.tensor([[0] * gap + [1] * (width - gap) for gap in gaps])
    settings = _settings(max_new_tokens=room, do_sample=False, num_beams=1, eos_token_id=end or None, pad_token_id=pad)
    out = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings, logits_processor=processors)
    new = out[:, width:]
    # The last token that is written is not read again.
    scorer.tokens_forwarded += ids.numel() + len(rows) * (new.shape[1] - 1)
    return [_until(row, end) for row in new.tolist()]


def _until(ids: list[int], end: Sequence[int]) -> list[int]:
    return ids[: min((index for index, token in enumerate(ids) if token in end), default=len(ids))]


def _settings(**fields: Any) -> GenerationConfig:
    return GenerationConfig(**fields)  # type: ignore[no-untyped-call] # transformers leaves its __init__ untyped


def _room(scorer: Generating, index: int, prompt: Sequence[int], wanted: int) -> int:
    if not prompt:
        raise ScorerError(f"prompt {index} has no tokens; give it at least one")
    check_prompt_fits(f"prompt {index}", len(prompt), scorer)
    return wanted if scorer.context_length is None else min(wanted, scorer.context_length - len(prompt))
