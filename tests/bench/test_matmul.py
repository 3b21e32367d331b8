"""Rates of matrix products."""

from __future__ import annotations

import torch

from tokimp.bench.matmul import matmul_rates
from tokimp.models.causal_lm import CausalLMScorer


def test_matrix_products_are_measured(scorer: CausalLMScorer) -> None:
    """A square product and one of the model's shape have positive rates."""
    rates = matmul_rates("cpu", torch.float32, scorer.size, 64)
    assert [rate.name for rate in rates] == ["square", "mlp"]
    assert all(rate.operations_per_second > 0 for rate in rates)
    assert (rates[1].rows, rates[1].inner) == (64, scorer.size.hidden)
