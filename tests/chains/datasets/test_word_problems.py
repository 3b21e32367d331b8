"""The written word problems keep what they promise."""

from __future__ import annotations

import random
import re
from operator import add, floordiv, mul, sub

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.chains.datasets.word_problem_words import CATEGORIES, annotate
from tokimp.chains.datasets.word_problems import (
    LONGEST_CHAIN,
    SHORTEST_CHAIN,
    Problem,
    draw_expression,
    generate,
    split_of,
)

OPERATIONS = {"+": add, "-": sub, "*": mul, "/": floordiv}
EXPRESSION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")
seeds = st.integers(min_value=0, max_value=2**32)


def draw(seed: int, **options: object) -> list[Problem]:
    """Draw a handful of problems."""
    return generate(8, seed, **options)  # type: ignore[arg-type]  # the tests below name real options only


def holds(left: str, sign: str, right: str, result: str) -> bool:
    """Recompute one expression; a quotient must also leave no remainder."""
    exact = sign != "/" or int(left) % int(right) == 0
    return exact and OPERATIONS[sign](int(left), int(right)) == int(result)


@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_every_expression_of_a_chain_holds_and_the_last_gives_the_gold_answer(seed: int) -> None:
    """Each expression in the reasoning is right, there is one a step, and the last result is the answer."""
    for problem in draw(seed):
        expressions = EXPRESSION.findall(problem.reasoning)
        assert len(expressions) == problem.steps
        assert all(holds(*expression) for expression in expressions)
        assert expressions[-1][3] == problem.gold
        assert re.findall(r"\d+", problem.reasoning)[-1] == problem.gold
        assert problem.answer == f"#### {problem.gold}"


@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_each_operand_is_known_before_it_is_used(seed: int) -> None:
    """An operand is stated in the question, was computed before, or is the two of doubling and halving."""
    for problem in draw(seed):
        known = {*re.findall(r"\d+", problem.question), "2"}
        for left, _, right, result in EXPRESSION.findall(problem.reasoning):
            assert {left, right} <= known
            known.add(result)


@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_numbers_have_at_most_two_digits(seed: int) -> None:
    """No number of a problem exceeds 99 or falls below 1."""
    for problem in draw(seed):
        numbers = [int(text) for text in re.findall(r"\d+", f"{problem.question} {problem.reasoning}")]
        assert min(numbers) >= 1
        assert max(numbers) <= 99


@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_categories_partition_the_reasoning(seed: int) -> None:
    """Every character that is not a space lies in exactly one span, no space in any, and spans come in order."""
    for problem in draw(seed):
        covered = [0] * len(problem.reasoning)
        for start, end, label in problem.categories:
            assert label in CATEGORIES
            assert start < end
            for place in range(start, end):
                covered[place] += 1
        assert covered == [int(character != " ") for character in problem.reasoning]
        assert list(problem.categories) == sorted(problem.categories)


@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_filler_can_be_cut_without_losing_any_number(seed: int) -> None:
    """What is left after cutting the planted sentences holds the same numbers, whole sentences and single spaces."""
    for problem in draw(seed):
        assert problem.filler
        left = problem.without_filler()
        assert re.findall(r"\d+", left) == re.findall(r"\d+", problem.reasoning)
        assert EXPRESSION.findall(left) == EXPRESSION.findall(problem.reasoning)
        assert re.fullmatch(r"[A-Z\d][^.]*\.( [A-Z\d][^.]*\.)*", left)
        assert "  " not in left
        assert annotate(left)[1] == ()


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_filler_spans_are_whole_sentences_of_meta_discourse(seed: int) -> None:
    """A planted span starts with a capital, ends with its full stop, and holds meta-discourse alone."""
    for problem in draw(seed):
        for start, end in problem.filler:
            assert re.fullmatch(r"[A-Z][^.]*\.", problem.reasoning[start:end])
            labels = {label for first, _, label in problem.categories if start <= first < end}
            assert labels == {"meta_discourse"}


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_numbers_and_operators_alone_are_symbolic_math(seed: int) -> None:
    """A span is symbolic math if and only if it is a number or an arithmetic sign."""
    for problem in draw(seed):
        for start, end, label in problem.categories:
            symbolic = re.fullmatch(r"\d+|[-+*/=]", problem.reasoning[start:end]) is not None
            assert symbolic == (label == "symbolic_math")


def test_every_category_occurs() -> None:
    """A few dozen problems use all six categories."""
    assert {label for p in generate(50, 0) for _, _, label in p.categories} == set(CATEGORIES)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, split=st.sampled_from(["train", "test"]))
def test_a_question_is_in_the_split_its_hash_names(seed: int, split: str) -> None:
    """Whatever the seed, a split holds only questions whose hash says so: the two splits cannot meet."""
    assert {split_of(problem.question) for problem in draw(seed, split=split)} == {split}


def test_no_test_question_is_a_training_question() -> None:
    """Many problems of both splits, drawn with the same seed, share no question and repeat none."""
    train = [problem.question for problem in generate(2000, 5)]
    test = [problem.question for problem in generate(500, 5, split="test")]
    assert len({*train, *test}) == 2500


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_same_seed_same_problems(seed: int) -> None:
    """The seed decides, and the global random state is neither used nor touched."""
    before = random.getstate()
    first = draw(seed)
    random.seed(0)
    assert draw(seed) == first
    random.setstate(before)
    draw(seed)
    assert random.getstate() == before
    assert draw(seed + 1) != first


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_steps_asked_for_are_given(steps: int) -> None:
    """Asking for problems of so many steps gives these alone, and each chain has 25 to 80 words, digits and signs."""
    for problem in generate(100, 1, steps=(steps,)):
        assert problem.steps == steps
        pieces = re.findall(r"\d|[A-Za-z]+|[^\sA-Za-z\d]| (?=\d)", problem.reasoning)
        assert SHORTEST_CHAIN <= len(pieces) <= LONGEST_CHAIN


@pytest.mark.parametrize("steps", [(), (1,), (2, 5)])
def test_impossible_steps_are_refused(steps: tuple[int, ...]) -> None:
    """A number of steps that cannot be drawn is named in the error."""
    with pytest.raises(ValueError, match="2, 3 and 4"):
        generate(1, 0, steps=steps)


def test_filler_rate_decides_how_much_filler_is_planted() -> None:
    """At 0 no chain has filler, at 1 each has, in between some lack it."""
    assert not any(p.filler for p in generate(100, 2, filler_rate=0.0))
    assert all(p.filler for p in generate(100, 2, filler_rate=1.0))
    assert 0 < sum(not p.filler for p in generate(100, 2, filler_rate=0.5)) < 100


@settings(max_examples=200)
@given(seed=seeds)
def test_a_drawn_sum_is_right(seed: int) -> None:
    """A bare sum holds and stays within two digits."""
    match = EXPRESSION.fullmatch(draw_expression(random.Random(seed)))  # noqa: S311  # sums, not secrets
    assert match is not None
    assert holds(*match.groups())
    assert max(int(match[1]), int(match[3]), int(match[4])) <= 99
