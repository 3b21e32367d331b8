"""Score every row of a step as a whole sequence, for models whose state cannot be cut back to a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tokimp.chains.arrays import IntArray
from tokimp.contracts.objective import LogprobTensors
from tokimp.models.batching import run_within_memory
from tokimp.models.deletion.plan import DeletionBatch, plan_deletions
from tokimp.models.deletion.step import DeletionStep

if TYPE_CHECKING:
    from tokimp.models.decoder import Decoder


def score_from_scratch(decoder: Decoder, step: DeletionStep) -> None:
    """Read every row of a step from its first token, and store its scores in the step.

    Raises
    ------
    ScorerError
        If a single row does not fit in memory.
    """
    prompt_length, answer_length = len(step.prompt), len(step.answer)

    def read(positions: IntArray, answer: IntArray) -> torch.Tensor:
        """Return log-probabilities, [row, token], of the answer and, where it is needed, of the reasoning before it."""
        n_rows, n_left = positions.shape
        prompt, answers = np.tile(step.prompt, (n_rows, 1)), np.tile(answer, (n_rows, 1))
        ids = torch.from_numpy(np.concatenate([prompt, step.ids(positions), answers], axis=1)).to(decoder.device)
        scored = ids[:, prompt_length if step.reads_reasoning else prompt_length + n_left :, None]
        return decoder.predict(ids[:, :-1].contiguous(), scored.contiguous(), None)[..., 0].cpu()

    def run(batch: DeletionBatch) -> None:
        positions = np.stack([step.rows[row] for row in batch.rows])
        values = read(positions, step.answer)
        wrong = None
        if step.wrong_answer is not None:
            wrong = read(positions, step.wrong_answer)[:, -len(step.wrong_answer) :]
        reasoning = values[:, :-answer_length] if step.reads_reasoning else torch.full(positions.shape, torch.nan)
        step.store(batch.rows, LogprobTensors(reasoning, values[:, -answer_length:], wrong))

    ends = [prompt_length + len(row) + answer_length - 1 for row in step.rows]
    max_positions = min(decoder.budget.positions, decoder.most_scored_positions)
    run_within_memory(
        plan_deletions([0] * len(ends), ends, max_positions=max_positions, call_cost=decoder.call_cost),
        run,
        split=DeletionBatch.halves,
        positions=lambda batch: batch.positions,
        budget=decoder.budget,
    )
