"""Receiver heads: attention heads that single out few units of a chain, and what those units receive."""

from tokimp_receiver_heads.estimator import ReceiverHeads
from tokimp_receiver_heads.heads import HeadList, choose_heads, read_heads, receiver_scores, save_heads

__all__ = ["HeadList", "ReceiverHeads", "choose_heads", "read_heads", "receiver_scores", "save_heads"]
