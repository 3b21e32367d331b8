"""A scorer on nnsight's traces of a transformers model."""

from tokimp_nnsight.scorer import NNsightScorer

__all__ = ["NNsightScorer"]
