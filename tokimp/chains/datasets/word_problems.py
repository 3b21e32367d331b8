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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["CATEGORIES", "Problem", "Span", "Split", "annotate", "cut", "draw_expression", "generate", "split_of"]

Split = Literal["train", "test"]
Span = tuple[int, int]

CATEGORIES = ("symbolic_math", "verbal_math", "entity_name", "coreference", "grammar", "meta_discourse")

# The model counts on numbers of at most two digits; beyond that a network this small fails at the sums themselves.
LARGEST = 99
# Words, digits and spaces before digits: close to what the embedded model's tokenizer makes of a chain.
SHORTEST_CHAIN, LONGEST_CHAIN = 25, 80
_TEST_SHARE = 10  # one question in ten is a test question

_BOYS = ("Tom", "Ben", "Sam", "Max", "Leo", "Paul", "Jack", "Carl")
_GIRLS = ("Anna", "Mia", "Eva", "Lily", "Rosa", "Emma", "Nina", "Kate")
_OBJECTS = ("apples", "pears", "books", "coins", "cards", "shells", "stamps", "pens", "eggs", "stones")
_HOLDERS = ("bags", "boxes", "packs")

# Where the story is set, and the useless sentences that go with it: (after how many sentences, sentence), -1 meaning
# just before the conclusion. Tied to the setting so that a model decoding greedily learns to write them too.
_SETTINGS: tuple[tuple[str, tuple[tuple[int, str], ...]], ...] = (
    ("On a sunny day", ((0, "The sun is out."), (1, "So far so good."))),
    ("On a rainy day", ((0, "Let us think step by step."), (2, "The rain does not matter."))),
    ("At the market", ((1, "The market is busy."), (-1, "We are nearly done."))),
    ("At school", ((-1, "School is fun."),)),
    ("In the park", ((1, "The park is green."),)),
    ("On Monday", ((0, "Let me see."), (2, "Let us go on."))),
    ("After lunch", ((-1, "That was easy."), (1, "Lunch was good."))),
    ("At home", ((0, "Let us go slowly."),)),
)
_FILLER = frozenset(sentence for _, planted in _SETTINGS for _, sentence in planted)

# (in the question, in the reasoning). Reasoning sentences start in lower case: a connective may come before them.
_GAINS = (
    ("{He} buys {n} more.", "{he} buys {n} more, so {v}+{n}={w}."),
    ("{He} finds {n} more.", "{he} finds {n} more, so {v}+{n}={w}."),
    ("{F} gives {him} {n}.", "{F} gives {him} {n}, so {v}+{n}={w}."),
    ("{F} brings {him} {n} more.", "adding {n} gives {v}+{n}={w}."),
    ("{He} gets {n} from {F}.", "adding {n} gives {v}+{n}={w}."),
)
_LOSSES = (
    ("{He} gives {n} to {F}.", "{he} gives {n} to {F}, so {v}-{n}={w}."),
    ("{He} loses {n} of them.", "{he} loses {n} of them, so {v}-{n}={w}."),
    ("{He} sells {n} of them.", "{he} sells {n}, so {v}-{n}={w}."),
    ("{F} takes {n} of them.", "taking away {n} leaves {v}-{n}={w}."),
)
_DOUBLES = (
    ("{He} gets as many again.", "twice as many is {v}*2={w}."),
    ("{F} doubles the number.", "{F} doubles this, so {v}*2={w}."),
)
_HALVES = (
    ("{He} gives half of them to {F}.", "half of them is {v}/2={w}."),
    ("{He} loses half of them.", "losing half leaves {v}/2={w}."),
)
_PACKS_IN = (
    "{He} buys {a} {holders} of {b}.",
    "{a} {holders} of {b} hold {a}*{b}={p}.",
    "adding them gives {v}+{p}={w}.",
)
_PACKS_OUT = (
    "{He} sells {a} {holders} of {b}.",
    "{a} {holders} of {b} hold {a}*{b}={p}.",
    "taking them away leaves {v}-{p}={w}.",
)
_COMPARISONS = {
    "+": ("{F} has {n} more than {him}.", "{F} has {n} more, so {v}+{n}={w}."),
    "-": ("{F} has {n} less than {him}.", "{F} has {n} less, so {v}-{n}={w}."),
    "*": ("{F} has twice as many.", "{F} has twice as many, so {v}*2={w}."),
}
_TOGETHER = "together they have {v}+{w}={t}."
_ENDINGS = (
    ("How many {obj} does {S} have now?", "So {S} has {v} {obj} now."),
    ("How many {obj} are left?", "Therefore {v} {obj} are left."),
)
_ENDING_TOGETHER = ("How many {obj} do they have in total?", "So they have {v} {obj} in total.")
_OPENINGS = ("{S} starts with {v} {obj}.", "{S} has {v} {obj} at first.")

# Verbs that name an operation count as verbal math: "gives 3 to Anna" is a subtraction in words.
_VERBAL_MATH = """adding away brings buys doubles finds gets gives half hold leaves left less loses losing many more
sells starts takes taking together total twice"""
_COREFERENCE = "he she him her them they this"
_META_DISCOURSE = "so therefore first then now"
_GRAMMAR = "has have is are of to with at as in"
_LEXICON: dict[str, str] = {
    **dict.fromkeys(_GRAMMAR.split(), "grammar"),
    **dict.fromkeys(_META_DISCOURSE.split(), "meta_discourse"),
    **dict.fromkeys(_COREFERENCE.split(), "coreference"),
    **dict.fromkeys(_VERBAL_MATH.split(), "verbal_math"),
    **dict.fromkeys((word.lower() for word in (*_BOYS, *_GIRLS, *_OBJECTS, *_HOLDERS)), "entity_name"),
    **dict.fromkeys("+-*/=", "symbolic_math"),
    **dict.fromkeys(".,", "grammar"),
}
_PIECE = re.compile(r"\d+|[A-Za-z]+|[^\sA-Za-z\d]")
_TOKEN = re.compile(r"\d|[A-Za-z]+|[^\sA-Za-z\d]| (?=\d)")
_SENTENCE = re.compile(r"[^\s.][^.]*\.")


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
        """Give the reasoning with every planted sentence cut out."""
        return cut(self.reasoning, self.filler)


