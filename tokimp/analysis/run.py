"""Result -> result with one more node, by any analysis."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import xarray as xr

from tokimp.analysis.recorded_run import (
    check_capabilities,
    check_chains,
    check_model,
    known_fingerprint,
    load_recorded_scorer,
    rebuild_chains,
    recorded_objective,
)
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import Analysis, AnalysisInput, Scoring
from tokimp.contracts.objective import Objective
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_analysis, load_objective
from tokimp.contracts.scorer import Scorer
from tokimp.errors import AnalysisError, TokimpError
from tokimp.results.provenance import plain_parameters, versions
from tokimp.results.schema import validate


def analyze(
    result: xr.DataTree,
    name: str | Analysis,
    *,
    scorer: Scorer | None = None,
    chains: Sequence[TokenizedChain] | None = None,
    objective: str | Objective | None = None,
    same_model: bool = True,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> xr.DataTree:
    """Return a result with the node ``/analysis/<name>`` added, or made anew.

    Parameters
    ----------
    result
        A result; it is not changed.
    name
        Of the analysis: ``agreement``, ``agreement:top_k=10``, the name of an installed plugin (entry point
        ``tokimp.analyses``), ``module:Class``, or an instance.
    scorer
        For analyses that ask the model again (``faithfulness``): the model; loaded as the run recorded it by default.
    chains
        For those, the chains as ids; by default made again from the result's texts, and always checked against its
        tokens.
    objective
        For those, what deletions are to preserve; the run's own, loaded by its name, by default.
    same_model
        Refuse a scorer that is not the run's model; false to ask another one, for which the chains have the same
        tokens, on purpose.
    progress
        Called after every chain, by analyses that ask the model.
    options
        The analysis's own parameters.

    Raises
    ------
    SchemaError
        If the result is not valid.
    PluginError
        If there is no such analysis, or it has no such parameter.
    AnalysisError
        If a parameter's value is not allowed; if the model or the chains are no longer those of the run; or if the
        analysis fails, or returns what does not fit the result.
    ObjectiveError
        If a chain lacks what the objective reads.
    UnsupportedError
        If the scorer does not give what the analysis requires.
    """
    analysis = load_analysis(name, **options)
    analysis.validate_parameters()
    validate(result)
    scoring = None
    if analysis.requires:
        preserved = recorded_objective(result) if objective is None else load_objective(objective)
        scoring = _prepare(result, analysis, preserved, scorer, chains, same_model=same_model)
    node = _compute(analysis, AnalysisInput(result, scoring, progress))
    analyzed = result.copy()
    try:
        analyzed[f"analysis/{analysis.name}"] = xr.DataTree(node)
    # xarray compares the node's dimensions and coordinates with the result's.
    except ValueError as error:
        raise AnalysisError(f"what the analysis {analysis.name!r} returned does not fit the result: {error}") from error
    return analyzed


def _prepare(
    result: xr.DataTree,
    analysis: Analysis,
    objective: Objective,
    scorer: Scorer | None,
    chains: Sequence[TokenizedChain] | None,
    *,
    same_model: bool,
) -> Scoring:
    if scorer is None:
        scorer = load_recorded_scorer(result)
    elif not isinstance(scorer, Scorer):
        raise AnalysisError(f"the scorer is a {type(scorer).__name__}; give what tokimp.load_scorer(...) returns")
    check_capabilities(scorer, analysis.requires, analysis.name)
    if chains is None:
        chains = rebuild_chains(result, scorer.tokenizer)
    else:
        check_chains(result, chains)
    for chain in chains:
        objective.check(chain)
    if same_model:
        check_model(result, scorer, chains)
    return Scoring(scorer, tuple(chains), objective)


def _compute(analysis: Analysis, given: AnalysisInput) -> xr.Dataset:
    started = time.perf_counter()
    scorer = given.scoring.scorer if analysis.requires else None
    before = scorer.tokens_forwarded if scorer is not None else 0
    try:
        node = analysis.compute(given)
    except TokimpError:
        raise
    # An analysis is a stranger's code: whatever it raises, the message says where it happened.
    except Exception as error:
        raise AnalysisError(f"the analysis {analysis.name!r} failed with {type(error).__name__}: {error}") from error
    if not isinstance(node, xr.Dataset):
        raise AnalysisError(
            f"the analysis {analysis.name!r} returned a {type(node).__name__}; return an xarray.Dataset"
        )
    described: dict[str, Any] = {"parameters": json.dumps(plain_parameters(analysis.parameters()))}
    if scorer is not None:
        described |= {f"{name}_version": number for name, number in versions(scorer).items()}
        described |= {
            "model_id": scorer.model_id,
            "model_fingerprint": known_fingerprint(scorer),
            "backend": scorer.backend,
            "dtype": scorer.dtype,
            "device": scorer.device,
            "seconds": time.perf_counter() - started,
            "tokens_forwarded": scorer.tokens_forwarded - before,
        }
    return node.assign_attrs({**described, **node.attrs})
