"""Attention knockout: what a chain is worth when later tokens cannot attend to part of its reasoning.

Nothing is deleted and nothing moves: every token keeps its place and its own computation, and only attention from
later tokens to the hidden ones is taken away, in every layer and head (Geva et al. 2023, "Dissecting recall of factual
associations in auto-regressive language models", section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Ids, TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.batching import run_within_memory, split_list

if TYPE_CHECKING:
    from tokimp.models.decoder import Decoder


def pairs_to_cut(length: int, hidden: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return which pairs of positions lose their attention, [row, query, key].

    Parameters
    ----------
    length
        Of the sequence, in tokens.
    hidden
        For each row the positions that are hidden. A query that comes after one of them and is not hidden itself
        cannot attend to it; hidden positions attend to each other as ever.

    Examples
    --------
    >>> pairs_to_cut(4, [[1, 2]])[0].int().tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    """
    is_hidden = torch.zeros(len(hidden), length, dtype=torch.bool)
    for row, positions in enumerate(hidden):
        is_hidden[row, list(positions)] = True
    later = torch.ones(length, length, dtype=torch.bool).tril(-1)
    return is_hidden[:, None, :] & ~is_hidden[:, :, None] & later


def cut_from_mask(mask: torch.Tensor | None, cut: torch.Tensor) -> torch.Tensor:
    """Return an attention mask of transformers, [row, 1, query, key], without the pairs that are to be cut.

    Parameters
    ----------
    mask
        As an attention module is given it: added to the scores (floating point), or true where attention is allowed,
        or ``None`` for what is causal and no more (torch's fused attention).
    cut
        [row, query, key], over the whole sequence.
    """
    pairs = cut[:, None]
    if mask is None:
        return torch.ones_like(pairs).tril() & ~pairs
    if mask.dtype == torch.bool:
        return mask & ~pairs
    return mask.masked_fill(pairs, torch.finfo(mask.dtype).min)


def honours_cuts(forward: Callable[..., torch.Tensor], model: Any, device: str, **inputs: Any) -> bool:
    """Tell whether cutting attention to a token hides it: whether what comes later no longer depends on its id.

    A backend's hook may be shown attention without being able to change it, and layers without attention (recurrent
    ones, convolutions) pass a token on by other ways. So it is tried, on nine tokens, one of them in two versions.

    Parameters
    ----------
    forward
        Returns logits for ids and the pairs to cut, as `tokimp.models.decoder.Decoder` describes; with `inputs`.
    model, device
        The model behind it, and where it is.
    """
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(3, 12, device=device).remainder(size)[None]
    other = ids.clone()
    other[0, 3] = (ids[0, 3] + size // 2).remainder(size)
    cut = pairs_to_cut(9, [[3]]).to(device)
    with torch.no_grad():
        try:
            later, changed = (forward(each, cut, **inputs)[0, 4:].float() for each in (ids, other))
        # A model whose attention is of another kind fails in ways of its own.
        except (
            UnsupportedError,
            AttributeError,
            IndexError,
            KeyError,
            NotImplementedError,
            RuntimeError,
            TypeError,
            ValueError,
        ):
            return False
        # A model of experts may send neighbours elsewhere in half precision; what leaks is of the spread's own size.
        tolerance = 2e-2 if model.dtype.itemsize == 2 else 1e-4
        spread = (later - later.mean(dim=-1, keepdim=True)).norm()
        return bool((changed - later).norm() <= tolerance * spread)


def score_knockouts(
    scorer: Decoder, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
) -> FloatArray:
    """Return the objective of the full chain after each knockout, [knockout]; see `Scorer.score_knockouts`.

    Each knockout is a whole sequence passed through the model; the rows of a batch have one length.
    """
    check_hidden(chain, hidden)
    begin, reasoning = len(chain.prompt_ids), len(chain.reasoning_ids)
    answers = [chain.answer_ids]
    if Span.WRONG_ANSWER in objective.spans and chain.wrong_answer_ids is not None:
        answers.append(chain.wrong_answer_ids)
    reads_reasoning = Span.REASONING in objective.spans
    found = np.empty(len(hidden), dtype=np.float64)

    def logprobs(rows: list[int], answer: Ids, scored: int) -> torch.Tensor:
        ids = (*chain.prompt_ids, *chain.reasoning_ids, *answer)
        read, after = scorer.tensor([ids[:-1]] * len(rows)), scorer.tensor([ids[-scored:]] * len(rows))
        cut = pairs_to_cut(len(ids) - 1, [[begin + position for position in hidden[row]] for row in rows])
        return scorer.predict_cut(read, cut.to(read.device), after).cpu()

    def run(rows: list[int]) -> None:
        count = len(chain.answer_ids)
        first = logprobs(rows, answers[0], count + (reasoning if reads_reasoning else 0))
        kept = first[:, :-count] if reads_reasoning else torch.full((len(rows), reasoning), torch.nan)
        wrong = logprobs(rows, answers[1], len(answers[1])) if len(answers) > 1 else None
        found[rows] = objective.evaluate(LogprobTensors(kept, first[:, -count:], wrong)).numpy()

    length = begin + reasoning + max(map(len, answers)) - 1
    most = max(1, min(scorer.budget.positions, scorer.most_scored_positions) // length)
    with torch.no_grad():
        run_within_memory(
            [list(range(len(hidden)))[first : first + most] for first in range(0, len(hidden), most)],
            run,
            split=split_list,
            positions=lambda rows: len(rows) * length,
            budget=scorer.budget,
        )
    return found


def check_hidden(chain: TokenizedChain, hidden: Sequence[Sequence[int]]) -> None:
    """Raise `ScorerError` unless every knockout names positions of reasoning tokens, each once."""
    length = len(chain.reasoning_ids)
    for index, positions in enumerate(hidden):
        if len(set(positions)) < len(positions) or not all(0 <= position < length for position in positions):
            raise ScorerError(
                f"{chain.chain.where}: knockout {index} {tuple(positions)} must name reasoning tokens "
                f"(0 to {length - 1}), each once"
            )
