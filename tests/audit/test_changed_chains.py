"""Chains with one thing changed: that thing, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

from tokimp.audit.changed_chains import with_one_word_respelled, with_other_answers, with_paraphrased_questions
from tokimp.chains.chain import Chain
from tokimp.chains.datasets import demo_chains

CHAINS = demo_chains()


def word_spans(chain: Chain) -> list[tuple[int, int]]:
    """Return where the words of a chain are, as units are."""
    return [match.span() for match in re.finditer(r"\S+", chain.reasoning)]


def test_every_chain_gets_the_answer_of_another_with_another_answer() -> None:
    """Nothing but the answer differs, and no chain keeps its own."""
    changed = with_other_answers(CHAINS, seed=0)
    assert [chain.id for chain in changed] == [chain.id for chain in CHAINS]
    answers = {chain.answer for chain in CHAINS}
    for before, after in zip(CHAINS, changed, strict=True):
        assert after.answer in answers - {before.answer}
        assert replace(after, answer=before.answer, gold=before.gold, wrong_answer=before.wrong_answer) == before
    assert changed == with_other_answers(CHAINS, seed=0)
    assert changed != with_other_answers(CHAINS, seed=1)


def test_chains_with_one_answer_are_left_out() -> None:
    """Where no other answer is, none can be given."""
    same = [replace(chain, answer="#### 1") for chain in CHAINS]
    assert with_other_answers(same, seed=0) == []
    assert with_other_answers(CHAINS[:1], seed=0) == []
    one_differs = [*same[:3], replace(CHAINS[3], answer="#### 2")]
    assert [chain.answer for chain in with_other_answers(one_differs, seed=0)] == ["#### 2"] * 3 + ["#### 1"]


def test_a_paraphrase_changes_the_question_alone() -> None:
    """Questions that cannot be asked otherwise are left out."""
    other = Chain("x", "What is the capital of France?", "It is Paris.", "Paris")
    changed = with_paraphrased_questions([*CHAINS, other], seed=0)
    by_id = {chain.id: chain for chain in CHAINS}
    assert changed
    assert "x" not in {chain.id for chain in changed}
    for chain in changed:
        assert chain.question != by_id[chain.id].question
        assert replace(chain, question=by_id[chain.id].question) == by_id[chain.id]


def test_one_letter_of_one_word_changes_its_case() -> None:
    """All units stay where they are; a chain without a word, or whose units would move, is left out."""
    changed = with_one_word_respelled(CHAINS, word_spans, seed=0)
    assert len(changed) == len(CHAINS)
    for before, after in zip(CHAINS, changed, strict=True):
        differing = [i for i, (x, y) in enumerate(zip(before.reasoning, after.reasoning, strict=True)) if x != y]
        assert len(differing) == 1
        assert after.reasoning[differing[0]].swapcase() == before.reasoning[differing[0]]
        assert word_spans(after) == word_spans(before)
    numbers = Chain("n", "q", "1 + 2 = 3", "3")
    assert with_one_word_respelled([numbers], word_spans, seed=0) == []

    def moving(chain: Chain) -> list[tuple[int, int]]:
        return [(0, sum(map(str.isupper, chain.reasoning)))]

    assert with_one_word_respelled(CHAINS, moving, seed=0) == []
