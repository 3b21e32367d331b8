"""A small llama with random weights as a GGUF file, quantised to 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

from tokimp.testing.random_models import byte_tokenizer

_WIDTH, _WITHIN, _HEADS, _GROUPS, _LAYERS = 64, 96, 4, 2, 2


def write_gguf(path: Path, *, seed: int = 0) -> Path:
    """Write a llama with a byte tokenizer to a GGUF file; return its path.

    Parameters
    ----------
    path
        The file to write.
    seed
        The seed of the weights.
    """
    random = np.random.default_rng(seed)
    vocabulary = byte_tokenizer().get_vocab()
    # The format asks for at least one pair of tokens that are joined.
    tokens = [*sorted(vocabulary, key=lambda token: vocabulary[token]), "qj"]
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(_LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(_WITHIN)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_GROUPS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<") and len(token) > 1 else 1 for token in tokens])
    writer.add_token_merges(["q j"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    key_width = _WIDTH // _HEADS * _GROUPS
    shapes = {"token_embd": (len(tokens), _WIDTH), "output": (len(tokens), _WIDTH)}
    for layer in range(_LAYERS):
        shapes |= {
            f"blk.{layer}.attn_q": (_WIDTH, _WIDTH),
            f"blk.{layer}.attn_k": (key_width, _WIDTH),
            f"blk.{layer}.attn_v": (key_width, _WIDTH),
            f"blk.{layer}.attn_output": (_WIDTH, _WIDTH),
            f"blk.{layer}.ffn_gate": (_WITHIN, _WIDTH),
            f"blk.{layer}.ffn_up": (_WITHIN, _WIDTH),
            f"blk.{layer}.ffn_down": (_WIDTH, _WITHIN),
        }
    for name, shape in shapes.items():
        weights = (0.3 * random.standard_normal(shape)).astype(np.float32)
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{name}.weight", quantize(weights, kind), raw_dtype=kind)
    for name in ("output_norm", *(f"blk.{layer}.{kind}_norm" for layer in range(_LAYERS) for kind in ("attn", "ffn"))):
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
