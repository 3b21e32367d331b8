r"""MATH (Hendrycks et al. 2021), answered in a box."""

from __future__ import annotations

import re
from bisect import bisect_right

from tokimp.chains.datasets.correctness import closing_braces
from tokimp.chains.datasets.records import Record, Skips
from tokimp.chains.datasets.sources import source_records
from tokimp.chains.datasets.values import same_value
from tokimp.chains.sentences import sentence_starts
from tokimp.contracts.constraints import Text
from tokimp.contracts.task import Question, Source, Task, draw
from tokimp.errors import TaskError

INSTRUCTION = (
    "Solve the problem step by step. At the end, give the final answer, a number or an expression and nothing else, in "
    r"this form: Thus, the final answer is: \boxed{ANSWER}"
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_GOES_ON = re.compile(r"(?::|\\\[|\\\(|\$\$|\\begin\{[a-z]+\*?\})\s*\Z")
_DISPLAY_ENDS = re.compile(r"\s*(?:\\\]|\\\)|\$\$?|\\end\{[a-z]+\*?\})*[.!]?")


class Math(Task):
    r"""Competition mathematics; the answer is boxed, ``\boxed{\frac{1}{2}}``.

    Questions are records with ``problem``, and ``answer`` or else ``solution`` (its last box is the right answer), in a
    JSONL file or on the hub (``math``, all seven subjects, is the default). `split` is the hub's; a file is one split
    by itself.

    Parameters
    ----------
    instruction
        What follows the problem after an empty line; empty for nothing.
    """

    name = "math"
    constraints = {"instruction": Text(may_be_empty=True)}

    def __init__(self, instruction: str = INSTRUCTION) -> None:
        self.instruction = instruction

    def questions(
        self, source: Source | None = None, *, limit: int | None = None, seed: int = 0, split: str = "test"
    ) -> list[Question]:
        """Return the problems of a file, or of a split on the hub."""
        records = source_records("math" if source is None else source, split, Skips(None))
        # The data set has some problems twice; they are one question.
        questions = {question.id: question for question in map(self._question, records)}
        return draw(questions.values(), limit, seed)

    def _question(self, record: Record) -> Question:
        name = record.id_of_content("math", "problem")
        problem = record.text("problem", name)
        gold = record.optional_text("answer", name)
        if gold is None:
            boxed = self.value(record.text("solution", name))
            if boxed is None:
                raise record.error(name, r"'solution' has no \boxed{...} answer; add it, or a field 'answer'")
            gold = boxed
        if not gold.strip():
            raise TaskError(f"{record.where}: question {name!r}: the right answer is empty; add it")
        return Question(name, f"{problem}\n\n{self.instruction}" if self.instruction else problem, gold)

    def split(self, response: str) -> tuple[str, str] | None:
        r"""Divide a response at the sentence or line that holds its last box with something in it.

        >>> Math().split(r"Adding, we get $3 + 4$. Thus, the final answer is: $\boxed{7}$. Done.")
        ('Adding, we get $3 + 4$.', 'Thus, the final answer is: $\\boxed{7}$.')
        """
        last = _last_box(response)
        if last is None:
            return None
        box, end, _ = last
        begin = _answer_begin(response, box)
        ends = _DISPLAY_ENDS.match(response, end)
        end = end if ends is None else ends.end()
        return response[:begin].strip(), response[begin:end].strip()

    def is_right(self, answer: str, gold: str) -> bool | None:
        r"""Compare what is in the last box with the right answer; what is neither the same nor another is not known.

        Hendrycks et al. leave a unit out of account, and so does `tokimp.chains.datasets.values.same_value` where only
        one of the two has it.

        >>> Math().is_right(r"It is \boxed{0.5}", r"\frac12"), Math().is_right(r"\boxed{\text{Even}}", "even")
        (True, True)
        """
        value = self.value(answer)
        if value is None:
            return False
        return same_value(value, gold, "boxed")

    @staticmethod
    def value(text: str) -> str | None:
        """Return what is in the last box of a text that has something in it; ``None`` where there is none."""
        last = _last_box(text)
        return None if last is None else last[2]


def _last_box(text: str) -> tuple[int, int, str] | None:
    """Return where the last filled and closed box begins and ends, and what is in it."""
    closing = closing_braces(text)
    for box in reversed(list(_BOX.finditer(text))):
        end = closing.get(text.index("{", box.start()))
        if end is not None and (value := text[box.end() : end].strip()):
            return box.start(), end + 1, value
    return None


def _answer_begin(response: str, box: int) -> int:
    """Return where the sentence that holds a box begins.

    A sentence before it belongs to it if it opens a display or ends in a colon.
    """
    starts = sentence_starts(response)
    index = bisect_right(starts, box) - 1
    while index and _GOES_ON.search(response, starts[index - 1], starts[index]):
        index -= 1
    return starts[index]
