"""Chains as a student is trained on them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.distillation.students import CHAINS
from tokimp.chains.datasets import SkippedRecord
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.contracts.trainer import TrainingExample
from tokimp.distillation.train.examples import hold_out, training_examples
from tokimp.errors import TrainingError
from tokimp.testing.random_models import byte_tokenizer

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


@given(st.integers(40, 80), st.floats(0.2, 0.5), st.integers(0, 5), st.data())
def test_holding_out_divides_by_question(count: int, share: float, seed: int, data: st.DataObject) -> None:
    """Both sides are all examples; a question's chains stay together, whatever their text and whichever are missing."""
    examples = [TrainingExample(f"id{n}", (1, 2, n), 1, f"question {n // 2}") for n in range(2 * count)]
    training, held = hold_out(examples, share, seed)
    assert sorted(each.id for each in (*training, *held)) == sorted(each.id for each in examples)
    sides = [{each.question for each in side} for side in (training, held)]
    assert not sides[0] & sides[1]
    assert abs(len(sides[1]) - share * count) < 5 * (count * share * (1 - share)) ** 0.5
    gone = data.draw(st.sets(st.sampled_from([each.id for each in examples]), max_size=count // 2))
    shorter = [TrainingExample(each.id, (1, 2), 1, each.question) for each in examples if each.id not in gone]
    again = [each.id for each in hold_out(shorter, share, seed)[1]]
    assert again == [each.id for each in held if each.id not in gone]


def test_nothing_on_one_side_is_refused() -> None:
    """One chain cannot be both trained on and held out: the message says which side is empty, and what to do."""
    one = TrainingExample("a", (1, 2), 1, "1+1?")
    said = set()
    for seed in range(8):
        with pytest.raises(TrainingError, match="another validation_seed") as raised:
            hold_out([one], 0.5, seed)
        said.add("left to train on" in str(raised.value))
    assert said == {True, False}
