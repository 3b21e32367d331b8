"""Categories by rule: what each rule says, and what every categorizer must do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokimp_categorizers.rules import RulesCategorizer
from tokimp_categorizers.words import find_words

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.contracts.categorizer import Categorizer, categorize_chains
from tokimp.contracts.registry import load_categorizer
from tokimp.errors import CategorizerError, ChainError


def labels(reasoning: str, question: str = "?") -> dict[str, str]:
    """Return the label of each piece of a reasoning text."""
    chain = Chain("c", question, reasoning, "a")
    return {reasoning[s.start : s.end]: s.label for s in RulesCategorizer().categorize(chain)}


def test_each_kind_of_word_has_its_category() -> None:
    """Numbers and operators, words of change, names, pronouns, small words, and talk about the reasoning."""
    found = labels("Let us think. Ann buys 12 eggs, so she has 3+x=15.", "Ann has 3 eggs. How many eggs?")
    expected = {
        "Let": "meta_discourse",
        "think": "meta_discourse",
        "Ann": "entity_name",
        "eggs": "entity_name",
        "buys": "verbal_math",
        "12": "symbolic_math",
        "+": "symbolic_math",
        "x": "symbolic_math",
        "she": "coreference",
        ",": "grammar",
    }
    assert {piece: found[piece] for piece in expected} == expected


def test_what_rules_cannot_tell_is_other() -> None:
    """A word in no lexicon that is neither a name nor counted is called other."""
    assert labels("quickly they sleep")["quickly"] == "other"


@given(st.text(max_size=60))
def test_spans_are_in_order_apart_and_cover_every_piece(text: str) -> None:
    """Whatever the text, each piece has one label and nothing else has any."""
    chain = Chain("c", "?", f"x{text}", "a")
    (labelled,) = categorize_chains([chain], RulesCategorizer())
    assert [(s.start, s.end) for s in labelled.category] == [
        (start, end) for start, end, _ in find_words(chain.reasoning)
    ]


class Given(Categorizer):
    """Gives the spans it was made with."""

    name = "given"

    def __init__(self, *spans: CategorySpan) -> None:
        self.spans = spans

    def categorize(self, chain: Chain) -> tuple[CategorySpan, ...]:
        """Return the spans."""
        return self.spans


def test_a_categorizer_that_breaks_its_contract_is_named() -> None:
    """Spans that overlap or have no label, or lie outside the text, are errors with the chain's place."""
    chain = Chain("c", "?", "abcd", "a")
    for spans in ([CategorySpan(0, 2, "x"), CategorySpan(1, 3, "x")], [CategorySpan(0, 2, "")]):
        with pytest.raises(CategorizerError, match=r"'c'.*categorizer 'given'"):
            categorize_chains([chain], Given(*spans))
    with pytest.raises(ChainError, match="does not lie within"):
        categorize_chains([chain], Given(CategorySpan(0, 9, "x")))


def test_categorizers_are_plugins() -> None:
    """The rules load by name, and an instance is passed through."""
    assert isinstance(load_categorizer("rules"), RulesCategorizer)
    given = Given()
    assert load_categorizer(given) is given
