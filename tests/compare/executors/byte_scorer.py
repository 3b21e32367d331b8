"""A closed-form model that workers can load, and estimators that take their time, fail or tell where they are."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer, SpanLogprobs
from tokimp.errors import ScorerError
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer
from tokimp.testing.toy_scorer import AdditiveScorer

LETTERS = {chr(code): (code * 37 % 17 - 8) / 8 for code in range(32, 127)}


class ByteScorer(AdditiveScorer):
    """The closed-form model behind a real tokenizer, whose tokens are bytes; built as `load_scorer` builds a scorer."""

    backend = "bytes"

    def __init__(
        self, model: Any, *, device: str, dtype: str, tokenizer: Any = None, scale: float = 1.0, fails_on: str = ""
    ) -> None:
        super().__init__({letter: scale * value for letter, value in LETTERS.items()})
        self.model_id = str(model)
        self.tokenizer = byte_tokenizer()
        self.fails_on = fails_on

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Raise for one chain."""
        for chain in chains:
            if chain.id == self.fails_on:
                raise ScorerError(f"{chain.chain.where}: this chain cannot be read")
        return super().logprobs(chains)


class Patient(ImportanceEstimator):
    """Draws its scores from the global generators; may take time, fail on a chain, and leave a note of where it is.

    Parameters
    ----------
    seconds
        How long it takes.
    fails_on
        The id of the chain on which it raises.
    notes
        A folder in which each process that estimates leaves a file of its number.
    """

    name = "patient"
    requires = frozenset({Capability.LOGPROBS})

    def __init__(self, seconds: float = 0.0, fails_on: str = "", notes: str = "") -> None:
        self.seconds = seconds
        self.fails_on = fails_on
        self.notes = notes

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return random scores."""
        if self.notes:
            (Path(self.notes) / str(os.getpid())).touch()
        time.sleep(self.seconds)
        if chain.id == self.fails_on:
            raise ValueError("not this one")
        return Importance(np.random.rand(len(chain.units)) + torch.rand(1).item())  # noqa: NPY002 - as plugins may


def chains(count: int = 7) -> list[Chain]:
    """Return chains of letters."""
    return [Chain(f"c{number}", "?", "abcdefgh"[: 4 + number % 4], "z") for number in range(count)]


def scorer(**options: Any) -> Scorer:
    """Return a scorer that has a recipe."""
    return load_scorer("letters", backend="tests.compare.executors.byte_scorer:ByteScorer", **options)
