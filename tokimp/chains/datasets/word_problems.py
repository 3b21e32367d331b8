"""Arithmetic word problems of two to four steps, written out with everything about them known.

The embedded model is trained on these, and the demo chains are its answers to some of them. The point of writing them
ourselves is that the truth is known for every character of the reasoning: which category a word belongs to, and which
whole sentences are planted filler that no answer depends on.

Training and test problems never meet: a hash of the question decides which split it belongs to, whatever the seed.

>>> problem = generate(1, seed=3, steps=(2,))[0]
>>> problem.answer == f"#### {problem.gold}"
True
>>> len(problem.without_filler()) < len(problem.reasoning)
True
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tokimp.chains.datasets.word_problem_words import (
    BOYS,
    COMPARISONS,
    DOUBLES,
    ENDING_TOGETHER,
    ENDINGS,
    GAINS,
    GIRLS,
    HALVES,
    HOLDERS,
    LOSSES,
    OBJECTS,
    OPENINGS,
    PACKS_IN,
    PACKS_OUT,
    SETTINGS,
    TOGETHER,
    Span,
    annotate,
    cut,
)

__all__ = ["Problem", "Split", "draw_expression", "generate", "split_of"]

Split = Literal["train", "test"]

# The model counts on numbers of at most two digits; beyond that a network this small fails at the sums themselves.
LARGEST = 99
# Words, digits and spaces before digits: close to what the embedded model's tokenizer makes of a chain.
SHORTEST_CHAIN, LONGEST_CHAIN = 25, 80
_TEST_SHARE = 10  # one question in ten is a test question
_TOKEN = re.compile(r"\d|[A-Za-z]+|[^\sA-Za-z\d]| (?=\d)")


@dataclass(frozen=True)
class Problem:
    """A word problem, its written-out reasoning, and the truth about that reasoning.

    Parameters
    ----------
    question
        What is asked, one line.
    reasoning
        The steps, one line; each holds an expression such as ``12-2=10``.
    answer
        The answer as the model is to write it, ``#### 42``.
    gold
        The right number, as text.
    steps
        How many operations the reasoning carries out.
    categories
        ``(start, end, label)`` over the characters of the reasoning, in order; labels from `CATEGORIES`. Every
        character that is not a space lies in exactly one.
    filler
        ``(start, end)`` of each planted sentence that is of no use for the answer.
    """

    question: str
    reasoning: str
    answer: str
    gold: str
    steps: int
    categories: tuple[tuple[int, int, str], ...]
    filler: tuple[Span, ...]

    def without_filler(self) -> str:
        """Return the reasoning with every planted sentence cut out."""
        return cut(self.reasoning, self.filler)


def split_of(question: str) -> Split:
    """Return the split that a question belongs to: a hash of its text decides, so that no question is ever in both."""
    digest = hashlib.sha256(question.encode("utf-8")).digest()
    return "test" if int.from_bytes(digest[:8], "big") % _TEST_SHARE == 0 else "train"


def generate(
    n: int, seed: int, *, steps: Sequence[int] = (2, 3, 4), split: Split = "train", filler_rate: float = 1.0
) -> list[Problem]:
    """Return word problems.

    Parameters
    ----------
    n
        The number of problems.
    seed
        The same seed and settings give the same problems.
    steps
        Numbers of steps to draw from, each between 2 and 4; naming one twice draws it twice as often.
    split
        Which problems to give: a hash of the question decides, see `split_of`.
    filler_rate
        The probability that a planted sentence is in the chain. Training leaves some out at random, so that the model
        knows chains without them too.

    Returns
    -------
    list of Problem
        No question occurs twice.

    Raises
    ------
    ValueError
        If a number of steps is not 2, 3 or 4.
    """
    if not steps or not set(steps) <= {2, 3, 4}:
        raise ValueError(f"steps must be drawn from 2, 3 and 4, not {tuple(steps)}")
    rng = random.Random(seed)  # noqa: S311  # problems, not secrets
    problems: list[Problem] = []
    seen: set[str] = set()
    while len(problems) < n:
        problem = _draw_problem(rng, rng.choice(steps), filler_rate)
        if problem is None or problem.question in seen or split_of(problem.question) != split:
            continue
        seen.add(problem.question)
        problems.append(problem)
    return problems


def draw_expression(rng: random.Random) -> str:
    """Draw one sum such as ``12-2=10``, of the sizes that occur in the problems."""
    kind = rng.choice("++++----**/")
    if kind == "+":
        a = rng.randint(1, LARGEST - 2)
        b = rng.randint(2, min(LARGEST - a, rng.choice((20, 20, LARGEST))))
        return f"{a}+{b}={a + b}"
    if kind == "-":
        a = rng.randint(3, LARGEST)
        b = rng.randint(2, min(a - 1, rng.choice((20, 20, LARGEST))))
        return f"{a}-{b}={a - b}"
    if kind == "*":
        a, b = (rng.randint(2, 9), rng.randint(2, 9)) if rng.random() < 0.5 else (rng.randint(2, LARGEST // 2), 2)
        return f"{a}*{b}={a * b}"
    half = rng.randint(2, LARGEST // 2)
    return f"{2 * half}/2={half}"


def _draw_problem(rng: random.Random, steps: int, filler_rate: float) -> Problem | None:
    is_boy = rng.random() < 0.5
    subject = rng.choice(BOYS if is_boy else GIRLS)
    words = {"S": subject, "obj": rng.choice(OBJECTS)} | (
        {"He": "He", "he": "he", "him": "him"} if is_boy else {"He": "She", "he": "she", "him": "her"}
    )
    friends = [name for name in BOYS + GIRLS if name != subject]
    setting, planted = rng.choice(SETTINGS)
    value = rng.randint(4, 40)
    asked = [f"{setting}, " + "{S} has {v} {obj}.".format(**words, v=value)]
    told: list[str] = []
    if rng.random() < (0.4, 0.5, 0.15)[steps - 2]:  # long chains have no room for it
        told.append(rng.choice(OPENINGS).format(**words, v=value))
    ending = rng.choice(ENDINGS)
    to_go = steps
    while to_go > 0:
        words["F"] = rng.choice(friends)
        event, expressions, value = _draw_event(rng, words, value, to_go)
        asked.append(event)
        to_go -= len(expressions)
        for expression in expressions:
            told.append(_connect(rng, expression, is_first=not told))
        if expressions[-1].startswith("together"):
            ending = ENDING_TOGETHER
    asked.append(ending[0].format(**words))
    told.append(ending[1].format(**words, v=value))
    # From the back, so that the places of those in front stay as they are.
    plan = planted[:1] if steps == 4 else planted
    for place, sentence in sorted(plan, key=lambda item: item[0] % len(told), reverse=True):
        if rng.random() < filler_rate:
            told.insert(place if place >= 0 else len(told) - 1, sentence)
    return _finish(" ".join(asked), " ".join(told), value, steps)


def _connect(rng: random.Random, sentence: str, *, is_first: bool) -> str:
    """Put a connective before a sentence, or just its capital."""
    word, probability = ("First ", 0.7) if is_first else ("Then ", 0.25)
    if rng.random() < probability:
        sentence = word + sentence
    return sentence[0].upper() + sentence[1:]


def _finish(question: str, reasoning: str, value: int, steps: int) -> Problem | None:
    """Return the problem with its annotations; None if its chain came out too short or too long."""
    length = len(_TOKEN.findall(reasoning))
    if not SHORTEST_CHAIN <= length <= LONGEST_CHAIN:
        return None
    categories, filler = annotate(reasoning)
    return Problem(question, reasoning, f"#### {value}", str(value), steps, categories, filler)


def _draw_event(rng: random.Random, words: dict[str, str], v: int, room: int) -> tuple[str, list[str], int]:
    """Draw what happens next: the sentence of the question, the sentences of the reasoning, the new number."""
    kinds = ["gain"] * 3 * (v <= LARGEST - 2) + ["loss"] * 3 * (v > 3) + ["double"] * (2 * v <= LARGEST)
    kinds += ["half"] * (v % 2 == 0 and v >= 4)
    if room >= 2:
        kinds += ["packs in"] * 2 * (v <= LARGEST - 4) + ["packs out"] * (v >= 5)
    if room == 2:
        kinds += ["compare"] * 4 * (5 <= v <= LARGEST // 3)
    kind = rng.choice(kinds)
    if kind == "gain":
        n = rng.randint(2, min(20, LARGEST - v))
        return _tell(rng.choice(GAINS), words, v + n, v=v, n=n, w=v + n)
    if kind == "loss":
        n = rng.randint(2, min(20, v - 1))
        return _tell(rng.choice(LOSSES), words, v - n, v=v, n=n, w=v - n)
    if kind == "double":
        return _tell(rng.choice(DOUBLES), words, 2 * v, v=v, w=2 * v)
    if kind == "half":
        return _tell(rng.choice(HALVES), words, v // 2, v=v, w=v // 2)
    if kind == "compare":
        operator = rng.choice("++-*")
        n = rng.randint(2, min(20, v - 1))
        w = {"+": v + n, "-": v - n, "*": 2 * v}[operator]
        return _tell((*COMPARISONS[operator], TOGETHER), words, v + w, v=v, n=n, w=w, t=v + w)
    limit = LARGEST - v if kind == "packs in" else v - 1
    a = rng.randint(2, min(9, limit // 2))
    b = rng.randint(2, min(9, limit // a))
    w = v + a * b if kind == "packs in" else v - a * b
    template = PACKS_IN if kind == "packs in" else PACKS_OUT
    return _tell(template, words | {"holders": rng.choice(HOLDERS)}, w, v=v, a=a, b=b, p=a * b, w=w)


def _tell(templates: Sequence[str], words: dict[str, str], value: int, **numbers: int) -> tuple[str, list[str], int]:
    question, *reasoning = (template.format(**words, **numbers) for template in templates)
    return question, reasoning, value
