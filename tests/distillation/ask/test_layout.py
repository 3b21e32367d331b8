"""Questions become the prompts that chains of them have, in every format; responses are divided accordingly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chains.tokenizers import CHANNELS
from tokimp.chains.chain import Chain
from tokimp.chains.prompt_format import PromptFormat
from tokimp.contracts.task import Question
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.distillation.ask.layout import Layout
from tokimp.distillation.tasks.word_problems import WordProblems
from tokimp.errors import TokenizationError
from tokimp.testing.random_models import byte_tokenizer

_TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}"
CHAT = _TURNS + "{% if add_generation_prompt %}<|assistant|>{% endif %}"
THINK = CHAT + "{# <think> </think> #}"
QUESTION = Question("q", "How many <s> cups?", "7", system="Be brief.")


def test_reasoning_is_counted_as_tokenize_chain_makes_it() -> None:
    """The name of a special token within a text is text, and as many tokens as in a chain."""
    for text in ("a cup", "so </s> and <s> it is 7", ""):
        chain = Chain("c", "Q?", text or "-", "7")
        expected = len(tokenize_chain(chain, tokenizer()).reasoning_ids) if text else 0
        assert Layout(tokenizer(), "plain").count(text) == expected


def tokenizer(template: str = "") -> Any:
    """Return the byte tokenizer with a chat template."""
    made = byte_tokenizer()
    made.chat_template = template or None
    return made


@pytest.mark.parametrize(("template", "name"), [("", "plain"), (CHAT, "chat"), (THINK, "think")])
def test_a_prompt_is_that_of_any_chain_of_the_question(template: str, name: str) -> None:
    """The ids are tokenize_chain's, system message and control strings in the question included."""
    made = tokenizer(template)
    layout = Layout(made)
    chain = Chain("c", QUESTION.text, "So 7.", "#### 7", system=QUESTION.system)
    assert layout.format == name
    assert layout.prompt(QUESTION) == tokenize_chain(chain, made).prompt_ids


def test_a_format_that_does_not_fit_names_the_question() -> None:
    """Without a chat template, the format chat is an error that names it."""
    with pytest.raises(TokenizationError, match=r"chain 'q': the tokenizer has no chat template"):
        Layout(tokenizer(), "chat").prompt(QUESTION)


def test_thinking_is_the_reasoning() -> None:
    """What stands before the closing tag is the reasoning, and what follows it the answer, if it holds one."""
    layout, task = Layout(tokenizer(THINK)), WordProblems()
    response = "3+4=7\n#### 6? No.\n</think>\n\nIt is 7.\n#### 7\n"
    assert layout.divide(task, QUESTION, response) == ("3+4=7\n#### 6? No.", "It is 7.\n#### 7")
    assert layout.divide(task, QUESTION, "3+4=7\n#### 7") is None
    assert layout.divide(task, QUESTION, "3+4=7\n#### 7\n</think>\n\nDone.") is None


def test_a_closing_tag_that_is_not_written_is_refused() -> None:
    """Where the tag is a special token, it is missing from generated text, and the format is refused at once."""
    made = tokenizer(THINK)
    made.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    with pytest.raises(TokenizationError, match=r"stands '</think>', special tokens.*use prompt format 'chat'"):
        Layout(made)
    assert Layout(made, "chat").format == "chat"


@pytest.mark.parametrize("prompt_format", ["auto", "think"])
def test_reasoning_in_a_channel_is_refused(prompt_format: PromptFormat) -> None:
    """gpt-oss's channels are special tokens, which a response lacks: 'think' is refused, and 'chat' asks for it all."""
    made = tokenizer(CHANNELS)
    made.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|channel|>", "<|message|>", "<|end|>"]})
    with pytest.raises(TokenizationError, match=r"<\|channel\|>final.*special tokens.*use prompt format 'chat'"):
        Layout(made, prompt_format)
    prompt = made.decode(list(Layout(made, "chat").prompt(QUESTION)))
    assert prompt.endswith("<|start|>assistant<|channel|>final<|message|>")


def test_a_turn_that_ends_before_the_answer_is_refused() -> None:
    """Where the token that ends a text stands between reasoning and answer, a model never writes the answer."""
    made = tokenizer(CHANNELS)
    made.add_tokens(["<|end|>"], special_tokens=False)
    made.eos_token_id = made.convert_tokens_to_ids("<|end|>")
    with pytest.raises(TokenizationError, match=r"the token at which a model stops.*use prompt format 'chat'"):
        Layout(made)


def test_given_tags_are_asked_with_and_divided_at() -> None:
    """With tags of one's own, the prompt opens the first one, and the response is divided at the second one."""
    layout = Layout(tokenizer(CHAT), think_tags=("<why>\n", "\n</why>\n"))
    assert layout.format == "think"
    assert layout.divide(WordProblems(), QUESTION, "3+4=7</why>\n#### 7") == ("3+4=7", "#### 7")
    chain = Chain("c", QUESTION.text, "3+4=7", "#### 7", system=QUESTION.system)
    made = tokenizer(CHAT)
    assert layout.prompt(QUESTION) == tokenize_chain(chain, made, think_tags=layout.think_tags).prompt_ids
    assert made.decode(list(layout.prompt(QUESTION))).endswith("<why>\n")
    with pytest.raises(TokenizationError, match="nothing but white space closes the thinking"):
        Layout(tokenizer(CHAT), think_tags=("<why>", "\n"))
    with pytest.raises(TokenizationError, match="the tokenizer has no chat template"):
        Layout(tokenizer(), think_tags=("<why>", "</why>")).prompt(QUESTION)


def test_tokens_are_counted_as_chains_have_them() -> None:
    """A reasoning has as many tokens as tokenize_chain gives it; an empty one has none."""
    made = tokenizer()
    text = "So 3+4=7, é."
    assert Layout(made).count(text) == len(tokenize_chain(Chain("c", "q", text, "7"), made).reasoning_ids)
    assert Layout(made).count("") == 0
