"""`TransformerLensScorer`: the scorer whose backend is TransformerLens."""

from __future__ import annotations

from tokimp.models.causal_lm import CausalLMScorer
from tokimp_transformer_lens.backend import TransformerLensBackend


class TransformerLensScorer(CausalLMScorer):
    """Scores the decoders that TransformerLens knows.

    Whole attention matrices are computed in every forward pass, so memory grows with the square of the length. On a
    GPU and for long chains the backend ``nnsight`` needs less. Parameters and errors as for
    `tokimp.models.causal_lm.CausalLMScorer`.
    """

    backend = "transformer_lens"
    backend_class = TransformerLensBackend
