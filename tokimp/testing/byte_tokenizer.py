"""A tokenizer small enough to be made on the spot."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of transformers whose tokens are the 256 bytes: any text goes in and comes back.

    Characters beyond ASCII are split over several tokens, whose offsets overlap.

    Examples
    --------
    >>> tokenizer = byte_tokenizer()
    >>> tokenizer.decode(tokenizer("2 é").input_ids)
    '2 é'
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call] # untyped there
