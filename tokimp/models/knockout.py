"""Attention knockout: score a chain while later tokens cannot attend to a part of its reasoning.

Nothing is deleted, and no token moves. Every token keeps its position and its own computation. Only the attention from
later tokens to the hidden ones is cut, in every layer and head (Geva et al. 2023, "Dissecting recall of factual
associations in auto-regressive language models", section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Ids, TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer_inside import CutQueries
from tokimp.errors import ScorerError
from tokimp.models.backend import Backend
from tokimp.models.batching import run_within_memory, split_list
from tokimp.models.inside_passes import logits_with_cuts
from tokimp.models.token_logprobs import token_logprobs
from tokimp.models.trial import differ, passes

if TYPE_CHECKING:
    from tokimp.models.decoder import Decoder


def pairs_to_cut(length: int, hidden: Sequence[Sequence[int]], queries: CutQueries = "later") -> torch.Tensor:
    """Return which pairs of positions lose their attention, [row, query, key].

    Parameters
    ----------
    length
        Length of the sequence, in tokens.
    hidden
        For each row, the positions that are hidden. A query that comes after a hidden position, and is not hidden
        itself, cannot attend to it.
    queries
        ``later``: hidden positions attend to each other as before. ``all``: they cannot attend to each other, nor to
        themselves.

    Examples
    --------
    >>> pairs_to_cut(4, [[1, 2]])[0].int().tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    """
    is_hidden = torch.zeros(len(hidden), length, dtype=torch.bool)
    for row, positions in enumerate(hidden):
        is_hidden[row, list(positions)] = True
    if queries == "all":
        return is_hidden[:, None, :] & torch.ones(length, length, dtype=torch.bool).tril()
    later = torch.ones(length, length, dtype=torch.bool).tril(-1)
    return is_hidden[:, None, :] & ~is_hidden[:, :, None] & later


def cut_from_mask(mask: torch.Tensor | None, cut: torch.Tensor) -> torch.Tensor:
    """Return an attention mask of transformers, [row, 1, query, key], that also forbids the pairs to cut.

    Parameters
    ----------
    mask
        The mask that an attention module receives: numbers that are added to the scores, or true where attention is
        allowed, or ``None`` for plain causal attention (torch's fused kernels).
    cut
        True where a query may not attend to a key, [row, query, key], over the whole sequence.
    """
    pairs = cut[:, None]
    if mask is None:
        mask = torch.ones_like(pairs[:1]).tril()
    if mask.dtype == torch.bool:
        return mask & ~spared(mask, pairs)
    least = torch.finfo(mask.dtype).min
    return mask.masked_fill(spared(mask > least / 2, pairs), least)


def spared(visible: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Return the pairs to cut less those of queries that would see nothing at all, whose softmax would be 0/0.

    Parameters
    ----------
    visible
        True where a query sees a key, [row, head, query, key].
    pairs
        True where that is to end, of a shape that goes with it.
    """
    sees_more = (visible & ~pairs).any(dim=-1, keepdim=True)
    return pairs & sees_more


def honours_cuts(backend: Backend, ids: torch.Tensor) -> bool:
    """Return whether cutting attention to a token hides it, so that later predictions do not depend on its id.

    It may not: a backend's hook may see attention without being able to change it, and layers without attention
    (recurrent ones, convolutions) pass information on in other ways. So it is tried out, with two different ids for the
    hidden token and another row beside. Cutting nothing must give the model's own predictions.

    Parameters
    ----------
    backend
        Runs the model.
    ids
        What it is tried on, [1, position].
    """
    size, length, hidden = backend.model.get_input_embeddings().weight.shape[0], ids.shape[1], ids.shape[1] - 6
    other = ids.clone()
    other[0, hidden] = (ids[0, hidden] + size // 2).remainder(size)
    cut = pairs_to_cut(length, [[hidden], [], [hidden]]).to(ids.device)

    def hides() -> bool:
        whole = backend.forward(ids, use_cache=False)[0]
        later, uncut, changed = backend.forward_cut(torch.cat([ids, ids, other]), cut, use_cache=False)
        later, changed = later[hidden + 1 :].float(), changed[hidden + 1 :].float()
        # In half precision, a mixture of experts may send other tokens to other experts, which is allowed for. A token
        # that is not hidden changes later logits by as much as their spread.
        itemsize = backend.model.dtype.itemsize
        tolerance = 2e-2 if itemsize == 2 else 1e-4
        spread = (later - later.mean(dim=-1, keepdim=True)).norm()
        return bool((changed - later).norm() <= tolerance * spread) and not differ(uncut, whole, itemsize)

    with torch.no_grad():
        return passes(hides)


def score_knockouts(
    decoder: Decoder, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
) -> FloatArray:
    """Return the objective of the full chain for each knockout, [knockout]; see `Scorer.score_knockouts`.

    Each knockout passes the whole sequence through the model. All sequences have one length, so they need no padding.

    Raises
    ------
    ScorerError
        If a knockout names something else than reasoning tokens, or one sequence does not fit in memory.
    """
    check_hidden(chain, hidden)
    n_prompt, n_reasoning, n_answer = len(chain.prompt_ids), len(chain.reasoning_ids), len(chain.answer_ids)
    answers = [chain.answer_ids]
    if Span.WRONG_ANSWER in objective.spans and chain.wrong_answer_ids is not None:
        answers.append(chain.wrong_answer_ids)
    reads_reasoning = Span.REASONING in objective.spans
    values = np.empty(len(hidden), dtype=np.float64)

    def read(knockouts: list[int], answer: Ids, scored: int) -> torch.Tensor:
        """Return the log-probabilities of the last `scored` tokens, [knockout, token]."""
        ids = (*chain.prompt_ids, *chain.reasoning_ids, *answer)
        # The last token predicts nothing and is not read.
        input_ids = decoder.tensor([ids[:-1]] * len(knockouts))
        tokens = decoder.tensor([ids[-scored:]] * len(knockouts))
        hidden_positions = [[n_prompt + position for position in hidden[knockout]] for knockout in knockouts]
        cut = pairs_to_cut(len(ids) - 1, hidden_positions)
        logits = logits_with_cuts(decoder, input_ids, cut.to(input_ids.device), scored)
        return token_logprobs(logits, tokens[..., None])[..., 0].float().cpu()

    def run(knockouts: list[int]) -> None:
        logprobs = read(knockouts, answers[0], n_answer + (n_reasoning if reads_reasoning else 0))
        reasoning = torch.full((len(knockouts), n_reasoning), torch.nan)
        if reads_reasoning:
            reasoning = logprobs[:, :-n_answer]
        wrong = read(knockouts, answers[1], len(answers[1])) if len(answers) > 1 else None
        spans = LogprobTensors(reasoning, logprobs[:, -n_answer:], wrong, chain.answer_value)
        values[knockouts] = objective.evaluate(spans).numpy()

    length = n_prompt + n_reasoning + max(map(len, answers)) - 1
    max_rows = max(1, min(decoder.budget.positions, decoder.most_scored_positions) // length)
    with torch.no_grad():
        run_within_memory(
            [list(range(len(hidden)))[first : first + max_rows] for first in range(0, len(hidden), max_rows)],
            run,
            split=split_list,
            positions=lambda knockouts: len(knockouts) * length,
            budget=decoder.budget,
        )
    return values


def check_hidden(chain: TokenizedChain, hidden: Sequence[Sequence[int]]) -> None:
    """Check that every knockout names positions of reasoning tokens, each once; raise `ScorerError` if not."""
    length = len(chain.reasoning_ids)
    for index, positions in enumerate(hidden):
        if len(set(positions)) < len(positions) or not all(0 <= position < length for position in positions):
            raise ScorerError(
                f"{chain.chain.where}: knockout {index} {tuple(positions)} must name reasoning tokens "
                f"(0 to {length - 1}), each once"
            )
