"""Running an analysis: a result in, the result with the analysis's node out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from tokimp.analysis.asked_chain import logprobs_of
from tokimp.analysis.elsewhere import Elsewhere, InMemory
from tokimp.analysis.kept_chains import KeptChains
from tokimp.analysis.recorded_run import (
    check_capabilities,
    check_chains,
    check_same_model,
    known_fingerprint,
    load_recorded_scorer,
    rebuild_chains,
    recorded_objective,
)
from tokimp.chains.chain import TokenizedChain
from tokimp.compare.notebook_progress import notebook_progress
from tokimp.compare.worker_scorer import WorkerScorer
from tokimp.contracts.analysis import Analysis, AnalysisInput, Scoring
from tokimp.contracts.checked_analysis import node_of
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.executor import Executor
from tokimp.contracts.objective import Objective
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_analysis, load_executor, load_objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import name_of_older_node, node_name, node_names
from tokimp.results.provenance import plain_parameters, threads_text, versions
from tokimp.results.schema import validate


def analyze(
    result: xr.DataTree,
    name: str | Analysis,
    *,
    scorer: Scorer | None = None,
    chains: Sequence[TokenizedChain] | None = None,
    objective: str | Objective | None = None,
    same_model: bool = True,
    subset_memory: SubsetMemory | None = None,
    folder: str | Path | None = None,
    executor: str | Executor = "local",
    before_work: Callable[[Elsewhere], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> xr.DataTree:
    """Run an analysis, and return the result with its node, which replaces one of the same settings.

    The node is ``/analysis/<name>``. Parameters that differ from their defaults stand in its name
    (`tokimp.results.analysis_nodes.node_name`), so several settings of an analysis stand side by side.

    The parameters `scorer`, `chains`, `objective` and `same_model` are for analyses that ask the model again, such as
    ``faithfulness``.

    Parameters
    ----------
    result
        A result; it is not changed.
    name
        The analysis: a name with parameters, such as ``agreement`` or ``agreement:top_k=10``, of a built-in analysis or
        an installed plugin (entry point ``tokimp.analyses``); ``module:Class``; or an instance.
    scorer
        The model. By default the model that the run recorded is loaded.
    chains
        The chains as ids. By default they are made again from the result's texts. They are always checked against the
        result's tokens.
    objective
        What deletions are to preserve; by default the run's own objective, loaded by its name.
    same_model
        Whether to refuse a scorer that is not the run's model. Give false to ask another model on purpose; the chains
        must have the same tokens for it.
    subset_memory
        What is known of subsets of chains, to be shared with other calls (`tokimp.compare` too); one that lasts as long
        as this call by default. It changes what the analysis costs, and no number.
    folder
        The folder of the run. What an analysis that asks the model finds out of each chain is kept there, so that the
        same call goes on after a kill, and asks about new chains only once the run has grown. It needs a model with a
        fingerprint.
    executor
        Where chains are asked about, for analyses that ask a model: a name with parameters where it has some
        (``processes:workers=2``), or an instance. The numbers are the same bits everywhere, on the same kind of device
        and with the same number of threads. Except for ``local``, workers load the model themselves.
    progress
        Called after every chain by analyses that ask the model. Without it a notebook shows a bar, and nothing else
        does.
    options
        Parameters of the analysis.

    Raises
    ------
    SchemaError
        If the result is not valid.
    PluginError
        If there is no such analysis, or it has no such parameter.
    AnalysisError
        If a parameter's value is not allowed; if the model or the chains are no longer those of the run; or if the
        analysis fails, or returns something that does not fit the result.
    ObjectiveError
        If a chain lacks what the objective reads.
    UnsupportedError
        If the scorer lacks a capability that the analysis requires.
    ExecutorError
        If no worker can be started, what they need cannot be sent to them, or a chain was lost with each worker that
        was asked about it.
    ResumeError
        If another process is computing the same analysis in `folder`.
    """
    analysis = load_analysis(name, **options)
    analysis.validate_parameters()
    running = load_executor(executor)
    running.validate_parameters()
    validate(result)
    with ExitStack() as held:
        is_elsewhere = analysis.takes_long and not running.here
        if is_elsewhere:
            held.enter_context(running)
        scoring, store, own = None, None, scorer
        progress = held.enter_context(notebook_progress(f"analysing {analysis.name}", progress))
        if analysis.requires:
            to_preserve = recorded_objective(result) if objective is None else load_objective(objective)
            to_preserve.validate_parameters()
            own = _own_scorer(result, scorer, running)
            scoring = _prepare_scoring(
                result,
                analysis,
                to_preserve,
                own,
                chains,
                executor=running,
                same_model=same_model,
                subset_memory=subset_memory,
            )
            if folder is not None and known_fingerprint(own):
                store = KeptChains(Path(folder), analysis, result, scoring)
        fingerprint, kept = "" if own is None else known_fingerprint(own), store or InMemory()
        elsewhere = Elsewhere(analysis, result, scoring, progress, running, own, fingerprint, kept)
        if before_work is not None and analysis.takes_long:
            before_work(elsewhere)
        if store is not None:
            held.enter_context(store)
        if is_elsewhere:
            node, inputs = elsewhere.compute()
        else:
            inputs = AnalysisInput(result, scoring, progress, store)
            node = node_of(analysis, inputs)
        node = node.assign_attrs({**_attributes(analysis, inputs, scoring), **node.attrs})
    analyzed = _named_by_settings(result.copy(), analysis)
    try:
        analyzed[f"analysis/{node_name(analysis)}"] = xr.DataTree(node)
    # xarray compares the node's dimensions and coordinates with the result's.
    except ValueError as error:
        raise AnalysisError(f"what the analysis {analysis.name!r} returned does not fit the result: {error}") from error
    return analyzed


def _named_by_settings(result: xr.DataTree, analysis: Analysis) -> xr.DataTree:
    """Return a result in which no node of the analysis has the plain name, but that of the default settings.

    tokimp 0.1.0 called every node by the plain name. Such a node is not to be replaced by another setting.
    """
    if analysis.name not in node_names(result, analysis.name):
        return result
    name = name_of_older_node(result, analysis)
    if name != analysis.name:
        nodes = result["analysis"].children
        result["analysis"].children = {
            name if stored == analysis.name else stored: node.copy() for stored, node in nodes.items()
        }
    return result


def _own_scorer(result: xr.DataTree, scorer: Scorer | None, executor: Executor) -> Scorer:
    """Return the scorer that is given, or that of the run."""
    if scorer is None:
        return load_recorded_scorer(result, executor=executor)
    if not isinstance(scorer, Scorer):
        raise AnalysisError(f"the scorer is a {type(scorer).__name__}; give what tokimp.load_scorer(...) returns")
    return scorer


def _prepare_scoring(
    result: xr.DataTree,
    analysis: Analysis,
    objective: Objective,
    scorer: Scorer,
    chains: Sequence[TokenizedChain] | None,
    *,
    executor: Executor,
    same_model: bool,
    subset_memory: SubsetMemory | None,
) -> Scoring:
    """Return model, chains and objective for an analysis, made again where they are not given, and checked."""
    check_capabilities(scorer, analysis.requires, analysis.name)
    if chains is None:
        chains = rebuild_chains(result, scorer.tokenizer)
    else:
        check_chains(result, chains)
    for chain in chains:
        objective.check(chain)
    if same_model:
        is_here = not isinstance(scorer, WorkerScorer)
        check_same_model(result, scorer, chains, None if is_here else partial(logprobs_of, executor, scorer))
    memory = SubsetMemory() if subset_memory is None else subset_memory.of_model(known_fingerprint(scorer))
    return Scoring(CheckedScorer(scorer, memory), tuple(chains), objective)


def _attributes(analysis: Analysis, inputs: AnalysisInput, scoring: Scoring | None) -> dict[str, Any]:
    """Return the attributes that say how, with what and at which cost an analysis's node was computed."""
    attributes: dict[str, Any] = {"parameters": json.dumps(plain_parameters(analysis.parameters()))}
    if scoring is None:
        return attributes
    scorer = scoring.scorer
    return {
        **attributes,
        **{f"{name}_version": number for name, number in versions(scorer).items()},
        "model_id": scorer.model_id,
        "model_fingerprint": known_fingerprint(scorer),
        "backend": scorer.backend,
        "dtype": scorer.dtype,
        "device": scorer.device,
        "threads": threads_text([torch.get_num_threads()]),
        "seconds": time.perf_counter() - inputs.started + inputs.kept_seconds,
        "tokens_forwarded": scorer.tokens_forwarded - inputs.forwarded_at_start + inputs.kept_tokens_forwarded,
    }
