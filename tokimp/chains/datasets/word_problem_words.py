"""The words of the word problems: the sentences they are made of, and the category of every word in them.

Problems use no other words, so the category of each word of a chain, and its useless sentences, are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Span = tuple[int, int]
"""The first character of a stretch of text, and one past its last."""

CATEGORIES = ("symbolic_math", "verbal_math", "entity_name", "coreference", "grammar", "meta_discourse")

BOYS = ("Tom", "Ben", "Sam", "Max", "Leo", "Paul", "Jack", "Carl")
GIRLS = ("Anna", "Mia", "Eva", "Lily", "Rosa", "Emma", "Nina", "Kate")
OBJECTS = ("apples", "pears", "books", "coins", "cards", "shells", "stamps", "pens", "eggs", "stones")
HOLDERS = ("bags", "boxes", "packs")

# Where the story is set, and the useless sentences that go with it: (after how many sentences, sentence), -1 meaning
# just before the conclusion. Tied to the setting so that a model decoding greedily learns to write them too.
SETTINGS: tuple[tuple[str, tuple[tuple[int, str], ...]], ...] = (
    ("On a sunny day", ((0, "The sun is out."), (1, "So far so good."))),
    ("On a rainy day", ((0, "Let us think step by step."), (2, "The rain does not matter."))),
    ("At the market", ((1, "The market is busy."), (-1, "We are nearly done."))),
    ("At school", ((-1, "School is fun."),)),
    ("In the park", ((1, "The park is green."),)),
    ("On Monday", ((0, "Let me see."), (2, "Let us go on."))),
    ("After lunch", ((-1, "That was easy."), (1, "Lunch was good."))),
    ("At home", ((0, "Let us go slowly."),)),
)
_FILLER = frozenset(sentence for _, planted in SETTINGS for _, sentence in planted)

# (in the question, in the reasoning). Reasoning sentences start in lower case: a connective may come before them.
GAINS = (
    ("{He} buys {n} more.", "{he} buys {n} more, so {v}+{n}={w}."),
    ("{He} finds {n} more.", "{he} finds {n} more, so {v}+{n}={w}."),
    ("{F} gives {him} {n}.", "{F} gives {him} {n}, so {v}+{n}={w}."),
    ("{F} brings {him} {n} more.", "adding {n} gives {v}+{n}={w}."),
    ("{He} gets {n} from {F}.", "adding {n} gives {v}+{n}={w}."),
)
LOSSES = (
    ("{He} gives {n} to {F}.", "{he} gives {n} to {F}, so {v}-{n}={w}."),
    ("{He} loses {n} of them.", "{he} loses {n} of them, so {v}-{n}={w}."),
    ("{He} sells {n} of them.", "{he} sells {n}, so {v}-{n}={w}."),
    ("{F} takes {n} of them.", "taking away {n} leaves {v}-{n}={w}."),
)
DOUBLES = (
    ("{He} gets as many again.", "twice as many is {v}*2={w}."),
    ("{F} doubles the number.", "{F} doubles this, so {v}*2={w}."),
)
HALVES = (
    ("{He} gives half of them to {F}.", "half of them is {v}/2={w}."),
    ("{He} loses half of them.", "losing half leaves {v}/2={w}."),
)
PACKS_IN = (
    "{He} buys {a} {holders} of {b}.",
    "{a} {holders} of {b} hold {a}*{b}={p}.",
    "adding them gives {v}+{p}={w}.",
)
PACKS_OUT = (
    "{He} sells {a} {holders} of {b}.",
    "{a} {holders} of {b} hold {a}*{b}={p}.",
    "taking them away leaves {v}-{p}={w}.",
)
COMPARISONS = {
    "+": ("{F} has {n} more than {him}.", "{F} has {n} more, so {v}+{n}={w}."),
    "-": ("{F} has {n} less than {him}.", "{F} has {n} less, so {v}-{n}={w}."),
    "*": ("{F} has twice as many.", "{F} has twice as many, so {v}*2={w}."),
}
TOGETHER = "together they have {v}+{w}={t}."
ENDINGS = (
    ("How many {obj} does {S} have now?", "So {S} has {v} {obj} now."),
    ("How many {obj} are left?", "Therefore {v} {obj} are left."),
)
ENDING_TOGETHER = ("How many {obj} do they have in total?", "So they have {v} {obj} in total.")
# Planted by `tokimp.chains.datasets.planted_problems`.
DISTRACTORS = ("{S} likes the {obj}.", "{S} tells {F} of the {obj}.", "The {obj} of {S} are nice.")
WRONG = "That is wrong."
OPENINGS = ("{S} starts with {v} {obj}.", "{S} has {v} {obj} at first.")

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
    **dict.fromkeys((word.lower() for word in (*BOYS, *GIRLS, *OBJECTS, *HOLDERS)), "entity_name"),
    **dict.fromkeys("+-*/=", "symbolic_math"),
    **dict.fromkeys(".,", "grammar"),
}
PIECE = re.compile(r"\d+|[A-Za-z]+|[^\sA-Za-z\d]")
SENTENCE = re.compile(r"[^\s.][^.]*\.")


def cut(text: str, spans: Iterable[Span]) -> str:
    """Return a text without some of its sentences, and without the spaces that set them apart."""
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:].removeprefix(" ")
    return text.rstrip(" ")


def annotate(reasoning: str) -> tuple[tuple[tuple[int, int, str], ...], tuple[Span, ...]]:
    """Return the categories and the planted sentences of a chain, whoever wrote it.

    Everything in a planted sentence is meta-discourse. Elsewhere each word has one label, wherever it stands.

    Parameters
    ----------
    reasoning
        A chain in the words of this module's problems.

    Returns
    -------
    categories, filler
        Labelled spans and spans of filler, as in `tokimp.chains.datasets.word_problems.Problem`.

    Raises
    ------
    ValueError
        If the chain holds a word that these problems do not use.
    """
    filler = tuple(match.span() for match in SENTENCE.finditer(reasoning) if match.group() in _FILLER)
    categories = []
    for match in PIECE.finditer(reasoning):
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
