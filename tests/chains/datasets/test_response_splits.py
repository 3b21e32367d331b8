"""Responses that hold reasoning and answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.datasets.response_splits import RESPONSE_SPLITS, ResponseSplit, split_response

PATTERN = "(?m)^####"


@pytest.mark.parametrize(
    ("how", "pattern", "response", "parts"),
    [
        ("think", None, "<think>\nSo 7.\n</think>\n\nIt is 7.\n", ("So 7.", "It is 7.")),
        ("think", None, "So 7.\n</think>\nIt is 7.", ("So 7.", "It is 7.")),
        ("think", None, "[THINK]So 7.[/THINK]7", ("So 7.", "7")),
        ("last-sentence", None, r"We get $3+4$. So it is $\boxed{7}$.", ("We get $3+4$.", r"So it is $\boxed{7}$.")),
        ("last-line", None, "3 + 4 = 7\nA: 7\n\n", ("3 + 4 = 7", "A: 7")),
        ("regex", PATTERN, "3 + 4 = 7\n#### 6\nNo.\n#### 7", ("3 + 4 = 7\n#### 6\nNo.", "#### 7")),
        ("regex", "(?s)(?P<reasoning>.*) => (?P<answer>.*)", "3 + 4 => 7 eggs", ("3 + 4", "7 eggs")),
    ],
)
def test_where_the_answer_begins(
    how: ResponseSplit, pattern: str | None, response: str, parts: tuple[str, str]
) -> None:
    """Each way of splitting finds its place, and takes white space off both parts."""
    assert split_response(response, how, pattern) == parts


@pytest.mark.parametrize(
    ("how", "response", "reason"),
    [
        ("think", "So 7. It is 7.", "no tag of thinking"),
        ("think", "<think>So 7 and", "not closed"),
        ("think", "<think>So</think>7<think>No</think>8", "several tags"),
        ("think", "Well. <think>So</think>7", "before the opening tag"),
        ("think", "<think>So 7.</thought>7", "do not match"),
        ("think", "<think>\n</think>7", "nothing stands between"),
        ("think", "<think>So 7.</think>\n", "nothing stands after"),
        ("last-sentence", "It is 7.", "only one sentence"),
        ("last-line", "It is 7.\n", "only one line"),
        ("last-line", " \n", "empty"),
        ("regex", "It is 7.", "does not match"),
        ("regex", "#### 7", "leaves no reasoning"),
    ],
)
def test_what_cannot_be_split_is_said(how: ResponseSplit, response: str, reason: str) -> None:
    """Nothing is guessed: the reason is one of a few, and holds no part of the response."""
    with pytest.raises(ValueError, match=reason) as caught:
        split_response(response, how, PATTERN if how == "regex" else None)
    assert "7" not in str(caught.value)


@given(response=st.lists(st.sampled_from([*"ab .\n#", "<think>", "</think>", "So. "]), max_size=12).map("".join))
@pytest.mark.parametrize("how", RESPONSE_SPLITS)
def test_no_character_is_lost_or_made(how: ResponseSplit, response: str) -> None:
    """Both parts together are the response, tags of thinking and white space aside."""
    try:
        reasoning, answer = split_response(response, how, PATTERN if how == "regex" else None)
    except ValueError:
        return
    whole = response.replace("<think>", "").replace("</think>", "") if how == "think" else response
    assert "".join((reasoning + answer).split()) == "".join(whole.split())
    assert reasoning.strip() == reasoning != ""
    assert answer.strip() == answer != ""
