"""The checks of a comparison: everything that can be wrong is said before any work starts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.compare.wrong_answers import with_wrong_option_or_number
from tokimp.contracts.context_length import Reader, check_chain_fits
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.plugin_output import described
from tokimp.contracts.registry import load_estimator
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.contracts.unit_splitter import UnitSplitter
from tokimp.errors import (
    ChainError,
    EstimatorError,
    ObjectiveError,
    ScorerError,
    TokenizationError,
    TokimpError,
    TokimpWarning,
    UnsupportedError,
)
from tokimp.results.schema import unstorable

# The largest seed that numpy's global generator takes.
_LARGEST_SEED = 2**32 - 1
_MOST_REASONS_SHOWN = 3
_BY_TEXT = ("option", "number")


class ChainReader(Reader, Protocol):
    """What chains are turned into ids for: a scorer, or a model that is yet to be loaded."""

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""


def check_seed(seed: int) -> None:
    """Raise `TokimpError` if a seed is not a whole number from 0 to 2**32 - 1."""
    # A bool is an int to Python, and numpy's integers are none to JSON, which describes the run.
    if type(seed) is not int or not 0 <= seed <= _LARGEST_SEED:
        raise TokimpError(f"seed={seed!r} is not allowed; give a whole number from 0 to {_LARGEST_SEED}")


def check_scorer_type(scorer: Scorer) -> None:
    """Raise `TokimpError` if what was passed as the scorer (the name of a model, say) is none, or describes none."""
    if not isinstance(scorer, Scorer):
        raise TokimpError(
            f"the scorer is {scorer!r}, of type {type(scorer).__name__}; give what tokimp.load_scorer(...) returns"
        )
    capabilities: Any = scorer.capabilities
    if not isinstance(capabilities, set | frozenset) or not all(isinstance(one, Capability) for one in capabilities):
        raise ScorerError(
            f"the scorer {type(scorer).__name__} has {described(capabilities)} as capabilities; a frozenset of members "
            "of Capability was expected"
        )
    for name in ("backend", "model_id", "device", "dtype"):
        if not isinstance(getattr(scorer, name, None), str):
            shown = described(getattr(scorer, name, None))
            raise ScorerError(f"the scorer {type(scorer).__name__} has {shown} as {name}; a text was expected")


def load_valid_estimators(estimators: Sequence[str | ImportanceEstimator]) -> list[ImportanceEstimator]:
    """Return the estimators, loaded and checked as far as no model is needed; as of `load_estimators`."""
    if isinstance(estimators, str | ImportanceEstimator | type):
        raise EstimatorError(f"estimators must be a list, such as [{estimators!r}]")
    loaded = [load_estimator(estimator) for estimator in estimators]
    if not loaded:
        raise EstimatorError("no estimator was given; name at least one, such as 'greedy'")
    labels = [estimator.label for estimator in loaded]
    for label in labels:
        if labels.count(label) > 1:
            raise EstimatorError(f"the estimator {label!r} was given more than once; leave one out")
    for estimator in loaded:
        estimator.validate_parameters()
    return loaded


def load_estimators(estimators: Sequence[str | ImportanceEstimator], scorer: Scorer) -> list[ImportanceEstimator]:
    """Return the estimators, loaded and checked against what the scorer can give.

    Parameters
    ----------
    estimators
        Names, specifications or instances, as of `tokimp.compare.compare.compare`.
    scorer
        The model that they will ask.

    Raises
    ------
    EstimatorError
        If there are none, two have one label, or a parameter is not allowed.
    UnsupportedError
        If the scorer gives no log-probabilities, or lacks something that an estimator requires.
    PluginError
        If a name is unknown, or what it stands for is not an estimator.
    """
    loaded = load_valid_estimators(estimators)
    if Capability.LOGPROBS not in scorer.capabilities:
        raise UnsupportedError(f"the scorer {scorer.backend!r} gives no log-probabilities, which every run needs")
    for estimator in loaded:
        missing = sorted(estimator.requires - scorer.capabilities)
        if missing:
            raise UnsupportedError(
                f"the estimator {estimator.label!r} requires {', '.join(missing)}, which the backend "
                f"{scorer.backend!r} does not give for {scorer.model_id!r}; use another backend or leave it out"
            )
    return loaded


def tokenize_usable(
    chains: Sequence[Chain],
    scorer: ChainReader,
    objective: Objective,
    *,
    unit: UnitSplitter,
    prompt_format: PromptFormat,
    think_tags: ThinkTags | None = None,
    wrong_answers: str | None = None,
    seed: int = 0,
    skipped: list[SkippedRecord] | None,
) -> list[TokenizedChain]:
    """Return the chains as ids; a chain that cannot be used is an error, or is left out.

    Parameters
    ----------
    chains
        The chains of the run.
    scorer
        The model that will read them: its tokenizer and its context length count.
    objective
        What deletions are to preserve; it may need a wrong answer.
    unit, prompt_format, think_tags
        As of `tokimp.contracts.tokenization.tokenize_chain`.
    wrong_answers, seed
        As of `tokimp.compare.compare.compare`. Options and numbers are drawn here; what the model is to write comes
        later, and is checked then.
    skipped
        If a list is given, chains that cannot be used are appended to it and left out.

    Raises
    ------
    ChainError, TokenizationError, ObjectiveError
        If a chain cannot be used and `skipped` is None; the message names the chain. `ChainError` also if two chains
        have one id, something is not a chain, or no chain is left.
    """
    chain_of_id: dict[str, Chain] = {}
    usable = []
    for index, chain in enumerate(chains):
        if not isinstance(chain, Chain):
            raise ChainError(
                f"chains[{index}] is of type {type(chain).__name__}; give a list of tokimp.Chain, as "
                "tokimp.load_chains(...) returns it"
            )
        if chain.id in chain_of_id:
            first = chain_of_id[chain.id]
            raise ChainError(f"{chain.where}: the id was already used ({first.where}); ids must be unique")
        chain_of_id[chain.id] = chain
        try:
            _check_texts(chain)
            drawn = with_wrong_option_or_number(chain, wrong_answers, seed) if wrong_answers in _BY_TEXT else chain
            tokens = tokenize_chain(drawn, scorer.tokenizer, prompt_format, unit, think_tags=think_tags)
            check_chain_fits(tokens, scorer, objective)
            if wrong_answers != "model" or chain.wrong_answer is not None:
                objective.check(tokens)
        except (ChainError, TokenizationError, ObjectiveError) as error:
            if skipped is None:
                raise
            where = chain.source or chain.where
            # Whoever shows the record says where it stands.
            skipped.append(SkippedRecord(where, chain.id, str(error).removeprefix(f"{where}: ")))
        else:
            usable.append(tokens)
    if not usable:
        raise _none_usable(skipped or [])
    return usable


def warn_of_undivided(chains: Sequence[TokenizedChain]) -> None:
    """Warn, once for all chains, of chains that fall into one unit: deleting it leaves no reasoning to compare."""
    undivided = [chain.id for chain in chains if len(chain.units) == 1]
    if undivided:
        shown = ", ".join(map(repr, undivided[:_MOST_REASONS_SHOWN]))
        more = ", ..." if len(undivided) > _MOST_REASONS_SHOWN else ""
        warnings.warn(
            f"{len(undivided)} of {len(chains)} chains have one {chains[0].unit} only ({shown}{more}), so there is "
            f"nothing to rank in them{'' if chains[0].unit == 'token' else '; choose a smaller unit (--unit, unit=)'}",
            TokimpWarning,
            stacklevel=3,
        )


def _check_texts(chain: Chain) -> None:
    for field in ("id", "question", "reasoning", "answer", "gold", "system", "wrong_answer"):
        problem = unstorable(getattr(chain, field) or "")
        if problem:
            raise ChainError(f"{chain.where}: the {field} holds {problem}, which no result file can store; remove it")


def _none_usable(skipped: Sequence[SkippedRecord]) -> ChainError:
    reasons = [f"{record.where}: {record.reason}" for record in skipped[:_MOST_REASONS_SHOWN]]
    if len(skipped) > _MOST_REASONS_SHOWN:
        reasons.append(f"and {len(skipped) - _MOST_REASONS_SHOWN} more")
    return ChainError(f"none of {len(skipped)} chains can be used{': ' if reasons else ''}{'; '.join(reasons)}")
