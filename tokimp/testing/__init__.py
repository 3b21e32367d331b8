"""What the author of a plugin imports into its tests: checks of estimators and tasks, and a scorer of known truth."""

from tokimp.testing.checks import check_estimator
from tokimp.testing.smollm2 import smollm2_folder
from tokimp.testing.task_checks import check_task
from tokimp.testing.toy_scorer import AdditiveScorer, CharacterTokenizer, toy_chain

__all__ = ["AdditiveScorer", "CharacterTokenizer", "check_estimator", "check_task", "smollm2_folder", "toy_chain"]
