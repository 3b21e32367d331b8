"""Chains x estimators -> result: everything is checked before any work, and finished cells are stored."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
import xarray as xr

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.template_clock import TEMPLATE_DATE
from tokimp.chains.think_tags import ThinkTags
from tokimp.chains.units import token_categories
from tokimp.compare.assembly import build_result
from tokimp.compare.cell_work import AskForCells
from tokimp.compare.cells import Cells, resolve_chains_at_once
from tokimp.compare.checking import check_scorer_type, check_seed, load_estimators, tokenize_usable, warn_of_undivided
from tokimp.compare.drawn_answers import draw_by_model
from tokimp.compare.failed_cells import reason
from tokimp.compare.journal import Journal
from tokimp.compare.notebook_progress import notebook_progress
from tokimp.compare.pending import PendingCells
from tokimp.compare.scorer_work import ScorerWork, as_raised_here
from tokimp.compare.shard import read_shard
from tokimp.compare.worker_scorer import WorkerScorer
from tokimp.compare.wrong_answers import check_way
from tokimp.contracts.context_length import check_chain_fits
from tokimp.contracts.effects import check_effects_fit
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor, Failure
from tokimp.contracts.objective import Objective
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_executor, load_objective, load_unit, plugin_identity
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.contracts.unit_splitter import UnitSplitter
from tokimp.errors import UnsupportedError
from tokimp.results.joined_attributes import SHARD
from tokimp.results.provenance import (
    chain_identity,
    estimator_identities,
    model_identity,
    objective_identity,
    threads_text,
    unit_identity,
    versions,
)
from tokimp.storage.asked_models import remember_model


def compare(  # noqa: PLR0917 - the API of the design: what, by whom, how, in the order one says it
    chains: Sequence[Chain],
    scorer: Scorer,
    estimators: Sequence[str | ImportanceEstimator],
    objective: str | Objective = "joint",
    unit: str | UnitSplitter = "token",
    prompt_format: PromptFormat = "auto",
    *,
    out: str | Path | None = None,
    think_tags: ThinkTags | None = None,
    wrong_answers: str | None = None,
    skipped: list[SkippedRecord] | None = None,
    seed: int = 0,
    chains_at_once: int | Literal["auto"] = "auto",
    shard: str | None = None,
    subset_memory: SubsetMemory | None = None,
    executor: str | Executor = "local",
    keep_going: bool = False,
    before_work: Callable[[PendingCells], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> xr.DataTree:
    """Let every estimator rank the reasoning of every chain.

    Parameters
    ----------
    chains
        The chains whose reasoning is ranked; ids are unique.
    scorer
        The model that is asked. Each chain is scored on its own, never batched with another.
    estimators
        Names, specifications (``greedy:keep_ratio=0.5``) or instances; no two with the same label.
    objective
        What deletions are to preserve: a name or an instance.
    unit
        What is deleted as a whole: ``token``, ``word``, ``sentence`` or the name of another unit, with parameters where
        it has some, or an instance.
    prompt_format, think_tags
        See `tokimp.tokenize_chain`.
    out
        A folder in which finished cells are stored. The same call with the same folder continues a run that was
        interrupted, and ends with the same importance and rank, byte for byte. With more chains or estimators it
        computes only what is new.
    wrong_answers
        How to draw a wrong answer for each chain that has none, which the objective ``contrast`` needs: ``option``
        (another letter of the question's options), ``number`` (another number of as many digits) or ``model`` (the
        value that the model writes most often beside the chain's own). By default none is drawn. The result stores
        them.
    skipped
        The records left out so far. If this list is given, chains that cannot be used are appended to it and left out;
        otherwise the first of them is an error. The result's attributes name all records left out.
    seed
        The seed of everything random, from 0 to 2**32 - 1. Each cell starts from a seed made of this one, the chain's
        id and the estimator's label, so that no cell depends on what ran before it. The caller's generators are left
        as they were.
    chains_at_once
        How many chains each estimator is asked about side by side, so that what they ask of the model goes through it
        together. ``"auto"``: as many as the scorer reads best; 1 on a CPU.
    shard
        Which part of the chains to compare: ``2/8`` is the second of eight. `tokimp.concat` joins the results of all
        parts to that of the whole run.
    subset_memory
        What is known of subsets of chains, to be shared with other calls (`tokimp.analyze` too); one that lasts as
        long as this run by default. It changes what cells cost, and no number. It is not used where several chains are
        asked about side by side.
    executor
        Where cells are computed: a name with parameters where it has some (``processes:workers=2``), or an instance.
        Importance and rank are the same bits everywhere, on the same kind of device and with the same number of
        threads. Except for ``local``, workers load the scorer themselves, from what `tokimp.load_scorer` was given.
    keep_going
        Whether a cell that fails (its estimator raises, or its workers die) is left out, rather than ending the run.
        The result then has NaN there, and says so in ``status``. A chain that the model cannot read unpruned is left
        out of the result, and named in its attribute ``skipped``. Under `out`, type, message and traceback are stored,
        and the same call tries these cells again, and only these.
    before_work
        Called with what is to be computed, after all checks and before anything is computed or written.
    progress
        Called after every finished cell. Without it a notebook shows a bar, and nothing else does.

    Returns
    -------
    xarray.DataTree
        See ``docs/schema.md``.

    Raises
    ------
    TokimpError
        If the seed is not a whole number in its range, or `scorer` is not a scorer.
    ChainError, TokenizationError, ObjectiveError
        If a chain cannot be used: it has an id or text that a result cannot hold, does not fit the prompt format,
        the model's context or the objective. Also if no chain is left.
    UnsupportedError
        If an estimator requires what the scorer cannot give. Also if other processes are to load a scorer that was
        made of objects in memory.
    EstimatorError
        If there are no estimators, two have one label, a parameter is not allowed, or one fails on a chain. Cells
        finished before a failure stay stored.
    ExecutorError
        If no worker can be started, what they need cannot be sent to them, or a cell was lost with each worker that
        tried it.
    PluginError
        If a name is unknown, or what it stands for is not of its kind.
    ResumeError
        If `out` holds another run, or is in use.
    """
    loaded_executor = load_executor(executor)
    loaded_executor.validate_parameters()
    check_seed(seed)
    check_scorer_type(scorer)
    at_once = resolve_chains_at_once(chains_at_once, scorer)
    part = None if shard is None else read_shard(shard)
    check_way(wrong_answers, scorer)
    loaded = load_estimators(estimators, scorer)
    loaded_objective = load_objective(objective)
    loaded_objective.validate_parameters()
    # Put together before any work, since it needs every parameter to be stored under its name.
    label = loaded_objective.label
    loaded_unit = load_unit(unit)
    loaded_unit.validate_parameters()
    usable = tokenize_usable(
        chains,
        scorer,
        loaded_objective,
        unit=loaded_unit,
        prompt_format=prompt_format,
        think_tags=think_tags,
        wrong_answers=wrong_answers,
        seed=seed,
        skipped=skipped,
    )
    if part is not None:
        usable = list(part.of(usable, at_once))
    warn_of_undivided(usable)
    check_effects_fit(usable, [estimator.label for estimator in loaded if estimator.gives_effects])
    remember_model(str(scorer.model_id))
    fingerprint = _fingerprint(scorer, needed=out is not None)
    identity = {
        "model": model_identity(scorer, fingerprint),
        "objective": objective_identity(loaded_objective),
        **unit_identity(loaded_unit),
        "prompt_format": prompt_format,
        **({} if think_tags is None else {"think_tags": list(think_tags)}),
        **({} if wrong_answers is None else {"wrong_answers": wrong_answers}),
        "seed": seed,
        # What is read together can change last bits, so a run that is continued reads together what it did before.
        **({} if at_once == 1 else {"chains_at_once": at_once}),
        "estimators": estimator_identities(loaded),
        "chains": [chain_identity(chain) for chain in usable],
        "versions": versions(scorer),
    }
    if before_work is not None:
        before_work(
            PendingCells.of_run(
                identity,
                None if out is None else Path(out),
                scorer=scorer,
                objective=loaded_objective,
                seed=seed,
                chains=usable,
                estimators=loaded,
            )
        )
    memory = SubsetMemory() if subset_memory is None else subset_memory.of_model(fingerprint)
    # Side by side, what one chain finds there would change what the others are read with, and so their last bits.
    shared = None if at_once != 1 else memory if loaded_executor.here else SubsetMemory()
    ask = AskForCells(loaded, loaded_objective, seed, shared)
    work = ScorerWork.for_executor(loaded_executor, scorer, ask, fingerprint=fingerprint)
    with contextlib.ExitStack() as stack:
        stack.enter_context(loaded_executor)
        journal = stack.enter_context(Journal(Path(out), identity)) if out is not None else None
        created = journal.created if journal else datetime.now(UTC).isoformat(timespec="seconds")
        if wrong_answers == "model":

            def tokenize(chain: Chain) -> TokenizedChain:
                tokens = tokenize_chain(chain, scorer.tokenizer, prompt_format, loaded_unit, think_tags=think_tags)
                check_chain_fits(tokens, scorer, loaded_objective)
                loaded_objective.check(tokens)
                return tokens

            usable = draw_by_model(usable, loaded_executor, work, journal, tokenize)
        computing = Cells(
            usable,
            loaded,
            loaded_executor,
            work,
            journal=journal,
            chains_at_once=at_once,
            keep_going=keep_going,
            progress=stack.enter_context(notebook_progress("comparing", progress)),
        )
        unpruned, cells = computing.run()
    left_out = _left_out(usable, computing.left_out)
    shown = [chain for index, chain in enumerate(usable) if index in unpruned]
    return build_result(
        chains=shown,
        categories=[token_categories(chain.chain, chain.reasoning_offsets) for chain in shown],
        unpruned=[unpruned[index] for index in sorted(unpruned)],
        labels=[estimator.label for estimator in loaded],
        cells=[cells[index] for index in sorted(unpruned)],
        attributes={
            **_attributes(identity, scorer, [*(skipped or []), *left_out]),
            "objective": label,
            **_prompt_attributes(shown, think_tags),
            **({} if wrong_answers is None else {"wrong_answers": wrong_answers}),
            **({} if part is None else {SHARD: str(part)}),
            "created": created,
            "threads": threads_text(journal.threads if journal else [torch.get_num_threads()]),
        },
    )


def _left_out(chains: Sequence[TokenizedChain], failures: Mapping[int, Failure]) -> list[SkippedRecord]:
    """Return records of the chains whose unpruned pass failed; raise the first failure if no chain is left."""
    if failures and len(failures) == len(chains):
        raise as_raised_here(next(iter(failures.values())))
    records = []
    for index, failure in sorted(failures.items()):
        where = chains[index].chain.where
        # Whoever shows the record says where it stands.
        why = reason(failure).replace(f"{where}: ", "", 1)
        records.append(SkippedRecord(where, chains[index].id, f"failed: {why}"))
    return records


def _attributes(
    identity: Mapping[str, Any], scorer: Scorer, skipped: Sequence[SkippedRecord]
) -> dict[str, str | int | float]:
    """Return the attributes of a result that follow from the run's identity, its scorer and the records left out."""
    model = identity["model"]
    return {
        **{f"{name}_version": number for name, number in identity["versions"].items()},
        "backend": model["backend"],
        "model_id": model["model_id"],
        "model_fingerprint": model["fingerprint"],
        "dtype": model["dtype"],
        "device": model["device"],
        **({"loading": json.dumps(model["loading"], sort_keys=True)} if "loading" in model else {}),
        "scorer": _name_and_distribution(scorer),
        "unit": identity["unit"],
        **({"unit_splitter": json.dumps(identity["unit_splitter"])} if "unit_splitter" in identity else {}),
        "seed": identity["seed"],
        "estimator_parameters": json.dumps({described["label"]: described for described in identity["estimators"]}),
        "skipped_count": len(skipped),
        "skipped": json.dumps(
            [{"where": record.where, "id": record.id, "reason": record.reason} for record in skipped]
        ),
    }


def _prompt_attributes(chains: Sequence[TokenizedChain], think_tags: ThinkTags | None) -> dict[str, str]:
    """Return the attributes of a result that say what stands around the reasoning of its chains."""
    formats = sorted({chain.prompt_format for chain in chains})
    attributes = {"prompt_format": ",".join(formats)}
    if formats != ["plain"]:
        attributes["template_date"] = TEMPLATE_DATE.date().isoformat()
    if think_tags is not None:
        attributes["think_tags"] = json.dumps(list(think_tags))
    return attributes


def _name_and_distribution(scorer: Scorer) -> str:
    """Return a scorer's name, and in parentheses the distribution that offers it, if one does."""
    # What stands for a scorer of workers is of another class.
    identity = scorer.identity if isinstance(scorer, WorkerScorer) else plugin_identity("scorers", scorer)
    return f"{identity['name']} ({identity['distribution']})" if identity["distribution"] else identity["name"]


def _fingerprint(scorer: Scorer, *, needed: bool) -> str:
    """Return the scorer's fingerprint; empty where it has none and the run is not stored, so that it needs none."""
    try:
        return scorer.fingerprint()
    except UnsupportedError:
        if needed:
            raise
        return ""
