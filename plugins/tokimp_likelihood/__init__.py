"""Estimators that need only how likely the model found each token: `entropy`, `first_token`, `cts`."""

from tokimp_likelihood.cts import ConditionalTokenSelection
from tokimp_likelihood.entropy import Entropy
from tokimp_likelihood.first_token import FirstToken

__all__ = ["ConditionalTokenSelection", "Entropy", "FirstToken"]
