"""The categorizer ``rules``: categories of English reasoning from a lexicon and a few patterns."""

from __future__ import annotations

import re
from typing import ClassVar

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.sentences import sentence_starts
from tokimp.contracts.categorizer import OTHER, Categorizer
from tokimp_categorizers.lexicon import LEXICON, PHRASES, SYMBOLS
from tokimp_categorizers.words import find_words

_NUMBER = re.compile(r"\d[\d,.]*$")
_COUNTING_WORDS = """one two three four five six seven eight nine ten eleven twelve hundred thousand million dozen many
more fewer less each every both all another remaining extra total"""
# After these a noun is something counted: "12 eggs", "twice as many books", "bags of rice", "each box".
_COUNTERS = frozenset(_COUNTING_WORDS.split())
# A word that opens a sentence is a name if one of these follows: "Eva has", "Eva buys".
_VERBS = frozenset(["has", "is", "was", "had", "will", "would", "can", "could", "does", "did", "and"]) | {
    word for word, label in LEXICON.items() if label == "verbal_math" and word.endswith(("s", "ed"))
}
_ARTICLES = frozenset(["a", "an", "the", "this", "that", "his", "her", "its", "their"])


class RulesCategorizer(Categorizer):
    """Gives categories by a lexicon and patterns, for English; a word that they do not cover is ``other``.

    The first of these rules that applies decides:

    1. numbers, operators, signs of currency and LaTeX commands are ``symbolic_math``, and so is a single letter other
       than "a" and "I" beside one of them;
    2. a phrase that speaks about the reasoning ("let us think", "so far so good") is ``meta_discourse``;
    3. a word of the lexicon has its category there (verbs of change such as "buys" are ``verbal_math``, and so are
       number words and units of measure);
    4. a capitalised word is an ``entity_name`` if somewhere in question or reasoning it does not open a sentence, or
       has a verb after it; so is a noun that is counted there ("12 eggs", "bags of rice");
    5. other signs are ``grammar``, other words ``other``.

    Words are looked at one at a time, so small talk in ordinary words is not recognised as meta-discourse.
    """

    name: ClassVar[str] = "rules"

    def categorize(self, chain: Chain) -> tuple[CategorySpan, ...]:
        """Return one span for each number, word and sign of the reasoning."""
        text = chain.reasoning
        words = list(find_words(text))
        entities = _entities(chain.question) | _entities(text)
        phrases = [match.span() for match in PHRASES.finditer(text)]
        spans = []
        for index, (start, end, word) in enumerate(words):
            neighbours = [words[i][2] for i in (index - 1, index + 1) if 0 <= i < len(words)]
            if _is_symbolic(word, neighbours):
                label = "symbolic_math"
            elif any(first <= start < last for first, last in phrases):
                label = "meta_discourse"
            else:
                label = _word_label(word, entities)
            spans.append(CategorySpan(start, end, label))
        return tuple(spans)


def _word_label(word: str, entities: set[str]) -> str:
    """Return the label of a word that is neither symbolic nor part of a phrase."""
    lower = word.lower().replace("\u2019", "'")
    for form in (lower, lower.removesuffix("'s")):
        if form in LEXICON:
            return LEXICON[form]
        if form in entities:
            return "entity_name"
    return OTHER if word[0].isalpha() else "grammar"


def _is_symbolic(word: str, neighbours: list[str]) -> bool:
    """Return whether a word is a number, operator, sign of currency, LaTeX command or variable."""
    if _is_formula(word):
        # A hyphen within words and brackets around words are punctuation; beside a number or sign they are not.
        return word not in "-()[]" or any(map(_is_formula, neighbours))
    return len(word) == 1 and word.isalpha() and word not in "aI" and any(other in SYMBOLS for other in neighbours)


def _is_formula(word: str) -> bool:
    return bool(_NUMBER.match(word)) or word[0] == "\\" or word in SYMBOLS


def _entities(text: str) -> set[str]:
    """Return, in lower case, the names in a text and the nouns that are counted in it."""
    openers = set(sentence_starts(text))
    words = list(find_words(text))
    entities = set()
    for index, (start, _, word) in enumerate(words):
        lower = word.lower().replace("\u2019", "'").removesuffix("'s")
        if not word[0].isalpha() or lower in LEXICON:
            continue
        preceding = [earlier.lower() for _, _, earlier in words[max(0, index - 2) : index]]
        following = words[index + 1][2].lower() if index + 1 < len(words) else ""
        is_name = word[0].isupper() and len(word) > 1 and (start not in openers or following in _VERBS)
        if is_name or _is_counted(preceding):
            entities.add(lower)
    return entities


def _is_counted(preceding: list[str]) -> bool:
    """Return whether the one or two words before a noun say that what it names is counted."""
    if not preceding:
        return False
    last = preceding[-1]
    if _NUMBER.match(last) or last in _COUNTERS or last == "of":
        return True
    if last in _ARTICLES and len(preceding) == 2:
        return preceding[0] in _COUNTERS | {"of"}
    # With an adjective between, as in "12 red apples"; the adjective itself counts as the word after the number.
    return len(preceding) == 2 and bool(_NUMBER.match(preceding[0])) and last not in LEXICON and last[0].isalpha()
