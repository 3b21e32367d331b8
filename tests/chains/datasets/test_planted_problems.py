"""Planted word problems: what is planted is of no use, is marked, and the rest is a word problem as before."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import load_chains
from tokimp.chains.datasets.jsonl import save_chains
from tokimp.chains.datasets.planted_problems import KINDS, planted_problems
from tokimp.chains.datasets.word_problem_words import cut
from tokimp.chains.datasets.word_problems import split_of
from tokimp.errors import ChainError

STEP = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


def planted_texts(chain: Chain) -> list[tuple[str, str]]:
    """Return what is planted in a chain beside its filler: kind and text."""
    spans = zip(chain.filler or (), chain.filler_kinds or (), strict=True)
    return [(kind, chain.reasoning[start:end]) for (start, end), kind in spans if kind != "filler"]


def holds(step: tuple[str, str, str, str]) -> bool:
    """Return whether a step is right."""
    left, sign, right, result = step
    numbers = {"+": int(left) + int(right), "-": int(left) - int(right), "*": int(left) * int(right)}
    return int(left) == int(result) * int(right) if sign == "/" else numbers[sign] == int(result)


def of_kind(kind: str, n: int = 60) -> list[tuple[Chain, str]]:
    """Return chains with text of one kind, and that text."""
    chains = planted_problems(n, seed=3, kinds=(kind,))
    assert len(chains) == n
    return [(chain, planted_texts(chain)[0][1]) for chain in chains]


def test_kinds_take_turns_one_a_chain() -> None:
    """Each chain has text of one kind beside its filler, and the kinds come equally often."""
    chains = planted_problems(80, seed=1)
    kinds = [planted_texts(chain) for chain in chains]
    assert all(len(texts) == 1 for texts in kinds)
    assert set(Counter(texts[0][0] for texts in kinds).values()) == {20}
    assert len({chain.id for chain in chains}) == 80


def test_the_same_seed_gives_the_same_chains() -> None:
    """Chains follow from the seed, and fewer are the first of more."""
    assert planted_problems(8, seed=2) == planted_problems(8, seed=2)
    assert planted_problems(5, seed=2) == planted_problems(8, seed=2)[:5]
    assert planted_problems(8, seed=2) != planted_problems(8, seed=3)


@pytest.mark.parametrize("kind", KINDS)
def test_without_what_is_planted_every_step_is_right_and_leads_to_the_answer(kind: str) -> None:
    """What stays is the problem's own reasoning: right steps, whose last result is the answer."""
    for chain, _ in of_kind(kind):
        steps = STEP.findall(cut(chain.reasoning, chain.filler or ()))
        assert steps
        assert all(map(holds, steps))
        assert steps[-1][3] == chain.gold
        assert chain.answer == f"#### {chain.gold}"


def test_an_unused_step_is_right_and_its_result_is_used_by_nothing() -> None:
    """It starts from a number that is known there and told in the question, and no later step starts from its result.

    A number may come up again by chance, so it is the name in the step that must not come back.
    """
    for chain, text in of_kind("unused_step"):
        (step,) = STEP.findall(text)
        assert holds(step)
        name = text.split()[0]
        assert chain.reasoning.count(name) == 1
        assert f"{name} has {step[2]} " in chain.question
        assert chain.question.endswith("?")
        start = re.search(r" has (\d+) ", chain.question)
        assert start is not None
        assert step[0] in {start[1], chain.gold}


def test_a_repeated_step_stands_word_for_word_before() -> None:
    """The text that is planted is the copy, which comes after the original."""
    for chain, text in of_kind("repeated_step"):
        kinds = dict(zip(chain.filler_kinds or (), chain.filler or (), strict=True))
        assert chain.reasoning.index(text) < kinds["repeated_step"][0]


def test_a_distractor_names_the_person_and_the_things_and_no_number() -> None:
    """Both names are those that the question asks about."""
    for chain, text in of_kind("distractor"):
        asked = re.search(r"(\w+) has \d+ (\w+)\.", chain.question)
        assert asked is not None
        assert asked[1] in text
        assert asked[2] in text
        assert not re.search(r"\d", text)


def test_a_wrong_number_is_corrected_by_the_step_that_follows() -> None:
    """The wrong step has the operands of the right one, which comes next; its result differs."""
    for chain, text in of_kind("corrected_number"):
        (wrong,) = STEP.findall(text)
        assert not holds(wrong)
        assert text.endswith("That is wrong.")
        after = chain.reasoning[chain.reasoning.index(text) + len(text) :]
        assert STEP.findall(after)[0][:3] == wrong[:3]


def test_categories_cover_every_character_once() -> None:
    """Every character that is not a space lies in one category; what is planted is meta-discourse."""
    for chain in planted_problems(40, seed=4):
        covered = [0] * len(chain.reasoning)
        for span in chain.category:
            for place in range(span.start, span.end):
                covered[place] += 1
            in_filler = any(start <= span.start < end for start, end in chain.filler or ())
            assert not in_filler or span.label == "meta_discourse"
        assert covered == [0 if character == " " else 1 for character in chain.reasoning]


def test_questions_are_of_the_split() -> None:
    """The problems are of the split that was asked for: the embedded model saw none of the test problems."""
    for kind in ("repeated_step", "distractor", "corrected_number"):
        assert {split_of(chain.question) for chain, _ in of_kind(kind, 8)} == {"test"}


def test_the_name_word_problems_gives_them_and_a_file_keeps_them(tmp_path: Path) -> None:
    """`load_chains` makes them by name; written to a file and read again, they are the same, kinds included."""
    chains = load_chains("word_problems", limit=6)
    assert chains == planted_problems(6)
    save_chains(chains, tmp_path / "chains.jsonl")
    assert [replace(chain, source="") for chain in load_chains(tmp_path / "chains.jsonl")] == chains


def test_kinds_in_a_file_follow_the_reasoning_into_its_tags(tmp_path: Path) -> None:
    """Spans outside thinking tags go with their kinds, and a span without a kind is filler."""
    fields = {"id": "a", "question": "q", "answer": "1", "reasoning": "<think>ab cd</think>"}
    spans: list[dict[str, Any]] = [
        {"start": 0, "end": 5, "kind": "tag"},
        {"start": 7, "end": 9, "kind": "step"},
        {"start": 10, "end": 12},
    ]
    (tmp_path / "chains.jsonl").write_text(json.dumps({**fields, "filler": spans}), encoding="utf-8")
    (chain,) = load_chains(tmp_path / "chains.jsonl")
    assert (chain.filler, chain.filler_kinds) == (((0, 2), (3, 5)), ("step", "filler"))
    (tmp_path / "bad.jsonl").write_text(json.dumps({**fields, "filler": [{**spans[1], "kind": 3}]}), encoding="utf-8")
    with pytest.raises(ChainError, match=r"filler\[0\]: 'kind'"):
        load_chains(tmp_path / "bad.jsonl")


def test_unknown_kinds_are_refused() -> None:
    """The message lists the kinds there are."""
    with pytest.raises(ValueError, match="unused_step, repeated_step"):
        planted_problems(1, kinds=("noise",))
