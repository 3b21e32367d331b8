"""Prompt formats: what stands around the reasoning, whatever the chat template writes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chains.tokenizers import (
    CHANNELS,
    CHATML,
    CLOSED_THINKING,
    CLOSED_THINKING_ONLY,
    LLAMA_2,
    OPENED_THINKING,
    SWITCHED_THINKING,
    THINKING,
    THINKING_PARTS,
    byte_level,
    decode,
    sentencepiece,
)
from tokimp.chains.chain import Chain
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import TokenizationError


@pytest.mark.parametrize("bos", [False, True])
def test_plain_prompt_opens_with_the_bos_the_tokenizer_adds(bos: bool) -> None:
    """Plain makes a BOS exactly where the tokenizer does, and no EOS."""
    tokenizer = byte_level(bos=bos)
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7"), tokenizer, "plain")
    assert tokens.prompt_ids == tuple(tokenizer("How many?\n")["input_ids"])
    assert (tokens.prompt_ids[0] == tokenizer.bos_token_id) is bos
    assert tokens.answer_ids == tuple(tokenizer("\n7", add_special_tokens=False)["input_ids"])


def test_plain_puts_a_system_message_before_the_question() -> None:
    """Plain drops no system message: it makes it the first line."""
    tokenizer = byte_level()
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7", system="Be brief."), tokenizer, "plain")
    assert decode(tokenizer, tokens.prompt_ids) == "Be brief.\nHow many?\n"


def test_chat_prompt_is_the_generation_prompt_of_the_template() -> None:
    """The chat prompt's ids are those of apply_chat_template with a generation prompt."""
    tokenizer = byte_level(bos=True, template=CHATML)
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7", system="Be brief."), tokenizer)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert (tokens.prompt_format, list(tokens.prompt_ids)) == ("chat", expected)


@pytest.mark.parametrize("prefix", ["normalizer", "pre_tokenizer"])
def test_chat_follows_a_template_that_writes_spaces_around_the_content(prefix: str) -> None:
    """Llama 2 writes a space before the content, which is prompt, and a space and EOS after it, which are answer."""
    tokenizer = sentencepiece(prefix, template=LLAMA_2)
    tokens = tokenize_chain(Chain("c", "Tom?", "So 7.", "7"), tokenizer)
    ours = tokenizer("<s>[INST] Tom? [/INST] ", add_special_tokens=False)["input_ids"]
    assert list(tokens.prompt_ids) == ours
    assert decode(tokenizer, tokens.answer_ids) == "\n7 </s>"
    assert tokens.answer_ids[-1] == tokenizer.eos_token_id


def test_think_takes_the_tags_from_a_template_that_writes_reasoning() -> None:
    """With Qwen3's kind of template the opening tag ends the prompt and the closing tag opens the answer."""
    tokenizer = byte_level(template=THINKING)
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7"), tokenizer)
    assert tokens.prompt_format == "think"
    prompt = "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert decode(tokenizer, tokens.prompt_ids) == prompt
    assert tokens.prompt_ids == tuple(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    assert decode(tokenizer, tokens.answer_ids) == "\n</think>\n\n7<|im_end|>\n"


def test_think_opens_no_tag_twice() -> None:
    """Where the generation prompt already opens the tag (DeepSeek-R1), it is the prompt as it stands."""
    tokenizer = byte_level(template=OPENED_THINKING)
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7"), tokenizer)
    assert decode(tokenizer, tokens.prompt_ids) == "<s><|im_start|>How many?<|im_end|><think>\n"
    assert decode(tokenizer, tokens.answer_ids) == "\n</think>\n\n7</s>"


def test_chat_leaves_the_thinking_of_a_thinking_model_closed() -> None:
    """Asked for chat, a thinking template's reasoning stands in the answer's place: thinking is empty or not begun."""
    chain = Chain("c", "q", "So 7.", "7")
    qwen, deepseek = byte_level(template=THINKING), byte_level(template=OPENED_THINKING)
    qwen_prompt = decode(qwen, tokenize_chain(chain, qwen, "chat").prompt_ids)
    assert qwen_prompt.endswith("assistant\n<think>\n\n</think>\n\n")
    assert decode(deepseek, tokenize_chain(chain, deepseek, "chat").prompt_ids).endswith("q<|im_end|>")


def test_think_takes_given_tags() -> None:
    """Given tags are used as they are with a template that has none of its own."""
    tokenizer = byte_level(template=CHATML)
    tags = ("[reason]", "[done] ")
    tokens = tokenize_chain(Chain("c", "q", "So 7.", "7"), tokenizer, think_tags=tags)
    assert tokens.prompt_format == "think"
    assert decode(tokenizer, tokens.prompt_ids).endswith("assistant\n[reason]")
    assert decode(tokenizer, tokens.answer_ids) == "[done] 7<|im_end|>\n"


TURN = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "7", "reasoning_content": "So 7."}]


@pytest.mark.parametrize("template", [THINKING, CLOSED_THINKING, CHANNELS])
@pytest.mark.parametrize("reasoning", ["So 7.", "\nSo 7.\n", "It speaks of </think> here."])
def test_think_is_the_rendering_of_a_turn_with_reasoning(template: str, reasoning: str) -> None:
    """Tags, a closed generation prompt or a channel: the spans joined are what the template makes of the turn."""
    tokenizer = byte_level(template=template)
    tokens = tokenize_chain(Chain("c", "How many?", reasoning, "7"), tokenizer)
    turn = [TURN[0], {**TURN[1], "reasoning_content": reasoning}]
    assert tokens.prompt_format == "think"
    assert decode(tokenizer, tokens.input_ids) == tokenizer.apply_chat_template(turn, tokenize=False)


