"""`NNsightScorer`: the scorer whose backend is nnsight."""

from __future__ import annotations

from tokimp.models.causal_lm import CausalLMScorer
from tokimp_nnsight.backend import NNsightBackend


class NNsightScorer(CausalLMScorer):
    """Scores every decoder of transformers, with attention as fast as it was loaded.

    Parameters and errors as for `tokimp.models.causal_lm.CausalLMScorer`.
    """

    backend = "nnsight"
    backend_class = NNsightBackend
