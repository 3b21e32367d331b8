from .analysis.run import analyze
from .audit.audit import Audit, audit
from .audit.settings import AuditSettings
from .chains.arrays import FloatArray, IntArray
from .chains.chain import CategorySpan, Chain, TokenizedChain
from .chains.datasets import FieldMap, SkippedRecord, demo_chains, load_chains, save_chains
from .compare.compare import compare
from .contracts.analysis import Analysis, AnalysisInput, Scoring
from .contracts.categorizer import CATEGORIES, OTHER, Categorizer
from .contracts.constraints import (
    AnyOf,
    Constraint,
    ListOf,
    Number,
    OneOf,
    Optional,
    Text,
    TrueOrFalse,
    WholeNumber,
)
from .contracts.estimator import Importance, ImportanceEstimator, Trajectory, sum_over_units
from .contracts.executor import Executor, Outcome, Piece, Work, Workers
from .contracts.layer_states import LayerStates
from .contracts.objective import Answer, AnswerValue, Contrast, Joint, LogprobTensors, Objective, Reasoning, Span
from .contracts.progress import Progress
from .contracts.registry import (
    load_analysis,
    load_categorizer,
    load_estimator,
    load_executor,
    load_objective,
    load_task,
    load_trainer,
    load_unit,
    register_analysis,
    register_categorizer,
    register_estimator,
    register_executor,
    register_objective,
    register_scorer,
    register_task,
    register_trainer,
    register_unit,
)
from .contracts.scorer import Capability, DeletionScores, Scorer, SpanEntropies, SpanLogprobs
from .contracts.subset_scores import SubsetMemory
from .contracts.task import Question, Task, draw
from .contracts.tokenization import tokenize_chain
from .contracts.train_settings import Lora, TrainSettings
from .contracts.trainer import Fit, Trainer, TrainingExample
from .contracts.unit_deletions import score_kept, score_unit_deletions
from .contracts.unit_splitter import TextUnitSplitter, UnitSplitter
from .distillation.ask.evaluate import evaluate
from .errors import (
    AnalysisError,
    CategorizerError,
    ChainError,
    DistillationError,
    EstimatorError,
    ExecutorError,
    ObjectiveError,
    PlanError,
    PluginError,
    ResumeError,
    SchemaError,
    ScorerError,
    StorageError,
    TaskError,
    TokenizationError,
    TokimpError,
    TokimpWarning,
    TrainingError,
    UnsupportedError,
)
from .models.backend import Backend
from .models.causal_lm import CausalLMScorer
from .models.loading import LoadedModel, load_scorer
from .models.writing.load import load_engine
from .report import plot
from .report.explorer.view import view
from .report.shown_chain import ShownChain, show
from .results.analysis_nodes import analysis_node
from .results.by_chain import iterate, unit_scores
from .results.effects import effects
from .results.io import load, save
from .results.joining import concat
from .results.schema import ranks, validate
from .results.views import chain_table, kept_positions, pruned_text, tidy_table, top_units

__version__: str

__all__ = [  # noqa: RUF022 - grouped by what a reader looks for
    # chains
    "CategorySpan",
    "Chain",
    "FieldMap",
    "SkippedRecord",
    "TokenizedChain",
    "demo_chains",
    "load_chains",
    "save_chains",
    "tokenize_chain",
    # units
    "TextUnitSplitter",
    "UnitSplitter",
    "load_unit",
    # scorers
    "Backend",
    "Capability",
    "CausalLMScorer",
    "DeletionScores",
    "LayerStates",
    "LoadedModel",
    "Scorer",
    "SpanEntropies",
    "SpanLogprobs",
    "load_scorer",
    "score_kept",
    "score_unit_deletions",
    # objectives
    "Answer",
    "AnswerValue",
    "Contrast",
    "Joint",
    "LogprobTensors",
    "Objective",
    "Reasoning",
    "Span",
    "load_objective",
    # estimators
    "Importance",
    "ImportanceEstimator",
    "Trajectory",
    "load_estimator",
    "sum_over_units",
    # comparing and analysing
    "Analysis",
    "AnalysisInput",
    "Audit",
    "AuditSettings",
    "Progress",
    "Scoring",
    "analyze",
    "audit",
    "SubsetMemory",
    "compare",
    "load_analysis",
    # executors
    "Executor",
    "Outcome",
    "Piece",
    "Work",
    "Workers",
    "load_executor",
    # results
    "analysis_node",
    "chain_table",
    "concat",
    "effects",
    "iterate",
    "kept_positions",
    "load",
    "pruned_text",
    "tidy_table",
    "ranks",
    "save",
    "top_units",
    "unit_scores",
    "validate",
    "ShownChain",
    "plot",
    "show",
    "view",
    # categories
    "CATEGORIES",
    "OTHER",
    "Categorizer",
    "load_categorizer",
    # distillation
    "Fit",
    "Lora",
    "Question",
    "Task",
    "TrainSettings",
    "Trainer",
    "TrainingExample",
    "draw",
    "evaluate",
    "load_engine",
    "load_task",
    "load_trainer",
    # registering a class by name
    "register_analysis",
    "register_categorizer",
    "register_estimator",
    "register_executor",
    "register_objective",
    "register_scorer",
    "register_task",
    "register_trainer",
    "register_unit",
    # constraints on parameters
    "AnyOf",
    "Constraint",
    "ListOf",
    "Number",
    "OneOf",
    "Optional",
    "Text",
    "TrueOrFalse",
    "WholeNumber",
    # types of arrays
    "FloatArray",
    "IntArray",
    # errors
    "AnalysisError",
    "CategorizerError",
    "ChainError",
    "DistillationError",
    "EstimatorError",
    "ExecutorError",
    "ObjectiveError",
    "PlanError",
    "PluginError",
    "ResumeError",
    "SchemaError",
    "ScorerError",
    "StorageError",
    "TaskError",
    "TokenizationError",
    "TokimpError",
    "TokimpWarning",
    "TrainingError",
    "UnsupportedError",
    "__version__",
]