def test_think_writes_white_space_at_a_border_once_where_the_template_does() -> None:
    """A template that trims the reasoning and puts newlines around it gets the chain's own newlines instead."""
    trimming = CLOSED_THINKING.replace("m.reasoning_content if", "m.reasoning_content|trim if")
    tokenizer = byte_level(template=trimming)
    tokens = tokenize_chain(Chain("c", "How many?", "\nSo 7.\n", "7"), tokenizer)
    assert decode(tokenizer, tokens.input_ids) == tokenizer.apply_chat_template(TURN, tokenize=False)
    assert tokens.chain.reasoning == decode(tokenizer, tokens.reasoning_ids)
    with pytest.raises(TokenizationError, match="take white space and tags off the ends"):
        tokenize_chain(Chain("c", "How many?", "So 7.  ", "7"), tokenizer)


def test_think_switches_thinking_on_where_the_template_needs_it() -> None:
    """Without the switch the template writes no reasoning; what it renders with the switch is what tokimp makes."""
    tokenizer = byte_level(template=SWITCHED_THINKING)
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7"), tokenizer)
    assert decode(tokenizer, tokens.input_ids) == "U:How many?A:<think>So 7.</think>7</s>"


def test_think_takes_reasoning_as_a_part_of_the_content() -> None:
    """A template that takes the content in parts (Magistral) gets the reasoning as one of them."""
    tokenizer = byte_level(template=THINKING_PARTS)
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7"), tokenizer, "think")
    assert decode(tokenizer, tokens.input_ids) == "U:How many?A:[THINK]So 7.[/THINK]7</s>"


def test_given_tags_replace_a_closed_thinking() -> None:
    """Where the generation prompt closes the thinking, given tags stand there once."""
    tags = ("<think>\n", "\n</think>\n\n")
    for template in (CLOSED_THINKING, CLOSED_THINKING_ONLY):
        tokenizer = byte_level(template=template)
        tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7"), tokenizer, think_tags=tags)
        text = decode(tokenizer, tokens.input_ids)
        assert (text.count("<think>"), text.count("</think>")) == (1, 1)
        assert "<think>\nSo 7.\n</think>\n\n7" in text


@pytest.mark.parametrize(
    "reasoning", ["<think>\nSo 7.\n</think>", "So 7.\n</think>", "So 7.\n</think>\n\nIt is 7.", "[THINK]So 7."]
)
@pytest.mark.parametrize("template", [THINKING, CHANNELS])
def test_reasoning_that_has_its_tags_is_refused(template: str, reasoning: str) -> None:
    """A reasoning with tags around it would get them twice; the message says what to do."""
    with pytest.raises(TokenizationError, match=r"holds the tag .*take it out of the chain"):
        tokenize_chain(Chain("c", "q", reasoning, "7"), byte_level(template=template))


def test_given_tags_in_the_reasoning_are_refused() -> None:
    """Tags that the user gives are not written around themselves either."""
    with pytest.raises(TokenizationError, match=r"holds the tag '\[a\]'"):
        tokenize_chain(Chain("c", "q", "[a]So 7.", "7"), byte_level(template=CHATML), think_tags=("[a]\n", "[b]"))


def test_auto_is_plain_without_a_template() -> None:
    """A tokenizer without a chat template gets the plain format."""
    assert tokenize_chain(Chain("c", "q", "So 7.", "7"), byte_level()).prompt_format == "plain"


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        (None, {"prompt_format": "chat"}, "no chat template"),
        (None, {"prompt_format": "think"}, "no chat template"),
        (CHATML, {"prompt_format": "think"}, "no thinking tags"),
        (CHATML, {"prompt_format": "cat"}, "no prompt format 'cat'"),
        (CHATML, {"prompt_format": "plain", "think_tags": ("<a>", "</a>")}, "belong to prompt format 'think'"),
        (LLAMA_2, {}, r"refuses the messages \(system, user\): no system role"),
        (
            CHATML.replace("messages %}", "messages if m['role'] != 'system' %}"),
            {},
            "drops or alters the text 'Be brief",
        ),
        (CHATML.replace("m['content']", "'…'"), {}, "content 0 times"),
        (CHATML.replace("m['content']", "m['content'].upper()"), {}, "content 0 times"),
        (CHATML.replace("m['content']", "m['content'].replace('So', 'Thus')"), {}, "alters the reasoning"),
        (CLOSED_THINKING_ONLY, {}, "closes the thinking before the model responds"),
        (CHATML.replace(">assistant", ">model"), {}, "opens the assistant's turn with"),
        ("{{ messages[0].nothing.content }}", {}, "refuses the messages"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(template: str | None, options: dict[str, Any], message: str) -> None:
    """A format the tokenizer lacks something for, or a template that alters messages, is an error that says which."""
    with pytest.raises(TokenizationError, match=message):
        tokenize_chain(Chain("c", "How?", "So 7.", "7", system="Be brief."), byte_level(template=template), **options)
