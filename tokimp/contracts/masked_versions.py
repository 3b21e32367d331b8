"""Versions of a chain in which another token stands in the place of some, and their scores from log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.errors import ScorerError

if TYPE_CHECKING:  # the contract imports this module
    from tokimp.contracts.scorer import Scorer, SpanLogprobs


def score_masked_versions(
    scorer: Scorer, chain: TokenizedChain, masked: Sequence[Sequence[int]], replacement: int, objective: Objective
) -> FloatArray:
    """Return objective, reasoning and answer of versions of a chain whose masked tokens are replaced, [3, version].

    They come from the versions' log-probabilities. Parameters and errors are those of
    `tokimp.contracts.scorer.Scorer.score_masks`.
    """
    objective.check(chain)
    length = len(chain.reasoning_ids)
    kept = []
    for index, positions in enumerate(masked):
        gone = set(positions)
        if len(gone) < len(positions) or not all(0 <= position < length for position in gone):
            raise ScorerError(
                f"{chain.chain.where}: mask {index} {tuple(positions)} must name reasoning tokens (0 to {length - 1}), "
                "each once"
            )
        kept.append([position for position in range(length) if position not in gone])
    versions = [with_replaced(chain, positions, replacement) for positions in masked]
    spans = scorer.logprobs(versions)
    wrong: list[SpanLogprobs] = []
    if Span.WRONG_ANSWER in objective.spans:
        wrong = scorer.logprobs([replace(version, answer_ids=chain.wrong_answer_ids or ()) for version in versions])
    scores = np.empty((3, len(masked)))
    for index, (span, left) in enumerate(zip(spans, kept, strict=True)):
        tensors = LogprobTensors(
            torch.from_numpy(np.asarray(span.reasoning)[left][None]),
            torch.from_numpy(np.asarray(span.answer)[None]),
            torch.from_numpy(np.asarray(wrong[index].answer)[None]) if wrong else None,
            chain.answer_value,
        )
        scores[0, index] = float(objective.evaluate(tensors)[0])
        scores[1, index] = np.sum(span.reasoning[left], dtype=np.float64)
        scores[2, index] = np.sum(span.answer, dtype=np.float64)
    return scores


def with_replaced(chain: TokenizedChain, positions: Sequence[int], replacement: int) -> TokenizedChain:
    """Return a chain in which another id stands at some positions of its reasoning."""
    ids = list(chain.reasoning_ids)
    for position in positions:
        ids[position] = replacement
    return replace(chain, reasoning_ids=tuple(ids))
