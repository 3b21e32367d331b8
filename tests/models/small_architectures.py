"""Small architectures whose numbers are easy to get wrong, each a few layers with random weights."""

from __future__ import annotations

from typing import Any

from tokimp.testing.random_models import random_model

BORDER = 40
"""The length at which the rotary factors of the longrope models here change, in tokens."""

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}
_GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_WINDOWS = {"sliding_window": 8, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"]}
_PAIRS = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
_LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
_DEEPSEEK = {
    **_SIZES,
    **_LATENT,
    "moe_intermediate_size": 24,
    "n_routed_experts": 4,
    "n_group": 2,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.5, 2.0, 3.0],
    "long_factor": [4.0, 6.0, 8.0, 12.0],
    "original_max_position_embeddings": BORDER,
}
_DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
_PHI3 = {**_GROUPED, "original_max_position_embeddings": BORDER, "rope_parameters": _LONGROPE}
_MSCALE = {"short_mscale": 1.1, "long_mscale": 1.3}

LENGTH_DEPENDENT: dict[str, dict[str, Any]] = {
    "phi3": _PHI3,
    "phimoe": {**_PHI3, **_EXPERTS, "rope_parameters": {**_LONGROPE, **_MSCALE}},
    "minicpm3": {**_SIZES, **_LATENT, "qk_rope_head_dim": 8, "rope_parameters": _LONGROPE},
}
"""Models with two sets of rotary factors."""

OTHERS: dict[str, dict[str, Any]] = {
    "llama": {**_GROUPED, "rope_parameters": _DYNAMIC},
    "qwen2": {**_GROUPED, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    "gemma3_text": {**_GROUPED, **_WINDOWS, "head_dim": 16, "query_pre_attn_scalar": 16},
    "gemma4_text": {
        **_GROUPED,
        "num_hidden_layers": 4,
        "head_dim": 8,
        "global_head_dim": 16,
        "sliding_window": 8,
        "layer_types": _PAIRS,
        "num_kv_shared_layers": 2,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 300,
    },
    "gemma3n_text": {
        **_GROUPED,
        "num_hidden_layers": 4,
        "intermediate_size": [48] * 4,
        "head_dim": 8,
        "sliding_window": 8,
        "layer_types": _PAIRS,
        "num_kv_shared_layers": 2,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 300,
        "laurel_rank": 4,
        "activation_sparsity_pattern": [0.0] * 4,
    },
    "minimax": {
        **_GROUPED,
        **_EXPERTS,
        "head_dim": 16,
        "block_size": 8,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    },
    "falcon": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_kv_heads": 2,
        "new_decoder_architecture": True,
        "alibi": False,
    },
    "deepseek_v3": _DEEPSEEK,
    "gpt_oss": {
        **_GROUPED,
        **_EXPERTS,
        "head_dim": 8,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "mixtral": {**_GROUPED, **_EXPERTS, "sliding_window": 8},
    "llama4_text": {
        **_GROUPED,
        "head_dim": 8,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "attention_chunk_size": 8,
        "intermediate_size_mlp": 48,
        "no_rope_layers": [1, 1, 0],
    },
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 4,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 2]],
        "window_size": 8,
        "max_position_embeddings": 128,
    },
    "bamba": {
        **_GROUPED,
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 8,
        "attn_layer_indices": [1],
    },
    "jamba": {
        **_GROUPED,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "mamba_d_state": 8,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "mamba_dt_rank": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "use_mamba_kernels": False,
    },
    "codegen": {**_GPT2, "n_ctx": 128, "rotary_dim": 4},
    "openai-gpt": _GPT2,
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 3, "attention_heads": 4, "max_position_embeddings": 128},
    "ctrl": {**_GPT2, "dff": 48},
    "bloom": {"hidden_size": 32, "n_layer": 3, "n_head": 4},
    "mpt": {"d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 128, "expansion_ratio": 2},
}
"""Windows, chunks, latent or shared keys and values, sinks, recurrences, experts and old ways to mask."""

NOT_CAUSAL: dict[str, dict[str, Any]] = {
    "doge": {**_GROUPED, "keep_window_size": 8},
    "deepseek_v32": {**_DEEPSEEK, "index_topk": 8, "index_n_heads": 2, "index_head_dim": 8},
}
"""Models that choose what they attend to, and let later positions have a part in the choice."""

DECODERS = {**LENGTH_DEPENDENT, **OTHERS}


def small_model(architecture: str, **overrides: Any) -> Any:
    """Return a small model of one of the architectures here."""
    return random_model(architecture, **{**{**DECODERS, **NOT_CAUSAL}[architecture], **overrides})
