"""Word problems asked in other words."""

from __future__ import annotations

import re

from tokimp.chains.datasets import demo_chains
from tokimp.chains.datasets.paraphrases import paraphrase
from tokimp.chains.datasets.word_problem_words import BOYS, GIRLS
from tokimp.chains.datasets.word_problems import generate


def test_numbers_and_names_stay() -> None:
    """A paraphrase has the numbers of the question in their order, and at least its names."""
    for number, problem in enumerate(generate(100, seed=5)):
        said = paraphrase(problem.question, number)
        if said is None:
            continue
        assert said != problem.question
        assert re.findall(r"\d+", said) == re.findall(r"\d+", problem.question)
        names = [{n for n in BOYS + GIRLS if re.search(rf"\b{n}\b", text)} for text in (said, problem.question)]
        assert names[0] == names[1]
        assert len(said.split(". ")) == len(problem.question.split(". "))


def test_the_sentences_are_those_of_the_problems() -> None:
    """Every sentence of a paraphrase is one that the generator may write."""
    known = [
        r"(On|At|In|After) .*, \w+ has \d+ \w+\.",
        r"(He|She) (buys|finds|loses|sells|gets|gives) .*\.",
        r"\w+ (gives|brings|takes|doubles|has) .*\.",
        r"How many \w+ (does \w+ have now|are left|do they have in total)\?",
    ]
    for number, problem in enumerate(generate(100, seed=6)):
        said = paraphrase(problem.question, number)
        for sentence in re.findall(r"[^\s.?][^.?]*[.?]", said or ""):
            assert any(re.fullmatch(pattern, sentence) for pattern in known), sentence


def test_most_demo_chains_have_a_paraphrase_and_other_questions_have_none() -> None:
    """What is not one of these problems is left alone."""
    assert sum(paraphrase(chain.question, 0) is not None for chain in demo_chains()) >= 8
    assert paraphrase("What is the capital of France?", 0) is None
    assert paraphrase("Tom has 3 pens. They are red.", 0) is None


def test_what_is_said_in_one_group_is_said_in_another_sentence_of_it() -> None:
    """Giving to somebody becomes that somebody's taking, and the other way round."""
    question = "At home, Mia has 9 pens. She gives 3 to Tom. Ben takes 2 of them. How many pens are left?"
    assert paraphrase(question, 0) == (
        "At home, Mia has 9 pens. Tom takes 3 of them. She gives 2 to Ben. How many pens does Mia have now?"
    )
