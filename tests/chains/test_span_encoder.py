"""Spans as ids: control strings stay text, tokens cover every character, and the tokenizer stays as it was."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from tests.chains.tokenizers import CHATML, THINKING, byte_level, covers, decode, sentencepiece, unigram, wrap
from tokimp.chains.chain import Chain
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import TokenizationError


@pytest.mark.parametrize("prefix", ["normalizer", "pre_tokenizer"])
def test_only_the_prompt_gets_the_dummy_prefix(prefix: str) -> None:
    """A sentencepiece tokenizer's prefix space opens the prompt, as ever, and no span after it."""
    tokenizer = sentencepiece(prefix)
    tokens = tokenize_chain(Chain("c", "Tom?", "Tom has 7.", "Tom"), tokenizer, "plain")
    assert tokens.prompt_ids == tuple(tokenizer("Tom?\n")["input_ids"])
    assert tokenizer.convert_ids_to_tokens(tokens.prompt_ids[1]).startswith("▁")
    assert tokenizer.convert_ids_to_tokens(tokens.reasoning_ids[0]).startswith("T")
    assert tokens.reasoning_offsets[0][0] == 0


def test_control_strings_of_a_chain_stay_text() -> None:
    """A control string in question or reasoning is spelled out, while the template's own is one token."""
    tokenizer = byte_level(template=THINKING)
    chain = Chain("c", "What is <|im_end|>?", "It is <|im_end|> or </think>.", "<|im_end|>")
    tokens = tokenize_chain(chain, tokenizer, "think")
    end, close = tokenizer.convert_tokens_to_ids(["<|im_end|>", "</think>"])
    assert end not in tokens.reasoning_ids
    assert close not in tokens.reasoning_ids
    assert (tokens.prompt_ids.count(end), tokens.answer_ids.count(end), tokens.answer_ids.count(close)) == (1, 1, 1)
    assert decode(tokenizer, tokens.prompt_ids).count("<|im_end|>") == 2


def test_a_question_that_is_a_control_string_is_found_among_the_markup() -> None:
    """Even where system message and question equal what the template writes, data and markup are told apart."""
    tokenizer = byte_level(template=CHATML)
    chain = Chain("c", "<|im_start|>", "So 7.", "7", system=" <|im_end|> ")
    tokens = tokenize_chain(chain, tokenizer)
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert (tokens.prompt_ids.count(start), tokens.prompt_ids.count(end)) == (3, 2)
    assert decode(tokenizer, tokens.prompt_ids) == tokenizer.apply_chat_template(
        [{"role": "system", "content": " <|im_end|> "}, {"role": "user", "content": "<|im_start|>"}],
        tokenize=False,
        add_generation_prompt=True,
    )


def test_added_white_space_tokens_stay_tokens() -> None:
    """An added token that no template writes, such as a run of spaces, is used as the tokenizer would use it."""
    tokenizer = byte_level(template=CHATML)
    tokens = tokenize_chain(Chain("c", "q", "a   b", "7"), tokenizer)
    assert tokenizer.convert_tokens_to_ids("   ") in tokens.reasoning_ids


def test_white_space_swallowed_by_control_tokens_is_no_error() -> None:
    """Phi-3's control tokens swallow the newline after them; the template's text is still given back but for it."""
    tokenizer = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    layout = json.loads(tokenizer.to_str())
    for token in layout["added_tokens"]:
        token["rstrip"] = token["special"]
    fast = wrap(
        Tokenizer.from_str(json.dumps(layout)),
        CHATML.replace("assistant\n", "assistant<|im_end|>\n").replace(
            "m['role'] + '\n'", "m['role'] + '<|im_end|>\n'"
        ),
    )
    tokens = tokenize_chain(Chain("c", "q", "  So 7.", "7"), fast)
    assert decode(fast, tokens.reasoning_ids) == "  So 7."
    assert decode(fast, tokens.answer_ids) == "\n7<|im_end|>"


def test_nfc_tokenizers_give_back_the_composed_text() -> None:
    """A tokenizer that composes characters may; offsets still are into the text as it was given."""
    tokenizer = byte_level(nfc=True)
    tokens = tokenize_chain(Chain("c", "q", "Cafe\u0301 7", "7"), tokenizer)
    assert decode(tokenizer, tokens.reasoning_ids) == "Caf\u00e9 7"
    accented = [offset for offset in tokens.reasoning_offsets if offset[0] <= 3 < offset[1]]
    assert accented
    assert all(end >= 5 for _, end in accented)


@given(
    parts=st.lists(
        st.sampled_from([*"ae \n7", "\u0301", "\u0323", "\u1100", "\u1161", "\u11a8", "é", "😀"]), min_size=1
    )
)
@settings(max_examples=150, deadline=None)
def test_composing_tokenizers_leave_no_character_without_a_token(parts: list[str]) -> None:
    """Accents, Hangul and reordered marks: every character of the given text is in some token, in order."""
    tokenizer = byte_level(nfc=True)
    reasoning = "x" + "".join(parts)
    tokens = tokenize_chain(Chain("c", "q", reasoning, "7"), tokenizer)
    assert decode(tokenizer, tokens.reasoning_ids) == unicodedata.normalize("NFC", reasoning)
    assert covers(tokens)


def test_a_control_piece_that_text_can_reach_is_refused() -> None:
    """A unigram model whose pieces include ``</s>`` makes it of that text; that is an error, never a silent EOS."""
    with pytest.raises(TokenizationError, match=r"chain 'c'.*control token '</s>'"):
        tokenize_chain(Chain("c", "q", "so </s> 7", "7"), unigram())


def test_slow_tokenizers_are_refused() -> None:
    """A tokenizer without offsets cannot be used, and the error says what can."""

    class Slow:
        is_fast = False

    with pytest.raises(TokenizationError, match="Slow is no fast tokenizer"):
        tokenize_chain(Chain("c", "q", "So 7.", "7"), Slow())


def test_tokens_and_template_added_later_are_noticed() -> None:
    """An encoder is made anew when the tokenizer's vocabulary or template changes."""
    tokenizer = wrap(Tokenizer.from_str(byte_level().backend_tokenizer.to_str()))
    chain = Chain("c", "q", "So <stop> 7.", "7")
    assert tokenize_chain(chain, tokenizer).prompt_format == "plain"
    tokenizer.add_tokens([AddedToken("<stop>", special=False)])
    stop = tokenizer.convert_tokens_to_ids("<stop>")
    assert stop in tokenize_chain(chain, tokenizer).reasoning_ids
    tokenizer.chat_template = CHATML.replace("assistant\n", "assistant\n<stop>").replace(
        "m['role'] + '\n'", "m['role'] + '\n' + ('<stop>' if m['role'] == 'assistant' else '')"
    )
    tokens = tokenize_chain(chain, tokenizer)
    assert (tokens.prompt_ids[-1], stop in tokens.reasoning_ids) == (stop, False)


def test_tokenizing_leaves_the_tokenizer_as_it_was() -> None:
    """The caller's tokenizer still reads control strings as control tokens, with its BOS."""
    tokenizer = byte_level(bos=True, template=CHATML)
    ids = tokenizer("a<|im_end|>")["input_ids"]
    tokenize_chain(Chain("c", "q", "a<|im_end|>", "7"), tokenizer)
    assert tokenizer("a<|im_end|>")["input_ids"] == ids
