"""Small tokenizers of every kind that decoders come with, and chat templates, for the tests of this room."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tokimp.chains.chain import TokenizedChain

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
# Qwen3.5's way: the generation prompt closes the thinking unasked.
CLOSED_THINKING = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n<think>\n' }}"
    "{{ m.reasoning_content if m.reasoning_content is defined else '' }}"
    "{{ '\n</think>\n\n' + m.content + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}"
)
# DeepSeek-V3.1's way without its switch: thinking is closed, and no reasoning is ever written.
CLOSED_THINKING_ONLY = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ 'A:</think>' + m.content.split('</think>')[-1] + '</s>' }}"
    "{% else %}{{ m.role + ':' + m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'A:</think>' }}{% endif %}"
)
# gpt-oss's way: reasoning in a channel of its own, without tags.
CHANNELS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% if m.thinking is defined and m.thinking %}"
    "<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>{% endif %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>{% else %}"
    "<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
# Reasoning is written only with a switch on, and the generation prompt closes the thinking without it.
SWITCHED_THINKING = (
    "{% set on = enable_thinking is defined and enable_thinking %}{% for m in messages %}{% if m.role == 'user' %}"
    "U:{{ m.content }}{% else %}A:{% if on %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}</s>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}A:{{ '<think>' if on else '<think></think>' }}{% endif %}"
)
# Magistral's way: the content is a list of parts, one of which is the thinking.
THINKING_PARTS = (
    "{% for m in messages %}{% if m.role == 'user' %}U:{{ m.content }}"
    "{% elif m.content is string %}A:{{ m.content }}</s>{% else %}A:{% for part in m.content %}"
    "{% if part.type == 'thinking' %}[THINK]{{ part.thinking }}[/THINK]{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}A:{% endif %}"
)
# Llama 3.2's and Mistral Small's way: today's date stands in the prompt.
DATED = (
    "{% if strftime_now is defined %}Today is {{ strftime_now('%Y-%m-%d, %d %B, %A %-d %b %y %j%%') }}.\n{% endif %}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
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
