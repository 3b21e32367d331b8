"""A chain refuses, when it is made, what no model could be asked about."""

from __future__ import annotations

from typing import Any

import pytest

from tokimp.chains.chain import CategorySpan, Chain, TokenizedChain
from tokimp.errors import ChainError

GOOD: dict[str, Any] = {"id": "a", "question": "How many?", "reasoning": "So 7.", "answer": "7", "source": "f.jsonl:3"}


def test_only_the_question_may_be_empty() -> None:
    """An empty question and missing optional texts make a chain."""
    chain = Chain(**{**GOOD, "question": "", "gold": None, "system": None, "wrong_answer": None})
    assert (chain.question, chain.wrong_answer) == ("", None)


@pytest.mark.parametrize("field", ["reasoning", "answer", "wrong_answer"])
@pytest.mark.parametrize("blank", ["", " ", "\n\t\u00a0"])
def test_a_blank_text_is_refused(field: str, blank: str) -> None:
    """Blank reasoning, answer or wrong answer is an error that names the place, the chain and the field."""
    with pytest.raises(ChainError, match=rf"^f\.jsonl:3: chain 'a': the {field} is empty"):
        Chain(**{**GOOD, field: blank})


def test_an_empty_id_is_refused() -> None:
    """A chain without a name is an error that says where it was read."""
    with pytest.raises(ChainError, match=r"^f\.jsonl:3: .*empty id"):
        Chain(**{**GOOD, "id": ""})


@pytest.mark.parametrize("field", ["id", "question", "reasoning", "answer", "gold", "system", "wrong_answer"])
@pytest.mark.parametrize("value", [7, b"7", ["7"], None])
def test_what_is_no_text_is_refused(field: str, value: object) -> None:
    """An id or text of another type is an error that names field and type; only optional texts may be None."""
    if value is None and field in {"gold", "system", "wrong_answer"}:
        assert getattr(Chain(**{**GOOD, field: value}), field) is None
        return
    with pytest.raises(
        ChainError, match=rf"^f\.jsonl:3: chain .*: the {field} must be text, not {type(value).__name__}"
    ):
        Chain(**{**GOOD, field: value})


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 2), (0, 6)])
def test_a_category_lies_within_the_reasoning(start: int, end: int) -> None:
    """A labelled span that is empty, reversed or outside the reasoning is an error that shows it."""
    with pytest.raises(ChainError, match=rf"span {start}:{end} \('x'\) does not lie within"):
        Chain(**GOOD, category=(CategorySpan(start, end, "x"),))


def test_the_reasoning_lies_between_prompt_and_answer() -> None:
    """Its span cuts the reasoning's ids out of the whole sequence; the prompt is before, the answer after."""
    chain = TokenizedChain(Chain(**GOOD), (7, 8, 9), (4, 5), (1,), ((0, 3), (3, 5)), ((0,), (1,)))
    begin, end = chain.reasoning_span
    assert (chain.input_ids[:begin], chain.input_ids[begin:end], chain.input_ids[end:]) == ((7, 8, 9), (4, 5), (1,))


@pytest.mark.parametrize("kinds", [(), ("a", "b"), ("",)])
def test_each_span_of_filler_has_one_kind(kinds: tuple[str, ...]) -> None:
    """Kinds are one for each span, and none is empty."""
    with pytest.raises(ChainError, match=r"there are 1 spans of filler"):
        Chain("a", "q", "some text", "#### 1", filler=((0, 4),), filler_kinds=kinds)