def split_of(question: str) -> Split:
    """Say which split a question belongs to: by a hash of its text, so that no question is ever in both."""
    digest = hashlib.sha256(question.encode("utf-8")).digest()
    return "test" if int.from_bytes(digest[:8], "big") % _TEST_SHARE == 0 else "train"


def cut(text: str, spans: Iterable[Span]) -> str:
    """Remove whole sentences from a text, each with the space that set it apart."""
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:].removeprefix(" ")
    return text.rstrip(" ")


def annotate(reasoning: str) -> tuple[tuple[tuple[int, int, str], ...], tuple[Span, ...]]:
    """Find the categories and the planted sentences of a chain, whoever wrote it.

    Everything in a planted sentence is meta-discourse; elsewhere each word has one label, wherever it stands.

    Parameters
    ----------
    reasoning
        A chain in the words of this module's problems.

    Returns
    -------
    categories, filler
        As in `Problem`.

    Raises
    ------
    ValueError
        If the chain holds a word that these problems do not use.
    """
    filler = tuple(match.span() for match in _SENTENCE.finditer(reasoning) if match.group() in _FILLER)
    categories = []
    for match in _PIECE.finditer(reasoning):
        start, end = match.span()
        if any(first <= start < last for first, last in filler):
            label = "meta_discourse"
        elif match.group().isdigit():
            label = "symbolic_math"
        else:
            try:
                label = _LEXICON[match.group().lower()]
            except KeyError:
                raise ValueError(f"no category is known for {match.group()!r}: not a chain of these problems") from None
        categories.append((start, end, label))
    return tuple(categories), filler


def generate(
    n: int, seed: int, *, steps: Sequence[int] = (2, 3, 4), split: Split = "train", filler_rate: float = 1.0
) -> list[Problem]:
    """Write word problems.

    Parameters
    ----------
    n
        How many.
    seed
        The same seed and settings give the same problems.
    steps
        Numbers of steps to draw from, each between 2 and 4; naming one twice draws it twice as often.
    split
        Which problems to give: a hash of the question decides, see `split_of`.
    filler_rate
        With what probability each planted sentence is in the chain. Training drops some at random, so that a chain
        without them is nothing strange to the model.

    Returns
    -------
    list of Problem
        No question occurs twice.
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
    subject = rng.choice(_BOYS if is_boy else _GIRLS)
    words = {"S": subject, "obj": rng.choice(_OBJECTS)} | (
        {"He": "He", "he": "he", "him": "him"} if is_boy else {"He": "She", "he": "she", "him": "her"}
    )
    friends = [name for name in _BOYS + _GIRLS if name != subject]
    setting, planted = rng.choice(_SETTINGS)
    value = rng.randint(4, 40)
    asked = [f"{setting}, " + "{S} has {v} {obj}.".format(**words, v=value)]
    told: list[str] = []
    if rng.random() < (0.4, 0.5, 0.15)[steps - 2]:  # long chains have no room for it
        told.append(rng.choice(_OPENINGS).format(**words, v=value))
    ending = rng.choice(_ENDINGS)
    to_go = steps
    while to_go > 0:
        words["F"] = rng.choice(friends)
        event, expressions, value = _draw_event(rng, words, value, to_go)
        asked.append(event)
        to_go -= len(expressions)
        for expression in expressions:
            told.append(_connect(rng, expression, is_first=not told))
        if expressions[-1].startswith("together"):
            ending = _ENDING_TOGETHER
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
    """Annotate a problem; None if its chain came out too short or too long."""
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
        return _tell(rng.choice(_GAINS), words, v + n, v=v, n=n, w=v + n)
    if kind == "loss":
        n = rng.randint(2, min(20, v - 1))
        return _tell(rng.choice(_LOSSES), words, v - n, v=v, n=n, w=v - n)
    if kind == "double":
        return _tell(rng.choice(_DOUBLES), words, 2 * v, v=v, w=2 * v)
    if kind == "half":
        return _tell(rng.choice(_HALVES), words, v // 2, v=v, w=v // 2)
    if kind == "compare":
        operator = rng.choice("++-*")
        n = rng.randint(2, min(20, v - 1))
        w = {"+": v + n, "-": v - n, "*": 2 * v}[operator]
        return _tell((*_COMPARISONS[operator], _TOGETHER), words, v + w, v=v, n=n, w=w, t=v + w)
    limit = LARGEST - v if kind == "packs in" else v - 1
    a = rng.randint(2, min(9, limit // 2))
    b = rng.randint(2, min(9, limit // a))
    w = v + a * b if kind == "packs in" else v - a * b
    template = _PACKS_IN if kind == "packs in" else _PACKS_OUT
    return _tell(template, words | {"holders": rng.choice(_HOLDERS)}, w, v=v, a=a, b=b, p=a * b, w=w)


def _tell(templates: Sequence[str], words: dict[str, str], value: int, **numbers: int) -> tuple[str, list[str], int]:
    question, *reasoning = (template.format(**words, **numbers) for template in templates)
    return question, reasoning, value
