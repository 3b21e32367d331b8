"""Scores by which keys are evicted from a cache, as importances of reasoning: `tova`, `snapkv` and `keydiff`."""

from tokimp_kv_cache.keydiff import KeyDiff
from tokimp_kv_cache.snapkv import SnapKV
from tokimp_kv_cache.tova import TOVA

__all__ = ["TOVA", "KeyDiff", "SnapKV"]
