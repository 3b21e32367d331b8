"""Continue prompts with transformers' own ``generate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from tokimp.contracts.context_length import check_prompt_fits
from tokimp.errors import ScorerError
from tokimp.models.batching import PositionBudget, batches_by_length, run_within_memory, split_list
from tokimp.models.rotary_switch import RotarySwitch
from tokimp.models.writing_manner import WritingManner, settings


class Generating(Protocol):
    """What `continue_prompts` needs to know: tokenizer, device, limits, and where to count token positions."""

    tokenizer: Any
    model_id: str
    device: str
    context_length: int | None
    end_tokens: list[int]
    budget: PositionBudget
    tokens_forwarded: int
    rotary: RotarySwitch
    writing: WritingManner

    def tensor(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return ids as a tensor on the model's device, [row, position]."""


class Writes(Protocol):
    """What continues ids: a transformers model, or the backend that runs it."""

    def generate(self, **inputs: Any) -> torch.Tensor:
        """Return the ids that `transformers` generates, [row, position]."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One continuation to write."""

    prompt: int
    repeat: int
    ids: tuple[int, ...]


def continue_prompts(
    scorer: Generating,
    model: Writes,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    n: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> list[list[str]]:
    """Continue each prompt `n` times.

    Parameters
    ----------
    scorer
        The tokenizer, the device and the limits; its count of positions is raised.
    model
        The transformers model, or the backend that runs it.
    prompts, max_new_tokens, n, temperature, top_p, seed
        As for `tokimp.contracts.scorer.Scorer.generate`.

    Raises
    ------
    ScorerError
        If a prompt is empty or fills the model's context, or a number is too low.
    """
    if max_new_tokens < 1 or n < 1 or temperature < 0:
        values = f"{max_new_tokens}, {n} and {temperature}"
        raise ScorerError(f"generation needs max_new_tokens >= 1, n >= 1 and temperature >= 0, not {values}")
    if not 0 < top_p <= 1:
        raise ScorerError(f"top_p={top_p} is not allowed; give a probability above 0, at most 1")
    repeats = n if temperature else 1
    groups: dict[tuple[int, int], list[_Row]] = {}
    for index, prompt in enumerate(prompts):
        room = _room(scorer, index, prompt, max_new_tokens)
        # Prompts of unequal length are padded, if the model allows it and no row can cross the border of its rotary
        # factors: the padding would count as length. The last token of a text is written, but not read.
        pads = scorer.writing.pads and scorer.rotary.side(len(prompt) + room - 1) == 0
        rows = groups.setdefault((room, 0 if pads else len(prompt)), [])
        rows.extend(_Row(index, repeat, tuple(prompt)) for repeat in range(repeats))
    texts: dict[tuple[int, int], str] = {}
    # All rows of a batch may write the same number of tokens, so that no row is carried past the model's context.
    with torch.no_grad():
        for (room, _), rows in groups.items():
            texts |= _write(scorer, model, rows, room, temperature=temperature, top_p=top_p, seed=seed)
    # Without sampling, all continuations of a prompt are equal, so one was written.
    return [[texts[index, repeat % repeats] for repeat in range(n)] for index in range(len(prompts))]


def take_end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end a text, and clear all other settings for generation from the model.

    ``generate`` takes what it is not told from the settings of the checkpoint. A repetition penalty there, for
    example, would change which token is the most likely one.
    """
    end_tokens: list[int] = []
    for source in (model.generation_config, model.config.get_text_config(decoder=True), tokenizer):
        token = getattr(source, "eos_token_id", None)
        end_tokens += token if isinstance(token, list) else [] if token is None else [token]
    model.generation_config = settings()
    return sorted(set(end_tokens))


class _GumbelNoise(LogitsProcessor):
    """Noise on the scores that turns taking the highest one into sampling from softmax(scores / temperature).

    Adding Gumbel noise and taking the maximum is a way to sample (Gumbel 1954). Each row has its own random generator,
    so its text does not depend on the batch it is in. With the sampling of ``generate`` itself it does.
    """

    def __init__(self, generators: list[torch.Generator], temperature: float, top_p: float) -> None:
        self._generators = generators
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        waits = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
        for row, generator in zip(waits, self._generators, strict=True):
            row.exponential_(generator=generator)
        chosen = scores.float() / self._temperature
        if self._top_p < 1:
            chosen = within_nucleus(chosen, self._top_p)
        # Minus the logarithm of an exponential random number is Gumbel noise.
        return chosen - waits.clamp_min(torch.finfo(torch.float32).tiny).log()


def within_nucleus(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return scores in which all tokens outside the nucleus are minus infinity.

    The nucleus is the fewest most likely tokens whose probabilities, the softmax of the scores, add up to `top_p`. Of
    equally likely tokens those with lower ids come first (transformers' own nucleus leaves open which), so that a
    nucleus of one token is the one that is taken without sampling.

    Parameters
    ----------
    scores
        Divided by the temperature, [row, token], float32.
    top_p
        Above 0, below 1.
    """
    in_order, tokens = scores.sort(dim=-1, descending=True, stable=True)
    probabilities = in_order.softmax(dim=-1)
    # A token is outside if those before it have the probability already; the first token is never outside.
    outside = probabilities.cumsum(dim=-1) - probabilities >= top_p
    outside[..., 0] = False
    return scores.masked_fill(torch.zeros_like(outside).scatter(-1, tokens, outside), -torch.inf)


def _write(
    scorer: Generating, model: Writes, rows: Sequence[_Row], room: int, *, temperature: float, top_p: float, seed: int
) -> dict[tuple[int, int], str]:
    texts: dict[tuple[int, int], str] = {}
    lengths = [len(row.ids) + room for row in rows]

    def run(batch: list[int]) -> None:
        chosen = [rows[index] for index in batch]
        processors = LogitsProcessorList()
        if temperature:
            # Python hashes a tuple of integers to the same number in every process.
            seeds = [hash((seed, row.prompt, row.repeat)) % 2**63 for row in chosen]
            generators = [torch.Generator(device=scorer.device).manual_seed(number) for number in seeds]
            processors.append(_GumbelNoise(generators, temperature, top_p))
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
    scorer: Generating, model: Writes, rows: Sequence[_Row], room: int, processors: LogitsProcessorList
) -> list[list[int]]:
    width = max(len(row.ids) for row in rows)
    end = scorer.end_tokens
    tokenizer_pad = scorer.tokenizer.pad_token_id
    pad = tokenizer_pad if tokenizer_pad is not None else (end or [0])[0]
    gaps = [width - len(row.ids) for row in rows]
    ids = scorer.tensor([[pad] * gap + list(row.ids) for gap, row in zip(gaps, rows, strict=True)])
    mask = scorer.tensor([[0] * gap + [1] * (width - gap) for gap in gaps])
    for count in _parts(scorer, width, room):
        chosen = settings(
            max_new_tokens=count,
            do_sample=False,
            num_beams=1,
            eos_token_id=end or None,
            pad_token_id=pad,
            use_cache=scorer.writing.caches,
        )
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=chosen, logits_processor=processors)
        written = out.shape[1] - ids.shape[1]
        scorer.tokens_forwarded += _positions_read(len(rows), ids.shape[1], written, cached=scorer.writing.caches)
        mask = torch.cat([mask, mask.new_ones(len(rows), written)], dim=1)
        ids = out
        if all(len(_until(row, end)) < len(row) for row in ids[:, width:].tolist()):
            break
    return [_until(row, end) for row in ids[:, width:].tolist()]


def _parts(scorer: Generating, width: int, room: int) -> list[int]:
    """Return how many tokens to write in each of one or two parts.

    Where the rotary factors change on the way, the second part reads everything anew with the factors of the longer
    sequence. The token after a sequence of exactly the border's length is the last one of the first part.
    """
    border = scorer.rotary.border
    if border is None or width > border or width + room - 1 <= border:
        return [room]
    first = border + 1 - width
    return [first, room - first]


def _positions_read(rows: int, length: int, written: int, *, cached: bool) -> int:
    """Return the token positions that pass through the model for some texts; each last token is not read."""
    if cached:
        return rows * (length + written - 1)
    return rows * sum(range(length, length + written))


def _until(ids: list[int], end: Sequence[int]) -> list[int]:
    return ids[: min((index for index, token in enumerate(ids) if token in end), default=len(ids))]


def _room(scorer: Generating, index: int, prompt: Sequence[int], wanted: int) -> int:
    if not prompt:
        raise ScorerError(f"prompt {index} has no tokens; give it at least one")
    check_prompt_fits(f"prompt {index}", len(prompt), scorer)
    return wanted if scorer.context_length is None else min(wanted, scorer.context_length - len(prompt))
