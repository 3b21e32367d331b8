"""Chains as a student is trained on them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.datasets import SkippedRecord
from tokimp.distillation.examples import TrainingExample, hold_out, training_examples
from tokimp.errors import TrainingError
from tokimp.testing.random_models import byte_tokenizer
from tokimp.tokenization import tokenize_chain

from .students import CHAINS

TOKENIZER = byte_tokenizer()


def test_a_student_reads_the_ids_that_a_scorer_reads_and_learns_to_stop() -> None:
    """Ids are those of tokenize_chain, with the end token where the format writes none; labels leave out the prompt."""
    for example, chain in zip(training_examples(CHAINS, TOKENIZER), CHAINS, strict=True):
        tokens = tokenize_chain(chain, TOKENIZER)
        assert example.input_ids == (*tokens.input_ids, TOKENIZER.eos_token_id)
        assert example.labels[: len(tokens.prompt_ids)] == [-100] * len(tokens.prompt_ids)
        assert example.labels[len(tokens.prompt_ids) :] == list(example.input_ids[len(tokens.prompt_ids) :])


def test_a_chat_template_closes_the_turn_itself() -> None:
    """With a chat template nothing is put after what the template writes."""
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant: {% endif %}"
    )
    (example,) = training_examples(CHAINS[:1], tokenizer)
    tokens = tokenize_chain(CHAINS[0], tokenizer)
    assert tokens.prompt_format == "chat"
    assert example.input_ids == tokens.input_ids
    assert example.input_ids[-1] == tokenizer.eos_token_id


def test_a_student_that_could_not_learn_to_stop_is_refused() -> None:
    """The format plain needs an end-of-sequence token; the message says so."""
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(TrainingError, match="learn to stop"):
        training_examples(CHAINS, tokenizer)


def test_longer_chains_are_left_out_and_named() -> None:
    """A chain that does not fit is not cut off; if none fits, that is an error."""
    left_out: list[SkippedRecord] = []
    long = dataclasses.replace(CHAINS[0], id="long", reasoning="x" * 200)
    kept = training_examples([*CHAINS, long], TOKENIZER, max_length=100, left_out=left_out)
    assert [example.id for example in kept] == [chain.id for chain in CHAINS]
    assert [record.id for record in left_out] == ["long"]
    assert "max_length=100" in left_out[0].reason
    with pytest.raises(TrainingError, match="all 12 chains have more than 3 tokens"):
        training_examples(CHAINS, TOKENIZER, max_length=3)


@given(st.integers(2, 60), st.floats(0.01, 0.5), st.integers(0, 5))
def test_holding_out_divides_by_id(count: int, share: float, seed: int) -> None:
    """Both sides together are all examples; the share is met; other ids of the same set do not move with the text."""
    examples = [TrainingExample(f"id{index}", (1, 2, index), 1) for index in range(count)]
    training, held = hold_out(examples, share, seed)
    assert sorted(example.id for example in (*training, *held)) == sorted(example.id for example in examples)
    assert len(held) == max(1, round(share * count))
    shorter = [TrainingExample(example.id, (1, 2), 1) for example in examples]
    assert [example.id for example in hold_out(shorter, share, seed)[1]] == [example.id for example in held]


@given(st.integers(2, 8), st.integers(1, 4), st.floats(0.01, 0.5), st.integers(0, 5))
def test_chains_of_one_question_are_held_out_together(count: int, of_each: int, share: float, seed: int) -> None:
    """The share is one of questions; those held out are the same if one chain of each is missing."""
    examples = [
        TrainingExample(f"id{question}{chain}", (1, 2), 1, question=f"How many?{' ' * chain}{question}")
        for question in range(count)
        for chain in range(1, of_each + 1)
    ]
    training, held = hold_out(examples, share, seed)
    assert not {each.question.split()[-1] for each in training} & {each.question.split()[-1] for each in held}
    assert len(held) == of_each * max(1, round(share * count))
    fewer = [each for each in examples if not each.id.endswith("1")] if of_each > 1 else examples
    assert hold_out(fewer, share, seed)[1] == [each for each in held if each in fewer]


def test_nothing_left_to_train_on_is_refused() -> None:
    """One chain, or several of one question, cannot be both trained on and held out."""
    with pytest.raises(TrainingError, match="of 2 chains none is left"):
        hold_out([TrainingExample(name, (1, 2), 1, question="?") for name in "ab"], 0.5, 0)
    with pytest.raises(TrainingError, match="none is left"):
        hold_out([TrainingExample("a", (1, 2), 1)], 0.5, 0)
