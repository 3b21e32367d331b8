"""Small models of many architectures: those whose attention packs can express, and those that keep batches."""

from __future__ import annotations

from typing import Any

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}
_WINDOW = {**_GROUPED, "sliding_window": 8}
_LAYER_TYPES = {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]}
_LATENT = {
    **_SIZES,
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_group": 2,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 16,
}

PACKABLE: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {**_WINDOW, "use_sliding_window": True, "max_window_layers": 1},
    "qwen3": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    "mistral": {},
    "gemma3_text": {},
    "gpt2": {},
    "gpt_neox": {},
    "phi3": {},
    "olmo2": {},
    "mixtral": {**_WINDOW, "num_local_experts": 4},
    "deepseek_v3": _LATENT,
    "cohere": _GROUPED,
    "cohere2": {**_WINDOW, **_LAYER_TYPES},
    "granite": {**_GROUPED, "embedding_multiplier": 3.0, "logits_scaling": 2.0, "attention_multiplier": 0.3},
    "glm4": {**_GROUPED, "head_dim": 8},
    "opt": {
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    },
}
"""What makes each architecture small and its windows narrow; added to what `random_model` knows of it."""

NOT_PACKABLE: dict[str, tuple[dict[str, Any], str]] = {
    "gemma2": ({}, "softcap"),
    "gpt_oss": ({**_WINDOW, "head_dim": 16, "num_local_experts": 4, **_LAYER_TYPES}, "s_aux"),
    "bloom": ({"hidden_size": 32, "n_layer": 3, "n_head": 4}, "cannot be replaced"),
    "falcon": ({"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}, "cannot be replaced"),
    "stablelm": (_GROUPED, ""),
    "lfm2": ({**_GROUPED, "layer_types": ["conv", "full_attention", "conv"]}, "keys and values are not shared"),
}
"""The same for architectures that keep batches, each with a part of the reason."""
