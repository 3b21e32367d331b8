"""Text to ids and back, for every kind of tokenizer that decoders come with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.chains.tokenizers import CHATML, CONTROL, UNK, byte_level, covers, decode, sentencepiece, unigram, wrap
from tokimp.chains.chain import Chain
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import TokenizationError

PLAIN: dict[str, Callable[[], Any]] = {
    "byte-level": byte_level,
    "byte-level with BOS": lambda: byte_level(bos=True),
    "byte-level with prefix space": lambda: byte_level(prefix_space=True),
    "sentencepiece, prefix by normalizer": lambda: sentencepiece("normalizer"),
    "sentencepiece, prefix by pre-tokenizer": lambda: sentencepiece("pre_tokenizer"),
    "sentencepiece, no prefix": lambda: sentencepiece("none"),
    "sentencepiece without BOS": lambda: sentencepiece("pre_tokenizer", bos=False),
    "unigram": unigram,
}

_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="▁")
_SNIPPETS = st.sampled_from(
    [
        *CONTROL[3:],
        "<think>",
        "</think>",
        "   ",
        "\n\n",
        " the",
        "é",
        "e\u0301",
        "漢字",
        "😀",
        "👩‍🔬",
        "3.5",
        "\u3000",
        "<0x41>",
    ]
)
_TEXTS = st.lists(st.one_of(st.text(_LETTERS, max_size=6), _SNIPPETS), max_size=8).map("".join)
_VISIBLE = _TEXTS.filter(lambda text: bool(text.strip()))


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Draw a chain of any text."""
    return Chain("drawn", draw(_TEXTS), draw(_VISIBLE), draw(_VISIBLE), wrong_answer=draw(_VISIBLE))


@pytest.mark.parametrize("kind", PLAIN)
@given(chain=chains())
@settings(max_examples=150, deadline=None)
def test_plain_spans_join_to_the_text(kind: str, chain: Chain) -> None:
    """Prompt, reasoning and answer tokenised apart decode, joined and without the BOS, to exactly the text."""
    tokenizer = PLAIN[kind]()
    if kind == "unigram":  # its pieces include "<0x41>", which text can spell; that is refused, see below
        texts = ("question", "reasoning", "answer", "wrong_answer")
        chain = replace(chain, **{name: getattr(chain, name).replace("<", "(") for name in texts})
    tokens = tokenize_chain(chain, tokenizer, "plain")
    leading = len(SpanEncoder.of(tokenizer).leading_ids)
    assert decode(tokenizer, tokens.input_ids[leading:]) == f"{chain.question}\n{chain.reasoning}\n{chain.answer}"
    assert tokens.wrong_answer_ids is not None
    wrong = tokens.prompt_ids[leading:] + tokens.reasoning_ids + tokens.wrong_answer_ids
    assert decode(tokenizer, wrong) == f"{chain.question}\n{chain.reasoning}\n{chain.wrong_answer}"
    assert len(tokens.reasoning_offsets) == len(tokens.reasoning_ids)
    assert covers(tokens)
    assert not set(tokens.input_ids[leading:]) & set(tokenizer.all_special_ids)


@given(chain=chains())
@settings(max_examples=150, deadline=None)
def test_chat_spans_join_to_the_rendered_template(chain: Chain) -> None:
    """The chat format's spans decode to the template's own text around question, reasoning and answer."""
    tokenizer = byte_level(template=CHATML)
    tokens = tokenize_chain(chain, tokenizer, "chat")
    assert (
        decode(tokenizer, tokens.prompt_ids) == f"<|im_start|>user\n{chain.question}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert decode(tokenizer, tokens.reasoning_ids) == chain.reasoning
    assert decode(tokenizer, tokens.answer_ids) == f"\n{chain.answer}<|im_end|>\n"


@given(text=_VISIBLE)
@settings(max_examples=100, deadline=None)
def test_byte_level_offsets_are_those_counted_byte_by_byte(text: str) -> None:
    """A token's offsets are the characters whose bytes it holds, split characters included."""
    tokenizer = byte_level(bos=True)
    tokens = tokenize_chain(Chain("c", "q", text, "a"), tokenizer, "plain")
    owner = [index for index, character in enumerate(text) for _ in character.encode()]
    expected, at = [], 0
    for token_id in tokens.reasoning_ids:
        token = tokenizer.convert_ids_to_tokens(token_id)
        # Each character of a byte-level token stands for one byte; added tokens are written as they are.
        size = len(token.encode()) if token in tokenizer.get_added_vocab() else len(token)
        expected.append((owner[at], owner[at + size - 1] + 1))
        at += size
    assert list(tokens.reasoning_offsets) == expected


def lossy(part: str) -> Any:
    """Return a tokenizer that loses something."""
    tokenizer = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    if part == "case":
        tokenizer.normalizer = normalizers.Lowercase()
    elif part == "spaces":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), tokenizer.pre_tokenizer])
    return wrap(tokenizer)


@pytest.mark.parametrize(("part", "message"), [("case", r"'.*Tom.*' became '.*tom.*'"), ("spaces", "cover")])
def test_a_tokenizer_that_loses_text_is_refused(part: str, message: str) -> None:
    """Where the text does not come back, the error names the chain and the first difference."""
    with pytest.raises(TokenizationError, match=r"file:3: chain 'c7'.*" + message):
        tokenize_chain(Chain("c7", "how", "so Tom", "7", source="file:3"), lossy(part))


def test_characters_the_vocabulary_lacks_are_refused() -> None:
    """A vocabulary without a character cannot give it back, and says so."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.train_from_iterator(["so 7\n"], trainers.BpeTrainer(special_tokens=CONTROL, show_progress=False))
    with pytest.raises(TokenizationError, match=r"chain 'c'.*'<unk>'.*unknown character"):
        tokenize_chain(Chain("c", "so", "so é", "7"), wrap(tokenizer))


def test_sentencepiece_mark_in_the_text_is_refused() -> None:
    """The character that sentencepiece writes for a space would come back as a space."""
    with pytest.raises(TokenizationError, match="does not give the text back"):
        tokenize_chain(Chain("c", "q", "a ▁ b", "7"), sentencepiece("pre_tokenizer"))
