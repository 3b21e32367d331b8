"""Chains x estimators -> result: everything is checked before any work, and what is finished is kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import xarray as xr

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.tokenization import tokenize_chain
from tokimp.chains.units import Unit, token_categories
from tokimp.compare.assembly import Baseline, Cell, build
from tokimp.compare.journal import Journal
from tokimp.compare.remaining_time import RemainingTime
from tokimp.compare.run_cell import estimate, score_unpruned
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective, Span
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_estimator, load_objective, plugin_identity
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import (
    ChainError,
    EstimatorError,
    ObjectiveError,
    TokenizationError,
    TokimpError,
    UnsupportedError,
)
from tokimp.results.provenance import (
    chain_identity,
    estimator_identities,
    model_identity,
    objective_identity,
    versions,
)
from tokimp.results.schema import unstorable

# The largest that numpy's global generator takes.
_LARGEST_SEED = 2**32 - 1


def compare(  # noqa: PLR0917 - the API of the design: what, by whom, how, in the order one says it
    chains: Sequence[Chain],
    scorer: Scorer,
    estimators: Sequence[str | ImportanceEstimator],
    objective: str | Objective = "joint",
    unit: Unit = "token",
    prompt_format: PromptFormat = "auto",
    *,
    out: str | Path | None = None,
    skipped: list[SkippedRecord] | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> xr.DataTree:
    """Let every estimator rank the reasoning of every chain.

    Parameters
    ----------
    chains
        What is ranked; ids are unique.
    scorer
        The model that is asked. Each chain is scored on its own, never batched with another.
    estimators
        Names, specifications (``greedy:keep_ratio=0.5``) or instances; no two with the same label.
    objective
        What deletions are to preserve: a name or an instance.
    unit
        What is deleted as a whole: ``token``, ``word`` or ``sentence``.
    prompt_format
        See `tokimp.tokenize_chain`.
    out
        A folder in which everything finished is kept. The same call with the same folder continues a run that was
        interrupted, and ends with the same importance and rank, byte for byte.
    skipped
        A list of records left out so far. When it is given, chains that cannot be used are appended and left out;
        else the first of them is an error. The result's attributes name all of them.
    seed
        Of everything random, from 0 to 2**32 - 1. Each cell starts from a seed made of this one, the chain's id and the
        estimator's label, so that no cell depends on what ran before it; the caller's generators are left as they were.
    progress
        Called after every finished cell.

    Returns
    -------
    xarray.DataTree
        See ``docs/schema.md``.

    Raises
    ------
    TokimpError
        If the seed is not a whole number in its range, or the scorer is none.
    ChainError, TokenizationError, ObjectiveError
        If a chain cannot be used: it has an id or text that a result cannot hold, does not fit the prompt format,
        the model's context or the objective. Also if no chain is left.
    UnsupportedError
        If an estimator requires what the scorer cannot give.
    EstimatorError
        If there are no estimators, two have one label, a parameter is not allowed, or one fails on a chain; what was
        finished before is kept.
    PluginError
        If a name is unknown, or what it stands for is not of its kind.
    ResumeError
        If `out` holds another run, or is in use.
    """
    # A bool is an int to Python, and numpy's integers are none to JSON, in which the run is described.
    if type(seed) is not int or not 0 <= seed <= _LARGEST_SEED:
        raise TokimpError(f"seed={seed!r} is not allowed; give a whole number from 0 to {_LARGEST_SEED}")
    if not isinstance(scorer, Scorer):
        raise TokimpError(
            f"the scorer is {scorer!r}, of type {type(scorer).__name__}; give what tokimp.load_scorer(...) returns"
        )
    loaded = _load_estimators(estimators, scorer)
    preserved = load_objective(objective)
    usable = _tokenize(chains, scorer, preserved, unit=unit, prompt_format=prompt_format, skipped=skipped)
    fingerprint = _fingerprint(scorer, needed=out is not None)
    numbers = versions(scorer)
    described = estimator_identities(loaded)
    identity = {
        "model": model_identity(scorer, fingerprint),
        "objective": objective_identity(preserved),
        "unit": unit,
        "prompt_format": prompt_format,
        "seed": seed,
        "estimators": described,
        "chains": [chain_identity(chain) for chain in usable],
        "versions": numbers,
    }
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(Journal(Path(out), identity)) if out is not None else None
        created = journal.created if journal else datetime.now(UTC).isoformat(timespec="seconds")
        baselines, cells = _run(usable, scorer, loaded, preserved, journal=journal, seed=seed, progress=progress)
    return build(
        chains=usable,
        categories=[token_categories(chain.chain, chain.reasoning_offsets) for chain in usable],
        baselines=baselines,
        labels=[estimator.label for estimator in loaded],
        cells=cells,
        attributes={
            **{f"{name}_version": number for name, number in numbers.items()},
            "backend": scorer.backend,
            "model_id": scorer.model_id,
            "model_fingerprint": fingerprint,
            "scorer": _offered_as(scorer),
            "objective": preserved.name,
            "prompt_format": ",".join(sorted({chain.prompt_format for chain in usable})),
            "unit": unit,
            "dtype": scorer.dtype,
            "device": scorer.device,
            "seed": seed,
            "created": created,
            "estimator_parameters": json.dumps({entry["label"]: entry for entry in described}),
            "skipped_count": len(skipped or []),
            "skipped": json.dumps([{"where": r.where, "id": r.id, "reason": r.reason} for r in skipped or []]),
        },
    )


def _load_estimators(estimators: Sequence[str | ImportanceEstimator], scorer: Scorer) -> list[ImportanceEstimator]:
    if isinstance(estimators, str | ImportanceEstimator):
        raise EstimatorError(f"estimators must be a list, such as [{estimators!r}]")
    loaded = [load_estimator(estimator) for estimator in estimators]
    if not loaded:
        raise EstimatorError("no estimator was given; name at least one, such as 'greedy'")
    labels = [estimator.label for estimator in loaded]
    for label in labels:
        if labels.count(label) > 1:
            raise EstimatorError(f"the estimator {label!r} was given more than once; leave one out")
    if Capability.LOGPROBS not in scorer.capabilities:
        raise UnsupportedError(f"the scorer {scorer.backend!r} gives no log-probabilities, which every run needs")
    for estimator in loaded:
        missing = sorted(estimator.requires - scorer.capabilities)
        if missing:
            raise UnsupportedError(
                f"the estimator {estimator.label!r} requires {', '.join(missing)}, which the backend "
                f"{scorer.backend!r} does not give for {scorer.model_id!r}; use another backend or leave it out"
            )
        estimator.validate_parameters()
    return loaded


def _tokenize(
    chains: Sequence[Chain],
    scorer: Scorer,
    objective: Objective,
    *,
    unit: Unit,
    prompt_format: PromptFormat,
    skipped: list[SkippedRecord] | None,
) -> list[TokenizedChain]:
    seen: dict[str, Chain] = {}
    usable = []
    for index, chain in enumerate(chains):
        if not isinstance(chain, Chain):
            raise ChainError(
                f"chains[{index}] is of type {type(chain).__name__}; give a list of tokimp.Chain, as "
                "tokimp.load_chains(...) returns it"
            )
        if chain.id in seen:
            raise ChainError(f"{chain.where}: the id was already used ({seen[chain.id].where}); ids must be unique")
        seen[chain.id] = chain
        try:
            _check_texts(chain)
            tokens = tokenize_chain(chain, scorer.tokenizer, prompt_format=prompt_format, unit=unit)
            _check_length(tokens, scorer, objective)
            objective.check(tokens)
        except (ChainError, TokenizationError, ObjectiveError) as error:
            if skipped is None:
                raise
            skipped.append(SkippedRecord(where=chain.source or chain.where, id=chain.id, reason=str(error)))
        else:
            usable.append(tokens)
    if not usable:
        raise _none_usable(skipped or [])
    return usable


def _none_usable(skipped: Sequence[SkippedRecord], shown: int = 3) -> ChainError:
    reasons = [
        record.reason if record.reason.startswith(record.where) else f"{record.where}: {record.reason}"
        for record in skipped[:shown]
    ]
    if len(skipped) > shown:
        reasons.append(f"and {len(skipped) - shown} more")
    return ChainError(f"none of {len(skipped)} chains can be used{': ' if reasons else ''}{'; '.join(reasons)}")


def _check_texts(chain: Chain) -> None:
    for field in ("id", "question", "reasoning", "answer", "gold", "system", "wrong_answer"):
        problem = unstorable(getattr(chain, field) or "")
        if problem:
            raise ChainError(f"{chain.where}: the {field} holds {problem}, which no result file can store; remove it")


def _check_length(chain: TokenizedChain, scorer: Scorer, objective: Objective) -> None:
    length = len(chain)
    if Span.WRONG_ANSWER in objective.spans and chain.wrong_answer_ids is not None:
        length += max(0, len(chain.wrong_answer_ids) - len(chain.answer_ids))
    if scorer.context_length is not None and length > scorer.context_length:
        raise ChainError(
            f"{chain.chain.where}: {length} tokens exceed the {scorer.context_length} that {scorer.model_id!r} takes; "
            "shorten the chain, leave it out (--skip-bad), or use a model with a longer context"
        )


def _run(
    chains: Sequence[TokenizedChain],
    scorer: Scorer,
    estimators: Sequence[ImportanceEstimator],
    objective: Objective,
    *,
    journal: Journal | None,
    seed: int,
    progress: Callable[[Progress], None] | None,
) -> tuple[list[Baseline], list[list[Cell]]]:
    remaining = RemainingTime(chains, estimators)
    baselines: list[Baseline] = []
    cells: list[list[Cell]] = []
    for index, chain in enumerate(chains):
        baseline = journal.baseline(index) if journal else None
        if baseline is None:
            baseline = score_unpruned(chain, scorer)
            if journal:
                journal.keep_baseline(index, baseline)
        baselines.append(baseline)
        cells.append([])
        for column, estimator in enumerate(estimators):
            kept = journal.cell(index, column) if journal else None
            cell = kept or estimate(chain, scorer, estimator, objective, seed=seed)
            if journal and kept is None:
                journal.keep_cell(index, column, cell)
            cells[-1].append(cell)
            remaining.add(index, column, cell)
            if progress:
                progress(
                    Progress(
                        done=index * len(estimators) + column + 1,
                        total=len(chains) * len(estimators),
                        chain_id=chain.id,
                        estimator=estimator.label,
                        kept=kept is not None,
                        tokens_forwarded=sum(cell.tokens_forwarded for row in cells for cell in row),
                        seconds_left=remaining.seconds_left(),
                    )
                )
    return baselines, cells


def _offered_as(scorer: Scorer) -> str:
    """Return a scorer's name, and in parentheses the distribution that offers it, if one does."""
    identity = plugin_identity("scorers", scorer)
    return f"{identity['name']} ({identity['distribution']})" if identity["distribution"] else identity["name"]


def _fingerprint(scorer: Scorer, *, needed: bool) -> str:
    try:
        return scorer.fingerprint()
    except UnsupportedError:
        if needed:
            raise
        return ""
