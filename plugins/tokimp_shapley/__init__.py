"""Shapley values: what each unit adds to the answer, averaged over the orders in which units can be added."""

from tokimp_shapley.estimator import Shapley

__all__ = ["Shapley"]
