"""Text to ids and back, for every kind of tokenizer that decoders come with."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.chains.tokenization import tokenize_chain
from tokimp.errors import TokenizationError

CORPUS = [
    "Tom has 3 apples. He buys 4 more, so he has 3 + 4 = 7 apples.\n",
    "The answer is 7. Therefore the total is $18.50, é and ü and 漢字 and 😀.\n#### 18",
    "Janet sells 16 - 3 - 4 = 9 duck eggs a day.\nShe makes 9 * 2 = $18 every day.",
] * 5
UNK, BOS, EOS = "<unk>", "<s>", "</s>"
CONTROL = [UNK, BOS, EOS, "<|im_start|>", "<|im_end|>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Qwen3's way: reasoning in a field of its own, written back into the last turn only.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}"
    "{{ '<think>\n' + (m['reasoning_content'] or '') + '\n</think>\n\n' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# DeepSeek-R1's way: the generation prompt opens the tag, and earlier thinking is cut off.
OPENED_THINKING = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|im_start|>' + m['content'] }}"
    "{% else %}{{ '<|im_end|>' + m['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_end|><think>\n' }}{% endif %}"
)
LLAMA_2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}"
    "{% elif m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def wrap(tokenizer: Tokenizer, template: str | None = None) -> Any:
    """Return the transformers tokenizer around a `tokenizers` one."""
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # transformers leaves it without annotations
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, clean_up_tokenization_spaces=False
    )
    fast.chat_template = template
    return fast


def bos_processor() -> processors.PostProcessor:
    """Return what puts a BOS before every text."""
    return processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])


@cache
def byte_level(*, bos: bool = False, nfc: bool = False, prefix_space: bool = False, template: str | None = None) -> Any:
    """Return a trained byte-level BPE, as GPT-2, Llama 3 and Qwen have."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=420, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>", "   ")])
    # trim_offsets would leave spaces uncovered by any token, were offsets taken from the tokenizer as it is.
    trim = processors.ByteLevel(trim_offsets=True)
    tokenizer.post_processor = processors.Sequence([trim, bos_processor()]) if bos else trim
    return wrap(tokenizer, template)


@cache
def sentencepiece(prefix: str, *, bos: bool = True, template: str | None = None) -> Any:
    """Return a trained BPE with byte fallback: `prefix` says how it puts its dummy prefix before a text."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token=UNK))
    to_space: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix == "normalizer":  # Llama 2, as converted
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    elif prefix == "pre_tokenizer":  # Llama 2 in transformers 5
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:  # Gemma
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    if prefix != "none":
        to_space.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(to_space)
    train = Tokenizer(models.BPE(unk_token=UNK))
    train.normalizer = normalizers.Replace(" ", "▁")
    train.pre_tokenizer = pre_tokenizers.Split(Regex("▁"), "merged_with_next")
    train.train_from_iterator(
        [text.replace("漢字", "") for text in CORPUS],
        trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", *BYTES], show_progress=False),
    )
    model = json.loads(train.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer.model = models.BPE(vocab=model["vocab"], merges=merges, byte_fallback=True, unk_token=UNK)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in CONTROL])
    if bos:
        tokenizer.post_processor = bos_processor()
    return wrap(tokenizer, template)


@cache
def unigram() -> Any:
    """Return a unigram model with byte fallback, its control tokens pieces of the model as sentencepiece's are."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((byte, -20.0) for byte in BYTES)]
    pieces += [("▁", -2.0), ("▁the", -3.0), ("ing", -3.0), *((letter, -5.0) for letter in "abcdefghijklmnopqrstuvwxyz")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = bos_processor()
    return wrap(tokenizer)


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


def decode(tokenizer: Any, ids: tuple[int, ...]) -> str:
    """Return the text of ids with control tokens and all white space."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def covers(tokens: TokenizedChain) -> bool:
    """Whether offsets are ordered, non-empty, and leave out no character."""
    covered, previous = 0, 0
    for start, end in tokens.reasoning_offsets:
        if not previous <= start < end <= len(tokens.chain.reasoning) or start > covered:
            return False
        previous, covered = start, max(covered, end)
    return covered == len(tokens.chain.reasoning)


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


@pytest.mark.parametrize("prefix", ["normalizer", "pre_tokenizer"])
def test_only_the_prompt_gets_the_dummy_prefix(prefix: str) -> None:
    """A sentencepiece tokenizer's prefix space opens the prompt, as ever, and no span after it."""
    tokenizer = sentencepiece(prefix)
    tokens = tokenize_chain(Chain("c", "Tom?", "Tom has 7.", "Tom"), tokenizer, "plain")
    assert tokens.prompt_ids == tuple(tokenizer("Tom?\n")["input_ids"])
    assert tokenizer.convert_ids_to_tokens(tokens.prompt_ids[1]).startswith("▁")
    assert tokenizer.convert_ids_to_tokens(tokens.reasoning_ids[0]).startswith("T")
    assert tokens.reasoning_offsets[0][0] == 0


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


def test_auto_is_plain_without_a_template() -> None:
    """A tokenizer without a chat template gets the plain format."""
    assert tokenize_chain(Chain("c", "q", "So 7.", "7"), byte_level()).prompt_format == "plain"


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


def test_a_control_piece_that_text_can_reach_is_refused() -> None:
    """A unigram model whose pieces include ``</s>`` makes it of that text; that is an error, never a silent EOS."""
    with pytest.raises(TokenizationError, match=r"chain 'c'.*control token '</s>'"):
        tokenize_chain(Chain("c", "q", "so </s> 7", "7"), unigram())


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        (None, {"prompt_format": "chat"}, "no chat template"),
        (None, {"prompt_format": "think"}, "no chat template"),
        (CHATML, {"prompt_format": "think"}, "no thinking tags"),
        (CHATML, {"prompt_format": "cat"}, "no prompt format 'cat'"),
        (CHATML, {"unit": "page"}, "no unit 'page'"),
        (CHATML, {"prompt_format": "plain", "think_tags": ("<a>", "</a>")}, "belong to prompt format 'think'"),
        (LLAMA_2, {}, r"refuses the messages \(system, user\): no system role"),
        (
            CHATML.replace("messages %}", "messages if m['role'] != 'system' %}"),
            {},
            "drops or alters the text 'Be brief",
        ),
        (CHATML.replace("m['content']", "'…'"), {}, "content 0 times"),
        (CHATML.replace(">assistant", ">model"), {}, "opens the assistant's turn with"),
        ("{{ messages[0].nothing.content }}", {}, "refuses the messages"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(template: str | None, options: dict[str, Any], message: str) -> None:
    """A format the tokenizer lacks something for, or a template that alters messages, is an error that says which."""
    with pytest.raises(TokenizationError, match=message):
        tokenize_chain(Chain("c", "How?", "So 7.", "7", system="Be brief."), byte_level(template=template), **options)


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
    before = tokenizer("a<|im_end|>")["input_ids"]
    tokenize_chain(Chain("c", "q", "a<|im_end|>", "7"), tokenizer)
    assert tokenizer("a<|im_end|>")["input_ids"] == before
