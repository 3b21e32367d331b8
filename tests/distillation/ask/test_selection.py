"""Which response of each question becomes a chain, and where the others go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.contracts.task import Question
from tokimp.distillation.ask.batches import Judged
from tokimp.distillation.ask.layout import Layout
from tokimp.distillation.ask.selection import LengthFilter, select
from tokimp.errors import DistillationError
from tokimp.testing.random_models import byte_tokenizer

LAYOUT = Layout(byte_tokenizer())
NO_FILTER = LengthFilter(min_characters=0)


def judged(kind: str, reasoning: str = "so") -> Judged:
    """Return a response of a kind: right, wrong, at once (right without a reasoning) unsure or unsplit."""
    right = None if kind == "unsure" else kind in {"right", "at once"}
    if kind == "unsplit":
        return Judged(reasoning, "", "", parsed=False, right=False)
    reasoning = "" if kind == "at once" else reasoning
    return Judged(f"{reasoning} {kind}", reasoning, "7", parsed=True, right=right)


KINDS = st.lists(st.sampled_from(["right", "wrong", "at once", "unsure", "unsplit"]), min_size=1, max_size=6)


@given(st.lists(KINDS, min_size=1, max_size=8))
def test_every_response_goes_to_its_place(kinds: list[list[str]]) -> None:
    """The first right response with a reasoning is the question's chain; the counts add up to what was sampled."""
    questions = [Question(f"q{index}", "?", "7") for index in range(len(kinds))]
    found = select(questions, [[judged(kind) for kind in each] for each in kinds], LAYOUT, NO_FILTER)
    assert [(record["id"], record["sample"]) for record in found.chains] == [
        (f"q{index}", each.index("right")) for index, each in enumerate(kinds) if "right" in each
    ]
    flat = [kind for each in kinds for kind in each]
    counts = found.counts
    known = counts["right"] + counts["wrong"]
    assert counts["sampled"] == len(flat) == known + counts["not_known"] + counts["unsplittable"]
    assert len(found.wrong) == counts["wrong"] == flat.count("wrong")
    assert len(found.unsplit) == counts["unsplittable"] + counts["without_reasoning"] + counts["not_known"]
    unsure = [record for record in found.unsplit if record["why"] == "whether the answer is right is not known"]
    assert counts["not_known"] == flat.count("unsure") == len(unsure)
    assert all(record["right"] is None for record in unsure)
    assert counts["without_reasoning"] == flat.count("at once")
    assert counts["duplicates"] == sum(len(each) - len(set(each)) for each in kinds)
    assert counts["questions_right"] == sum(bool({"right", "at once"} & set(each)) for each in kinds)
    assert len({record["id"] for record in found.chains + found.wrong}) == len(found.chains) + len(found.wrong)


def test_chains_are_filtered_by_length() -> None:
    """Too few characters first, then more tokens than the percentile of the rest; a later right response is no help."""
    questions = [Question(f"q{length}", "?", "7", system="s") for length in (5, 10, 20, 30, 40, 50)]
    responses = [[judged("right", "x" * int(question.id[1:])), judged("right", "y" * 25)] for question in questions]
    found = select(questions, responses, LAYOUT, LengthFilter(min_characters=10, longest_percentile=75))
    assert [record["id"] for record in found.chains] == ["q10", "q20", "q30", "q40"]
    assert [(record["id"], record["dropped"]) for record in found.dropped] == [("q5", "short"), ("q50", "long")]
    assert (found.counts["dropped_short"], found.counts["dropped_long"], found.counts["kept"]) == (1, 1, 4)
    assert [record["reasoning_tokens"] for record in found.chains] == [10, 20, 30, 40]
    assert found.chains[0]["system"] == "s"


def test_a_text_that_no_result_can_hold_is_dropped() -> None:
    """A chain with a NUL in it is dropped and counted, since compare would refuse it."""
    found = select([Question("q", "?", "7")], [[judged("right", "so\0")]], LAYOUT, NO_FILTER)
    assert (found.chains, found.counts["dropped_unstorable"]) == ([], 1)


@pytest.mark.parametrize("lengths", [LengthFilter(min_characters=-1), LengthFilter(longest_percentile=0)])
def test_filters_that_make_no_sense_are_refused(lengths: LengthFilter) -> None:
    """A negative number of characters and a percentile that drops everything are refused by name."""
    with pytest.raises(DistillationError, match="is not allowed"):
        lengths.check()
