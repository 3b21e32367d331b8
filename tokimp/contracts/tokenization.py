"""Text to ids and units: what a model is given of a chain, and what is deleted of it as a whole."""

from __future__ import annotations

from typing import Any

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.encoding import encode_chain
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.registry import load_unit
from tokimp.contracts.unit_splitter import UnitSplitter, divide


def tokenize_chain(
    chain: Chain,
    tokenizer: Any,
    prompt_format: PromptFormat = "auto",
    unit: str | UnitSplitter = "token",
    *,
    think_tags: ThinkTags | None = None,
) -> TokenizedChain:
    r"""Turn a chain into the ids a model is given, and divide its reasoning into units.

    Prompt, reasoning and answer are tokenised apart, so that no token straddles a boundary. Joined, the three decode to
    the text again, which is checked for every chain. Only the prompt gets what a tokenizer puts at the start of a
    text (a BOS, the sentencepiece dummy prefix). Control strings such as ``<|im_end|>`` inside a chain's own texts are
    data and are encoded as text.

    Some tokenizers (Qwen's) bring text into the Unicode form NFC. It comes back in that form, which counts as the same
    text. Offsets refer to the chain's text as it was given.

    Parameters
    ----------
    chain
        The chain as text.
    tokenizer
        A fast tokenizer of transformers.
    prompt_format
        ``chat``, ``think`` or ``plain``: the functions of these names in `tokimp.chains.prompt_format` describe their
        ids. ``auto`` takes the first of ``think``, ``chat``, ``plain`` for which the tokenizer has what it needs.
    unit
        What is deleted as a whole: ``token``, ``word``, ``sentence``, ``line``, ``paragraph``, ``step``, ``equation``,
        the name of a plugin, or an instance of a `UnitSplitter`.
    think_tags
        For ``think``: the opening and the closing tag with the white space around them, such as
        ``("<think>\n", "\n</think>\n\n")``; taken from the chat template by default.

    Raises
    ------
    TokenizationError
        If the format does not fit the tokenizer, the ids do not give the text back, or the unit gives no partition of
        the tokens; the message names the chain.
    PluginError
        If there is no such unit.
    """
    return divide(encode_chain(chain, tokenizer, prompt_format, think_tags=think_tags), load_unit(unit))
