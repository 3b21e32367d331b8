"""Find out which tokens of a model's reasoning its answer rests on, and whether the methods that say so agree.

Examples
--------
>>> import tokimp as ti
>>> scorer = ti.load_scorer("tiny")
>>> result = ti.compare(ti.demo_chains(limit=2), scorer, estimators=["leave_one_out", "position"])
>>> result = ti.analyze(result, "agreement")
>>> ti.chain_table(result, str(result["chain_id"].values[0])).columns[:2].tolist()
['token_text', 'unit']
"""

from importlib.metadata import version

from tokimp.analysis.run import analyze
from tokimp.chains.chain import CategorySpan, Chain, TokenizedChain
from tokimp.chains.datasets import SkippedRecord, demo_chains, load_chains
from tokimp.chains.tokenization import tokenize_chain
from tokimp.compare.compare import compare
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory, sum_over_units
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.registry import (
    load_analysis,
    load_estimator,
    load_objective,
    load_task,
    load_trainer,
    register_analysis,
    register_estimator,
    register_objective,
    register_scorer,
    register_task,
    register_trainer,
)
from tokimp.contracts.scorer import Capability, DeletionScores, Scorer, SpanLogprobs
from tokimp.contracts.task import Question, Task
from tokimp.errors import TokimpError
from tokimp.models.loading import load_scorer
from tokimp.results.io import load, save
from tokimp.results.schema import ranks, validate
from tokimp.results.views import chain_table, kept_positions, pruned_text, top_units

__version__ = version("tokimp")

__all__ = [  # noqa: RUF022 - grouped by what a reader looks for
    # chains
    "CategorySpan",
    "Chain",
    "SkippedRecord",
    "TokenizedChain",
    "demo_chains",
    "load_chains",
    "tokenize_chain",
    # scorers and objectives
    "Capability",
    "DeletionScores",
    "LogprobTensors",
    "Objective",
    "Scorer",
    "Span",
    "SpanLogprobs",
    "load_objective",
    "load_scorer",
    # estimators
    "Importance",
    "ImportanceEstimator",
    "Trajectory",
    "load_estimator",
    "sum_over_units",
    # comparing and analysing
    "Analysis",
    "AnalysisInput",
    "analyze",
    "compare",
    "load_analysis",
    # distillation
    "Question",
    "Task",
    "load_task",
    "load_trainer",
    # results
    "chain_table",
    "kept_positions",
    "load",
    "pruned_text",
    "ranks",
    "save",
    "top_units",
    "validate",
    # plugins
    "register_analysis",
    "register_estimator",
    "register_objective",
    "register_scorer",
    "register_task",
    "register_trainer",
    # errors
    "TokimpError",
    "__version__",
]
