"""Scores by which keys are evicted from a cache, as importances of reasoning: `tova` and `snapkv`."""

from tokimp_kv_cache.snapkv import SnapKV
from tokimp_kv_cache.tova import TOVA

__all__ = ["TOVA", "SnapKV"]
