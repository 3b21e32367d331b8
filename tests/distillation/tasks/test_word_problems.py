"""Word problems as a task: made on the spot, answered after ``####``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.datasets.word_problems import generate, split_of
from tokimp.distillation.tasks.word_problems import WordProblems
from tokimp.errors import TaskError

TASK = WordProblems()


def test_questions_are_of_their_split_and_the_same_again() -> None:
    """A split has only its own questions, a higher limit begins with the same ones, and another seed makes others."""
    for split in ("train", "test"):
        questions = TASK.questions(limit=30, seed=4, split=split)
        assert {split_of(question.text) for question in questions} == {split}
        assert TASK.questions(limit=10, seed=4, split=split) == questions[:10]
        assert TASK.questions(limit=10, seed=5, split=split)[0].text != questions[0].text
    assert len({question.id for split in ("train", "test") for question in TASK.questions(limit=5, split=split)}) == 10


def test_steps_are_a_parameter() -> None:
    """Problems have only the numbers of steps asked for."""
    questions = WordProblems(steps=[4]).questions(limit=5, split="train")
    assert [question.text for question in questions] == [each.question for each in generate(5, 0, steps=[4])]


@given(st.integers(0, 500))
def test_every_generated_chain_is_split_and_right(seed: int) -> None:
    """The generator's own chain, written as a response, gives reasoning and answer back, and the answer is right."""
    problem = generate(1, seed, split="test")[0]
    parts = TASK.split(f"{problem.reasoning}\n{problem.answer}")
    assert parts == (problem.reasoning, problem.answer)
    assert TASK.is_right(problem.answer, problem.gold)
    assert not TASK.is_right(problem.answer, str(int(problem.gold) + 1))


@pytest.mark.parametrize(
    ("response", "parts"),
    [
        ("So 7.\n#### 7\n\nTom has 3 pens.\n#### 9", ("So 7.", "#### 7")),
        ("#### 7", ("", "#### 7")),
        ("So 7.\n####7", ("So 7.", "####7")),
        ("So 7.\n#### ", None),
        ("So 7. #### 7", None),
        ("So 7.", None),
        ("", None),
    ],
)
def test_where_a_response_is_divided(response: str, parts: tuple[str, str] | None) -> None:
    """The first line that begins with #### and says something is the answer; without one there is none."""
    assert TASK.split(response) == parts


def test_what_it_cannot_give_is_refused() -> None:
    """A source, no limit, an unknown split and unknown steps are errors that name them."""
    with pytest.raises(TaskError, match=r"leave the source 'a\.jsonl' out"):
        TASK.questions("a.jsonl", limit=1)
    with pytest.raises(TaskError, match="limit must say how many"):
        TASK.questions()
    with pytest.raises(TaskError, match="no split 'dev'"):
        TASK.questions(limit=1, split="dev")
    with pytest.raises(TaskError, match=r"word_problems: steps=\[5\] is not allowed"):
        WordProblems(steps=[5]).validate_parameters()
