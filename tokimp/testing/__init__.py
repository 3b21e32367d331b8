"""What the author of a plugin imports into its tests: a check of an estimator, and a scorer whose truth is known."""

from tokimp.testing.checks import check_estimator
from tokimp.testing.smollm2 import smollm2_folder
from tokimp.testing.toy_scorer import AdditiveScorer, CharacterTokenizer, toy_chain

__all__ = ["AdditiveScorer", "CharacterTokenizer", "check_estimator", "smollm2_folder", "toy_chain"]
