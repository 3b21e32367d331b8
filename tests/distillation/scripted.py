"""A model that writes what it is told to, sums to ask it, and a program that samples from it until it is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokimp.contracts.task import Question, Source, Task, draw
from tokimp.distillation.ask.sample import sample
from tokimp.models.writing.engine import WritingEngine
from tokimp.testing.random_models import byte_tokenizer

_REASONING = "We take the first number, count on by the second one, and arrive at what the two of them make together: "


class Sums(Task):
    """Sums of two digits, answered after an arrow."""

    name = "sums"
    max_new_tokens = 40

    def __init__(self, largest: int = 9) -> None:
        self.largest = largest

    def questions(
        self, source: Source | None = None, *, limit: int | None = None, seed: int = 0, split: str = "test"
    ) -> list[Question]:
        """Return every sum; all are in every split."""
        digits = range(self.largest + 1)
        return draw([Question(f"{a}+{b}", f"{a}+{b}?", str(a + b)) for a in digits for b in digits], limit, seed)

    def split(self, response: str) -> tuple[str, str] | None:
        """Divide at the last arrow."""
        reasoning, arrow, answer = response.rpartition("->")
        return (reasoning.strip(), arrow + answer.rstrip()) if arrow else None

    def is_right(self, answer: str, gold: str) -> bool | None:
        """Compare what follows the arrow."""
        return answer.removeprefix("->").strip() == gold


class ScriptedEngine(WritingEngine):
    """Writes one of several given responses to each question, by the seed; by default to sums, mostly right ones.

    Attributes
    ----------
    asked
        The question, how often it was to be answered and the seed, for each prompt of every call.
    """

    backend = "scripted"

    def __init__(
        self,
        script: Mapping[str, Sequence[str]] | Callable[[str], Sequence[str]] | None = None,
        context_length: int | None = None,
        name: str = "scripted",
    ) -> None:
        self.tokenizer = byte_tokenizer()
        self.model_id, self.device, self.dtype, self.context_length = name, "cpu", "none", context_length
        self.tokens_forwarded = 0
        self.asked: list[tuple[str, int, int]] = []
        self._script = script.__getitem__ if isinstance(script, Mapping) else (script or responses_to_sum)

    def fingerprint(self) -> str:
        """Return the name: what is scripted is not looked at."""
        return self.model_id

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
        """Return responses as `Scorer.generate` does; at temperature 0 the first one."""
        texts = []
        for index, prompt in enumerate(prompts):
            question = self.tokenizer.decode(list(prompt), skip_special_tokens=True).strip()
            self.asked.append((question, n, seed))
            choices = self._script(question)
            draws = [hashlib.sha256(f"{seed} {index} {repeat}".encode()).digest()[0] for repeat in range(n)]
            texts.append([choices[draw % len(choices) if temperature else 0] for draw in draws])
            self.tokens_forwarded += len(prompt) + n
        return texts


def responses_to_sum(question: str) -> list[str]:
    """Return a right response, a wrong one, and one with no answer."""
    first, second = (int(digit) for digit in question.rstrip("?").split("+"))
    right = f"{_REASONING}{first}+{second}={first + second} -> {first + second}"
    return [right, f"{_REASONING}{first}+{second}=? -> 99", "I cannot say."]


def main() -> None:
    """Sample into the folder named by the first argument, and die where the second one says.

    ``generate:3`` is inside the third call of the model; ``write:5`` inside the fifth flush to disk.
    """
    out, *fate = sys.argv[1:]
    engine = ScriptedEngine()
    if fate:
        where, _, count = fate[0].partition(":")
        left = [int(count)]

        def step() -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        if where == "write":
            flush = os.fsync

            def dying_flush(*arguments: Any) -> None:
                step()
                flush(*arguments)

            dying: Callable[..., None] = dying_flush
            os.fsync = dying
        else:
            write = engine.generate

            def dying_generate(*arguments: object, **options: object) -> list[list[str]]:
                step()
                return write(*arguments, **options)  # type: ignore[arg-type] # passed on as given

            engine.generate = dying_generate  # type: ignore[method-assign] # for this process only
    sample_sums(Path(out), engine)


def sample_sums(out: Path, engine: ScriptedEngine) -> None:
    """Sample in several batches and rounds."""
    sample(Sums(), Sums().questions(limit=20), engine, out, n=4, per_round=2, batch_questions=3, seed=7)
