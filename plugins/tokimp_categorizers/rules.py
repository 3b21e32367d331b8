"""``rules``: categories of English reasoning from a lexicon and a few patterns."""

from __future__ import annotations

import re
from typing import ClassVar

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.units import sentence_starts
from tokimp.contracts.categorizer import OTHER, Categorizer
from tokimp_categorizers.label_check import pieces
from tokimp_categorizers.lexicon import LEXICON, PHRASES, SYMBOLS

_NUMBER = re.compile(r"\d[\d,.]*$")
_COUNTING_WORDS = """one two three four five six seven eight nine ten eleven twelve hundred thousand million dozen many
more fewer less each every both all another remaining extra total"""
# After these a noun is something counted: "12 eggs", "twice as many books", "bags of rice", "each box".
_COUNTERS = frozenset(_COUNTING_WORDS.split())
# A word that opens a sentence is a name where one of these follows: "Eva has", "Eva buys".
_VERBS = frozenset(["has", "is", "was", "had", "will", "would", "can", "could", "does", "did", "and"]) | {
    word for word, label in LEXICON.items() if label == "verbal_math" and word.endswith(("s", "ed"))
}
_ARTICLES = frozenset(["a", "an", "the", "this", "that", "his", "her", "its", "their"])


class RulesCategorizer(Categorizer):
    """Categories from a lexicon and patterns, for English; what they cannot tell is ``other``.

    In this order, the first that applies:

    1. numbers, operators, signs of currency and LaTeX commands are ``symbolic_math``, and so is a single letter other
       than "a" and "I" that stands beside one of them;
    2. a phrase that speaks about the reasoning ("let us think", "so far so good") is ``meta_discourse``;
    3. a word of the lexicon has its category there (verbs of change such as "buys" are ``verbal_math``, and so are
       number words and units of measure);
    4. a capitalised word is an ``entity_name`` if, somewhere in question or reasoning, it does not open a sentence or
       has a verb after it, and so is a noun that is counted there ("12 eggs", "bags of rice");
    5. other signs are ``grammar``; other words are ``other``.

    Words are looked at one at a time: a sentence of small talk in ordinary words is not recognised as meta-discourse.
    """

    name: ClassVar[str] = "rules"

    def categorize(self, chain: Chain) -> tuple[CategorySpan, ...]:
        """Return one span for each number, word and sign of the reasoning."""
        text = chain.reasoning
        found = list(pieces(text))
        entities = _entities(chain.question) | _entities(text)
        phrases = [match.span() for match in PHRASES.finditer(text)]
        spans = []
        for index, (start, end, piece) in enumerate(found):
            beside = [found[i][2] for i in (index - 1, index + 1) if 0 <= i < len(found)]
            if _is_symbolic(piece, beside):
                label = "symbolic_math"
            elif any(first <= start < last for first, last in phrases):
                label = "meta_discourse"
            else:
                label = _word_label(piece, entities)
            spans.append(CategorySpan(start, end, label))
        return tuple(spans)


def _word_label(piece: str, entities: set[str]) -> str:
    word = piece.lower().replace("\u2019", "'")
    for form in (word, word.removesuffix("'s")):
        if form in LEXICON:
            return LEXICON[form]
        if form in entities:
            return "entity_name"
    return OTHER if piece[0].isalpha() else "grammar"


def _is_symbolic(piece: str, beside: list[str]) -> bool:
    if _NUMBER.match(piece) or piece[0] == "\\" or piece in SYMBOLS:
        # A hyphen within words and brackets around words are punctuation; beside a number or sign they are not.
        return piece not in "-()[]" or any(map(_is_formula, beside))
    return len(piece) == 1 and piece.isalpha() and piece not in "aI" and any(other in SYMBOLS for other in beside)


def _is_formula(piece: str) -> bool:
    return bool(_NUMBER.match(piece)) or piece[0] == "\\" or piece in SYMBOLS


def _entities(text: str) -> set[str]:
    """Return, in lower case, the names in a text and the nouns that are counted in it."""
    openers = set(sentence_starts(text))
    words = list(pieces(text))
    names = set()
    for index, (start, _, piece) in enumerate(words):
        word = piece.lower().replace("\u2019", "'").removesuffix("'s")
        if not piece[0].isalpha() or word in LEXICON:
            continue
        before = [earlier.lower() for _, _, earlier in words[max(0, index - 2) : index]]
        after = words[index + 1][2].lower() if index + 1 < len(words) else ""
        is_name = piece[0].isupper() and len(piece) > 1 and (start not in openers or after in _VERBS)
        if is_name or _is_counted(before):
            names.add(word)
    return names


def _is_counted(before: list[str]) -> bool:
    """Whether the one or two pieces before a word say that what it names is counted."""
    if not before:
        return False
    last = before[-1]
    if _NUMBER.match(last) or last in _COUNTERS:
        return True
    if last == "of":
        return True
    if last in _ARTICLES and len(before) == 2:
        return before[0] in _COUNTERS | {"of"}
    # An adjective between: "12 red apples"; the adjective itself has been met as the word after the number.
    return len(before) == 2 and bool(_NUMBER.match(before[0])) and last not in LEXICON and last[0].isalpha()
