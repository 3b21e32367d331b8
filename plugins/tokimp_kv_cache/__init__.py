"""Scores by which keys are evicted from a cache, as importances: `tova`, `snapkv`, `keydiff`, `expected_attention`."""

from tokimp_kv_cache.expected_attention import ExpectedAttention
from tokimp_kv_cache.keydiff import KeyDiff
from tokimp_kv_cache.snapkv import SnapKV
from tokimp_kv_cache.tova import TOVA

__all__ = ["TOVA", "ExpectedAttention", "KeyDiff", "SnapKV"]
