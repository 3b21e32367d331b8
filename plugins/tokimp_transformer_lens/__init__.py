"""A scorer on TransformerBridge, TransformerLens 4's hooks around a transformers model."""

from tokimp_transformer_lens.scorer import TransformerLensScorer

__all__ = ["TransformerLensScorer"]
