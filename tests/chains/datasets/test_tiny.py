"""The embedded model is small, loads offline, encodes anything, and reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from tokimp.chains.datasets.word_problem_words import CATEGORIES, annotate
from tokimp.chains.datasets.word_problems import Problem, generate, split_of

DATASETS = Path(str(files("tokimp") / "chains" / "datasets"))
TINY = DATASETS / "tiny"
DEMOS = [json.loads(line) for line in (DATASETS / "demo_chains.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """Load the shipped tokenizer."""
    return AutoTokenizer.from_pretrained(TINY, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    """Load the shipped weights, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32, local_files_only=True)
    torch.set_num_threads(threads)


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenise one span apart from its neighbours."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def go_on(model: Any, tokenizer: PreTrainedTokenizerBase, starts: Sequence[tuple[str, ...]]) -> list[str]:
    """Write greedily after each start, given as a question and the spans to follow it, all tokenised apart."""
    prompts = [
        [
            tokenizer.bos_token_id,
            *encode(tokenizer, question + "\n"),
            *(i for span in spans for i in encode(tokenizer, span)),
        ]
        for question, *spans in starts
    ]
    inputs = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs, do_sample=False, max_new_tokens=130)
    return list(tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def share_right(texts: list[str], problems: list[Problem]) -> float:
    """Say which share of the texts end in the right answer."""
    right = [text.rpartition("####")[2].strip() == p.gold for text, p in zip(texts, problems, strict=True)]
    return sum(right) / len(right)


def test_the_model_reasons_its_way_to_the_answer(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """With a chain of its own it solves at least 90 of 100 unseen problems; made to answer at once, at most 15."""
    problems = generate(100, 11, split="test")
    assert share_right(go_on(model, tokenizer, [(p.question,) for p in problems]), problems) >= 0.9
    assert share_right(go_on(model, tokenizer, [(p.question, "\n####") for p in problems]), problems) <= 0.15


def test_the_answer_rests_on_the_steps_and_not_on_the_filler(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """After a chain without its filler the model answers right; after the filler alone it hardly ever does."""
    problems = generate(100, 12, split="test")
    filler = [" ".join(p.reasoning[start:end] for start, end in p.filler) for p in problems]
    without = [(p.question, p.without_filler(), "\n####") for p in problems]
    alone = [(p.question, text, "\n####") for p, text in zip(problems, filler, strict=True)]
    assert share_right(go_on(model, tokenizer, without), problems) >= 0.95
    assert share_right(go_on(model, tokenizer, alone), problems) <= 0.2


@settings(deadline=None, max_examples=300)
@example("a <|bos|> b<|eos|>\n <|pad|>")
@example("  two  spaces , and a stop . don't\r\n\t")
@example("\x00\u0130 e\u0301 \U0001f9ee 漢字 ٣½²")
@given(text=st.text())
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """Decoding what was encoded gives the same text, whatever the text."""
    assert tokenizer.decode(encode(tokenizer, text), clean_up_tokenization_spaces=False) == text
    assert tokenizer.decode(encode(tokenizer, text)) == text


@given(text=st.text(alphabet="0123456789+-*/= .", min_size=1))
def test_each_digit_is_a_token(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """No token holds a digit and anything else."""
    for token in encode(tokenizer, text):
        piece = tokenizer.decode([token])
        assert len(piece) == 1 or not any(character.isdigit() for character in piece)


def test_every_byte_has_a_token(tokenizer: PreTrainedTokenizerBase) -> None:
    """The vocabulary has the 256 single bytes and no more than 1024 entries in all."""
    single = [token for token in tokenizer.get_vocab() if len(token) == 1]
    assert len(single) == 256
    assert len(tokenizer) <= 1024


def test_a_reloaded_tokenizer_is_the_same(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    """Saving and loading changes neither the vocabulary nor how a problem is encoded."""
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert again.get_vocab() == tokenizer.get_vocab()
    for demo in DEMOS:
        assert encode(again, demo["reasoning"]) == encode(tokenizer, demo["reasoning"])


def test_special_tokens_stand_where_expected(tokenizer: PreTrainedTokenizerBase) -> None:
    """The beginning is marked when special tokens are asked for, the end never is, and there is no chat template."""
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<|bos|>", "<|eos|>", "<|pad|>")
    assert tokenizer("2+2")["input_ids"] == [tokenizer.bos_token_id, *encode(tokenizer, "2+2")]
    assert tokenizer.chat_template is None


def test_the_model_is_small_enough_to_ship(model: Any) -> None:
    """The weights are under 4 MB, the folder under 5 MB, and at least 512 positions fit."""
    assert (TINY / "model.safetensors").stat().st_size < 4_000_000
    assert sum(path.stat().st_size for path in TINY.iterdir()) < 5_000_000
    assert model.config.max_position_embeddings >= 512


def test_the_card_states_the_figures_measured() -> None:
    """The model card names the number of problems, the seed, the command and the licence."""
    card = (TINY / "README.md").read_text(encoding="utf-8")
    for stated in ("1000 unseen problems", "seed", "examples/train_tiny.py", "MIT", "made to answer at once"):
        assert stated in card


def test_demo_chains_are_what_the_model_writes(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """The model, asked a demo question, writes that chain and that answer, but for a near-tie on another machine."""
    written = go_on(model, tokenizer, [(demo["question"],) for demo in DEMOS])
    same = [text == f"{demo['reasoning']}\n{demo['answer']}" for text, demo in zip(written, DEMOS, strict=True)]
    assert sum(same) >= len(DEMOS) - 2


@pytest.mark.parametrize("demo", DEMOS, ids=[demo["id"] for demo in DEMOS])
def test_demo_chains_are_right_unseen_and_annotated(
    demo: dict[str, object], tokenizer: PreTrainedTokenizerBase
) -> None:
    """A demo chain is of the test split, sound in every step, of fair length, and its spans are those of its words."""
    question, reasoning = str(demo["question"]), str(demo["reasoning"])
    assert split_of(question) == "test"
    for left, sign, right, result in re.findall(r"(\d+)([-+*/])(\d+)=(\d+)", reasoning):
        a, b, c = int(left), int(right), int(result)
        assert {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": a == b * c}[sign]
    assert re.findall(r"\d+", reasoning)[-1] == demo["gold"]
    assert demo["answer"] == f"#### {demo['gold']}"
    assert 25 <= len(encode(tokenizer, reasoning)) <= 80
    categories, filler = annotate(reasoning)
    assert demo["category"] == [{"start": start, "end": end, "label": label} for start, end, label in categories]
    assert demo["filler"] == [{"start": start, "end": end} for start, end in filler]
    assert {label for _, _, label in categories} <= set(CATEGORIES)


def test_there_are_demo_chains_of_many_lengths(tokenizer: PreTrainedTokenizerBase) -> None:
    """About two dozen demo chains, shortest first, the longest much longer than the shortest, each with filler."""
    lengths = [len(encode(tokenizer, demo["reasoning"])) for demo in DEMOS]
    assert len(DEMOS) == 12
    assert lengths == sorted(lengths)
    assert lengths[-1] >= 1.5 * lengths[0]
    assert all(demo["filler"] for demo in DEMOS)
    assert len({demo["question"] for demo in DEMOS}) == len(DEMOS)
