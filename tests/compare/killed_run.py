"""A small comparison, and a program that runs it and dies where it is told to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import numpy as np
import torch

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.compare import compare
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.testing.random_models import byte_tokenizer
from tokimp.testing.toy_scorer import AdditiveScorer

CHAINS = [
    Chain("one", "1+2?", "1 + 2 = 3", "3", gold="3", source="a.jsonl:1"),
    Chain("two/../é", "2*3?", "so, 2 é 3", "6", source="a.jsonl:2"),
    Chain("three", "4-1?", "x", "3"),
]


class ByteScorer(AdditiveScorer):
    """The closed-form model behind a real tokenizer, whose tokens are bytes."""

    def __init__(self, scale: float = 0.25) -> None:
        super().__init__({str(digit): scale * digit for digit in range(10)}, default=0.1)
        self.tokenizer = byte_tokenizer()
        self.context_length = 40  # type: ignore[assignment] # the base class names no limit


class InSequence(ImportanceEstimator):
    """Deletes the unit whose loss costs least, one after the other, until a number is left."""

    name = "in_sequence"
    requires = frozenset({Capability.DELETIONS})

    def __init__(self, left: int = 1) -> None:
        self.left = left

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the steps of the deletions as scores."""
        kept = list(range(len(chain.units)))
        order = np.full(len(kept), -1)
        steps: list[tuple[float, float]] = []
        while len(kept) > self.left:
            positions = sorted(position for unit in kept for position in chain.units[unit])
            deleted = scorer.score_deletions(chain, positions, [chain.units[unit] for unit in kept], objective)
            best = int(np.argmax(deleted.objective))
            order[kept[best]] = len(steps)
            steps.append((deleted.answer[best], deleted.reasoning[best]))
            del kept[best]
        answer, reasoning = np.array(steps, dtype=np.float64).reshape(-1, 2).T
        scores = np.where(order < 0, len(order), order).astype(np.float64)
        trajectory = Trajectory(answer + reasoning, answer, reasoning)
        return Importance(scores, order, trajectory, {"steps": float(len(steps))})


class Drawn(ImportanceEstimator):
    """Draws its scores from the global generators, as a careless plugin might."""

    name = "drawn"

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return random scores."""
        return Importance(np.random.rand(len(chain.units)) + torch.rand(1).item())  # noqa: NPY002 - the point of it


class Calls(ImportanceEstimator):
    """Calls a function before it scores by position: for counting, failing and dying."""

    name = "calls"

    def __init__(self, function: Callable[[TokenizedChain], object] = id) -> None:
        self.function = function

    def parameters(self) -> dict[str, object]:
        """Leave out the function: what it does is no part of what is computed."""
        return {}

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the index of each unit."""
        self.function(chain)
        return Importance(np.arange(len(chain.units), dtype=np.float64))


def die_on(count: int) -> Callable[..., None]:
    """Return a function that kills this process, without warning, the `count`-th time it is called."""
    left = [count]

    def step(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def main() -> None:
    """Run the comparison into the folder named by the first argument, and die where the second one says.

    ``estimate:3`` is inside the third estimate; ``write:5`` inside the fifth flush to disk, when a file is written but
    has not taken its place, or has done so and the folder is not flushed.
    """
    out, *fate = sys.argv[1:]
    step: Callable[..., object] = id
    if fate:
        where, _, count = fate[0].partition(":")
        if where == "write":
            os.fsync = die_on(int(count))
        else:
            step = die_on(int(count))
    compare(CHAINS, ByteScorer(), [Drawn(), Calls(step), InSequence()], out=out, seed=3)
