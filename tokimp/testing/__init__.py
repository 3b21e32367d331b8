"""What the author of a plugin imports into its tests: a check of each contract, and a scorer of known truth."""

from tokimp.testing.analysis_checks import check_analysis
from tokimp.testing.estimator_checks import check_estimator
from tokimp.testing.executor_checks import check_executor
from tokimp.testing.objective_checks import check_objective
from tokimp.testing.scorer_checks import check_scorer
from tokimp.testing.smollm2 import smollm2_folder
from tokimp.testing.task_checks import check_task
from tokimp.testing.toy_scorer import AdditiveScorer, CharacterTokenizer, toy_chain
from tokimp.testing.unit_checks import check_units

__all__ = [
    "AdditiveScorer",
    "CharacterTokenizer",
    "check_analysis",
    "check_estimator",
    "check_executor",
    "check_objective",
    "check_scorer",
    "check_task",
    "check_units",
    "smollm2_folder",
    "toy_chain",
]
