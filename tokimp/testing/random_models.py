"""Small random decoders and a small tokenizer, made in memory from fixed seeds, for tests of scorers."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 300
CONTEXT_LENGTH = 128

_GPT2_SIZES = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT_LENGTH}
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT_LENGTH,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}
_GEMMA = {**_GROUPED, "head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16}
_LAYERS = ["sliding_attention", "sliding_attention", "full_attention"]

_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": _GROUPED,
    "qwen2": _GROUPED,
    "qwen3": {**_GROUPED, "head_dim": 16},
    "mistral": {**_GROUPED, "sliding_window": 8},
    "gemma2": {**_GEMMA, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
    "gemma3_text": {**_GEMMA, "layer_types": _LAYERS},
    "gpt2": _GPT2_SIZES,
    "gpt_neox": _SIZES,
    "phi3": _GROUPED,
    "olmo2": _GROUPED,
}
ARCHITECTURES: tuple[str, ...] = tuple(_ARCHITECTURES)
"""The architectures, by transformers' ``model_type``, that every scorer must give right numbers for."""


def random_model(architecture: str, *, seed: int = 0, **overrides: Any) -> Any:
    """Return a small decoder with random float32 weights, in evaluation mode, with eager attention.

    Weights are larger than a usual initialisation gives, so that attention is far from uniform, and a wrong position or
    mask changes the log-probabilities by whole nats.

    Parameters
    ----------
    architecture
        Transformers' ``model_type``: one of `ARCHITECTURES`, or any other with `overrides` that make it small.
    seed
        The seed of the weights.
    **overrides
        More fields of the configuration.
    """
    fields: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    fields |= {"initializer_range": 0.3, **_ARCHITECTURES.get(architecture, {}), **overrides}
    config = AutoConfig.for_model(architecture, **fields)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        auto: Any = AutoModelForCausalLM
        model = auto.from_config(config, attn_implementation="eager", dtype=torch.float32)
    return model.eval()


def byte_tokenizer() -> Any:
    """Return a byte-level tokenizer: one token a byte, after ``<pad>`` (0), ``<s>`` (1) and ``</s>`` (2)."""
    special = ["<pad>", "<s>", "</s>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = dict(zip(("pad_token", "bos_token", "eos_token"), special, strict=True))
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, **names)
