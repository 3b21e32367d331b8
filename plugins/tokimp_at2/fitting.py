"""The fit of AT2's head weights: gradient ascent on how well they order ablations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.questions import question_numbers
from tokimp_at2.ablations import Masks

FEWEST_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One chain's ablations, as the fit reads them.

    Attributes
    ----------
    id, question
        Of the chain.
    design
        ``sum over units u of (2 mask_u - 1) * attention to u``, [ablation, layer, head]: with head weights, it gives
        what they predict of each ablation, but for a constant.
    outcome
        The answer's log-odds after each ablation, [ablation].
    units
        The number of units.
    """

    id: str
    question: str
    design: FloatArray
    outcome: FloatArray
    units: int

    @classmethod
    def of(cls, *, id: str, question: str, features: FloatArray, masks: Masks, outcome: FloatArray) -> Example:  # noqa: A002 - the name of the field
        """Return the example of a chain's attention, [layer, head, unit], and ablations, [ablation, unit]."""
        design = np.einsum("lhu,au->alh", features, 2.0 * masks - 1)
        return cls(id, question, design, outcome, features.shape[-1])


def correlation(weights: FloatArray, example: Example) -> float:
    """Return Pearson's correlation of predicted and found outcomes.

    NaN where one of them does not vary, and for a single unit, whose ablations any weights order.
    """
    predicted = (example.design * weights).sum(axis=(1, 2))
    spread = np.ptp(predicted), np.ptp(example.outcome)
    # What varies by no more than rounding does not vary.
    if example.units < 2 or min(spread) <= 1e-9 * max(
        1.0, float(np.abs(example.outcome).max()), float(np.abs(predicted).max())
    ):
        return float("nan")
    return float(np.corrcoef(predicted, example.outcome)[0, 1])


def uniform_weights(shape: tuple[int, ...]) -> FloatArray:
    """Return the same weight for every head, [layer, head], adding up to 1."""
    return np.full(shape, 1 / np.prod(shape))


def fit_weights(examples: Sequence[Example], iterations: int, learning_rate: float) -> FloatArray:
    """Return the weights of heads whose predictions correlate best with the outcomes, [layer, head].

    From uniform weights, Adam with a cosine schedule climbs the mean over chains of Pearson's correlation, on all
    chains at once, with gradients clipped to length 1. Then the weights are divided by the sum of their sizes.
    Chains whose outcomes do not vary say nothing and are left out; without any other, the weights stay uniform.
    """
    shape = examples[0].design.shape[1:]
    told = [example for example in examples if not np.isnan(correlation(uniform_weights(shape), example))]
    if not told:
        return uniform_weights(shape)
    design = torch.from_numpy(np.stack([example.design.reshape(len(example.outcome), -1) for example in told]))
    outcome = torch.from_numpy(np.stack([example.outcome for example in told]))
    outcome = outcome - outcome.mean(dim=1, keepdim=True)
    outcome = outcome / outcome.norm(dim=1, keepdim=True)
    design = design - design.mean(dim=1, keepdim=True)
    weights = torch.from_numpy(uniform_weights(shape).ravel()).requires_grad_()
    with torch.enable_grad():
        optimiser = torch.optim.Adam([weights], lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=iterations)
        for _ in range(iterations):
            predicted = design @ weights
            loss = -((predicted * outcome).sum(dim=1) / predicted.norm(dim=1).clamp(min=1e-12)).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([weights], 1.0)
            optimiser.step()
            schedule.step()
    found: FloatArray = weights.detach().numpy().reshape(shape)
    return found / max(float(np.abs(found).sum()), 1e-12)


def ordered(examples: Sequence[Example], seed: int) -> list[int]:
    """Return places of examples in an order that depends only on their ids and a seed."""
    return sorted(range(len(examples)), key=lambda at: hashlib.sha256(f"{seed}\n{examples[at].id}".encode()).digest())


def folds_of(examples: Sequence[Example], folds: int) -> IntArray:
    """Return in which part each example is held out, [example]: all chains of a question in the same."""
    numbers = question_numbers([example.question for example in examples], [example.id for example in examples])
    parts: IntArray = numbers % min(folds, int(numbers.max()) + 1)
    return parts


def are_enough(examples: Sequence[Example]) -> bool:
    """Return whether there are as many questions as it takes to fit on some and test on others."""
    numbers = question_numbers([example.question for example in examples], [example.id for example in examples])
    return len(np.unique(numbers)) >= FEWEST_QUESTIONS
