"""MMLU-Pro (Wang et al. 2024), answered with a letter."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right

from tokimp.chains.datasets.mmlu_pro import asked
from tokimp.chains.datasets.records import Skips
from tokimp.chains.datasets.sources import source_records
from tokimp.chains.sentences import sentence_starts
from tokimp.contracts.constraints import Number, Text
from tokimp.contracts.task import Question, Source, Task, draw
from tokimp.errors import TaskError

INSTRUCTION = (
    "Solve the problem step by step and choose one of the options. At the end, give its letter and nothing else, in "
    "this form: The answer is (LETTER)."
)
# "The answer is (B)", as asked for; and what models make of it: "the correct answer is: B", alone at the end of a line.
_CONCLUSION = re.compile(
    # Tried at the first of several asterisks only: at each of them, a row of thousands would take minutes.
    r"(?<!\*)\**\b(?:[Tt]he\s+)?(?:(?:final|correct|right)\s+)?[Aa]nswer\s+is:?[\s*]*"
    r"(?:\(([A-Z])\)\**\.?\**|([A-Z])[.*]*(?=\s*(?:\n|\Z)))"
)
_SPLITS = ("train", "test", "all")


class MmluPro(Task):
    """Questions of many fields with up to ten options; the answer is a letter, ``The answer is (B)``.

    Questions are MMLU-Pro's records (``question``, ``options`` and ``answer``, or ``gold`` where an evaluation stored
    them), in a JSONL file or on the hub (``mmlu_pro``, the default). The data set has no training split, so its test
    split is divided here: a hash of the question decides whether it is for training or for testing.

    Parameters
    ----------
    instruction
        What follows the options after an empty line; empty for nothing.
    test_share
        Share of the questions that are for testing.
    """

    name = "mmlu_pro"
    constraints = {"instruction": Text(may_be_empty=True), "test_share": Number(above=0, below=1)}

    def __init__(self, instruction: str = INSTRUCTION, test_share: float = 0.2) -> None:
        self.instruction = instruction
        self.test_share = test_share

    def questions(
        self, source: Source | None = None, *, limit: int | None = None, seed: int = 0, split: str = "test"
    ) -> list[Question]:
        """Return the questions of a split: ``train``, ``test``, or ``all`` of them."""
        self.validate_parameters()
        if split not in _SPLITS:
            raise TaskError(f"mmlu_pro has no split {split!r}; its splits are {', '.join(_SPLITS)}")
        records = source_records("mmlu_pro" if source is None else source, "test", Skips(None))
        questions = []
        for record in records:
            name, text, gold, _ = asked(record)
            if split in {"all", self._split_of(text)}:
                text = f"{text}\n\n{self.instruction}" if self.instruction else text
                questions.append(Question(name, text, gold))
        return draw(questions, limit, seed)

    def _split_of(self, text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return "test" if int.from_bytes(digest[:8], "big") < self.test_share * 2**64 else "train"

    def split(self, response: str) -> tuple[str, str] | None:
        """Divide a response at the last sentence that says what the answer is.

        >>> MmluPro().split("We add: 3 + 4 = 7. So the answer is (B). Check: 7 - 4 = 3.")
        ('We add: 3 + 4 = 7.', 'So the answer is (B).')
        """
        conclusion = _last_conclusion(response)
        if conclusion is None:
            return None
        begin = conclusion.start()
        if not conclusion.group().lstrip("*")[0].isupper():  # "So the answer is (B)": the sentence began earlier
            starts = sentence_starts(response)
            begin = starts[bisect_right(starts, begin) - 1]
        return response[:begin].strip(), response[begin : conclusion.end()].strip()

    def is_right(self, answer: str, gold: str) -> bool:
        """Compare the letter with the right one."""
        conclusion = _last_conclusion(answer)
        return conclusion is not None and (conclusion[1] or conclusion[2]) == gold.strip().upper()


def _last_conclusion(text: str) -> re.Match[str] | None:
    conclusions = list(_CONCLUSION.finditer(text))
    return conclusions[-1] if conclusions else None
