"""A scorer whose continuations have a known distribution, so that what estimators find can be computed exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import Capability
from tokimp.testing import AdditiveScorer, toy_chain

Distribution = Mapping[str, float]
"""Texts, and how likely each is to be written."""

START = "q\n"

_numbers = count()


class ToyWriter(AdditiveScorer):
    """Writes texts drawn from a distribution that depends on the beginning of the reasoning.

    Parameters
    ----------
    distribution
        The distribution of what is written, by the reasoning that is given.
    """

    capabilities = frozenset(Capability)

    def __init__(self, distribution: Callable[[str], Distribution]) -> None:
        super().__init__({})
        self.distribution = distribution
        self.number = next(_numbers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def fingerprint(self) -> str:
        """Return a name that no other writer has."""
        return f"toy {self.number}"

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Draw texts with a generator made of the seed and the prompt's place."""
        found = []
        for index, prompt in enumerate(prompts):
            beginning = self.tokenizer.decode(prompt).removeprefix(START)
            settings = {"max_new_tokens": max_new_tokens, "n": n, "temperature": temperature, "top_p": top_p}
            self.asked.append((beginning, {**settings, "seed": seed}))
            of = self.distribution(beginning)
            drawn = np.random.default_rng([seed, index]).choice(len(of), size=n, p=list(of.values()))
            found.append([list(of)[place] for place in drawn])
            self.tokens_forwarded += (len(prompt) + max_new_tokens) * n
        return found


def chain_of(reasoning: str, *, unit: str = "sentence", gold: str | None = "1", **fields: str) -> TokenizedChain:
    """Return a toy chain whose prompt is `START` and whose answer is 1."""
    chain = toy_chain(reasoning, question=START, answer="#### 1", unit=unit, **fields)
    return replace(chain, chain=replace(chain.chain, gold=gold))
