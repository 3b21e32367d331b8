"""A scorer under check: asked, watched, and named when it breaks a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, AnswerValue, Contrast, Joint, LogprobTensors, Objective, Span
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import UnsupportedError

T = TypeVar("T")
_COUNTED = "positions are counted"


@dataclass(frozen=True, slots=True)
class Subject:
    """A scorer, the chains it is asked about, and how far its numbers may lie apart.

    Attributes
    ----------
    scorer
        Who is checked.
    chains
        What it is asked about, at least two.
    layers
        The layers that are asked for attention; ``None`` means all.
    tolerance
        The largest difference (nats) between numbers that should be equal.
    """

    scorer: Scorer
    chains: Sequence[TokenizedChain]
    layers: Sequence[int] | None
    tolerance: float
    _read: dict[tuple[str, tuple[int, ...]], LogprobTensors] = field(default_factory=dict)

    def expect(self, holds: bool, rule: str, message: str) -> None:
        """Raise `AssertionError` naming the rule, unless it holds."""
        # No assert statement: python -O would turn the whole check into nothing.
        if not holds:
            raise AssertionError(f"{type(self.scorer).__name__} breaks the rule {rule!r}: {message}")

    def expect_equal(self, values: ArrayLike, wanted: ArrayLike, rule: str, message: str) -> None:
        """Expect the same shape and, within the tolerance, the same numbers, NaN at the same places."""
        first, second = np.asarray(values), np.asarray(wanted)
        self.expect(first.shape == second.shape, rule, f"{message}: shapes {first.shape} and {second.shape}")
        close = np.isclose(first, second, atol=self.tolerance, rtol=1e-5, equal_nan=True)
        if not close.all():
            place = tuple(int(index) for index in np.argwhere(~close)[0])
            self.expect(False, rule, f"{message}: {first[place]} and {second[place]}, at {place}")

    def expect_array(
        self, values: Any, shape: tuple[int, ...], dtype: type[np.generic], rule: str, message: str
    ) -> None:
        """Expect a finite numpy array of a shape and a precision."""
        self.expect(isinstance(values, np.ndarray), rule, f"{message} is a {type(values).__name__}, no numpy array")
        self.expect(values.shape == shape, rule, f"{message} has the shape {values.shape}, not {shape}")
        self.expect(values.dtype == dtype, rule, f"{message} is {values.dtype}, not {dtype.__name__}")
        self.expect(bool(np.isfinite(values).all()), rule, f"{message} holds numbers that are not finite")

    def ask(self, question: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a method of the scorer; watch its claim, its count of positions and the chains."""
        before, shown, name = self.scorer.tokens_forwarded, repr(self.chains), question.__name__
        try:
            answer = question(*arguments, **options)
        except UnsupportedError as error:
            claim = (
                f"{type(self.scorer).__name__} breaks the rule 'capabilities': it claims to give {name}, but: {error}"
            )
            raise AssertionError(claim) from error
        after = self.scorer.tokens_forwarded
        self.expect(after >= before, _COUNTED, f"{name} took tokens_forwarded from {before} to {after}")
        self.expect(repr(self.chains) == shown, "chains stay as they are", f"{name} changed a chain")
        return answer

    def ask_anew(self, question: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Ask what cannot be answered without passing tokens through the model; see `ask`."""
        before = self.scorer.tokens_forwarded
        answer = self.ask(question, *arguments, **options)
        moved = self.scorer.tokens_forwarded > before
        self.expect(moved, _COUNTED, f"{question.__name__} left tokens_forwarded at {before}")
        return answer

    def has(self, capability: Capability) -> bool:
        """Tell whether the scorer claims a capability."""
        return capability in self.scorer.capabilities

    def read(self, chain: TokenizedChain, kept: Sequence[int]) -> LogprobTensors:
        """Return the log-probabilities of what is kept of a chain, read from scratch, [1, token] each."""
        key = (chain.id, tuple(kept))
        if key not in self._read:
            shorter = replace(chain, reasoning_ids=tuple(chain.reasoning_ids[position] for position in kept))
            wrong = replace(shorter, answer_ids=chain.wrong_answer_ids or (), wrong_answer_ids=None)
            spans = self.ask(self.scorer.logprobs, [shorter, wrong] if chain.wrong_answer_ids else [shorter])
            reasoning = torch.from_numpy(spans[0].reasoning)[None]
            answer, *others = [torch.from_numpy(span.answer)[None] for span in spans]
            self._read[key] = LogprobTensors(reasoning, answer, others[0] if others else None, chain.answer_value)
        return self._read[key]


def objectives_for(chain: TokenizedChain) -> list[Objective]:
    """Return the built-in objectives that a chain has the spans for."""
    objectives: list[Objective] = [Joint(), Answer(), AnswerValue(), Contrast()]
    fitting = [each for each in objectives if Span.WRONG_ANSWER not in each.spans or chain.wrong_answer_ids]
    return [each for each in fitting if chain.answer_value is not None or not isinstance(each, AnswerValue)]
