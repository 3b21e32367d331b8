"""Audit estimators: run them as they are and under changed conditions, and say what may be concluded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from tokimp.analysis.run import analyze
from tokimp.audit.card import make_card
from tokimp.audit.conditions import SANITY, STABILITY, Condition, conditions
from tokimp.audit.cost import cost_of, median_chain
from tokimp.audit.pending import AS_THEY_ARE, PendingAudit
from tokimp.audit.runs import AuditRuns
from tokimp.audit.scores import CONTROLS, Score, scores_of
from tokimp.audit.settings import AuditSettings
from tokimp.audit.similarity import similarity
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.datasets import load_chains
from tokimp.compare.checking import load_valid_estimators
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_analysis, load_estimator, load_executor, load_objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import AnalysisError, ResumeError, UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.models.random_weights import why_not_random
from tokimp.results.analysis_nodes import node_name
from tokimp.results.by_chain import iterate
from tokimp.results.io import save
from tokimp.storage.atomic import write_object
from tokimp.storage.json_file import read_object

SETTINGS, COSTS, RESULT = "audit.json", "costs.json", "results.nc"
CONFIDENCE = 0.95
# What may differ when an audit goes on: it then has more chains, seeds, cuts or analyses.
_MAY_GROW = {"limit", "cuts", "seeds", "metrics", "changed_chains"}


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit that is done.

    Attributes
    ----------
    card
        Every number and sentence, as JSON holds them (``docs/audit.md``).
    result
        The comparison as it is, with the analyses of faithfulness and planted text.
    scores
        The scores of faithfulness of each estimator on each chain.
    similarities
        ``sanity`` and ``stability``: how alike each estimator ranks under each changed condition.
    """

    card: dict[str, Any]
    result: xr.DataTree
    scores: tuple[Score, ...]
    similarities: Mapping[str, xr.Dataset]


def audit(
    estimators: Sequence[str | ImportanceEstimator],
    model: Any = None,
    chains: str | Path | Sequence[Chain] | None = None,
    *,
    quick: bool = False,
    settings: AuditSettings | None = None,
    out: str | Path | None = None,
    executor: str | Executor = "local",
    announce: Callable[[str], None] | None = None,
    before_work: Callable[[PendingAudit], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Audit:
    """Say of estimators whether they can be trusted on a model: faithful, sane, stable, right where the truth is known.

    Each estimator ranks the chains as they are. Analyses of faithfulness compare it with random orders and with
    position. It then ranks some of the chains again: with random weights and with another chain's answer, where its
    ranking should change; and with another seed, in another precision, after a paraphrase of the question and with one
    word spelt otherwise, where it should not. The estimators ``position`` and ``uniform`` are added as controls.

    Parameters
    ----------
    estimators
        Names, specifications or instances, as of `tokimp.compare`.
    model
        As of `tokimp.load_scorer`; the settings' by default.
    chains
        As of `tokimp.load_chains`, or a list of chains; the settings' by default.
    quick
        Whether to take few chains and conditions (`AuditSettings.quick`).
    settings
        Everything else; the defaults by default.
    out
        A folder in which all runs are stored: the same call goes on after a kill, and with more estimators or chains it
        computes only what is new. By default nothing is kept.
    executor
        Where cells are computed and analyses ask the model, as of `tokimp.compare`.
    announce
        Called with the name of each part before it begins.
    before_work
        Called with what is to be done, after all checks and before anything is computed or written.
    progress
        Called after every cell, and after every chain of an analysis.
    options
        Further parameters of `tokimp.load_scorer`.

    Returns
    -------
    Audit
        The card has every number and sentence; `tokimp.audit.page` writes it as a page.

    Raises
    ------
    ResumeError
        If `out` holds another audit.
    UnsupportedError
        If an estimator requires what the model cannot give.
    TokimpError
        What `tokimp.compare` raises of chains, estimators and models. A cell that fails is left out and counted.
    """
    wanted = settings or AuditSettings()
    if quick:
        wanted = wanted.quick()
    if isinstance(model, str | Path):
        wanted = replace(wanted, model=str(model))
    if isinstance(chains, str | Path):
        wanted = replace(wanted, chains=str(chains))
    say = announce or (lambda part: None)
    loaded = _with_controls(estimators)
    texts = list(chains) if isinstance(chains, Sequence) and not isinstance(chains, str) else None
    texts = load_chains(wanted.chains, limit=wanted.limit) if texts is None else texts[: wanted.limit]
    load = partial(load_scorer, wanted.model if model is None else model, wanted.backend, **options)
    scorer = load(dtype=wanted.dtype)
    with ExitStack() as held:
        folder = Path(out if out is not None else held.enter_context(tempfile.TemporaryDirectory()))
        identity = {**wanted.described(), "model_fingerprint": scorer.fingerprint()}
        _check_folder(folder, identity)

        def load_changed(changed: Mapping[str, Any]) -> Scorer:
            return load(**{"dtype": wanted.dtype, **changed})

        runs = AuditRuns(folder, wanted, scorer, load_changed, executor=executor, progress=progress)
        tokenized = [_tokenized(chain, scorer, wanted.unit) for chain in texts]
        not_planned: dict[str, str] = {}
        planned = _planned(wanted, texts, loaded, scorer, not_planned)
        if before_work is not None:
            typical = median_chain(tokenized)
            running = load_executor(executor)
            with running:
                before_work(
                    PendingAudit(
                        settings=wanted,
                        chains=texts,
                        tokenized=tokenized,
                        estimators=loaded,
                        conditions=planned,
                        scorer=scorer,
                        load_changed=load_changed,
                        runs=runs,
                        executor=running,
                        costs_known=set(_known_costs(folder / COSTS).get(typical.id, {})),
                    )
                )
        folder.mkdir(parents=True, exist_ok=True)
        write_object(folder / SETTINGS, identity)
        say("ranking the chains as they are")
        result = runs.run(AS_THEY_ARE, texts, loaded)
        result, scores, not_computed = _analysed(
            result, wanted, scorer, runs.folder(AS_THEY_ARE), executor=executor, say=say, progress=progress
        )
        not_computed |= not_planned
        similarities = {}
        for part, of_part in _by_part(planned).items():
            others = {}
            for condition in of_part:
                say(f"{part}: {condition.name}")
                others[condition.name] = runs.run(
                    condition.folder,
                    condition.chains,
                    condition.estimators,
                    changed=condition.scorer,
                    seed=condition.seed,
                )
            similarities[part] = similarity(result, others, confidence=CONFIDENCE)
        say("costs")
        costs = _costs(folder / COSTS, loaded, median_chain(tokenized), scorer, wanted)
        card = make_card(
            result,
            scores,
            similarities,
            costs,
            plausibility=scores_of(result, "plausibility") if "planted" not in not_computed else [],
            settings=wanted.described(),
            not_computed=not_computed,
            confidence=CONFIDENCE,
        )
        save(result, folder / RESULT)
    return Audit(card, result, tuple(scores), similarities)


def scores_as_they_are(
    estimators: Sequence[str | ImportanceEstimator],
    chains: Sequence[Chain],
    settings: AuditSettings,
    folder: Path,
) -> tuple[list[Score], xr.DataTree]:
    """Return the scores of faithfulness of estimators, and the result they are of: the part of an audit that asks most.

    The controls are added as in `audit`.
    """
    scorer = load_scorer(settings.model, settings.backend, dtype=settings.dtype)
    runs = AuditRuns(folder, settings, scorer, lambda changed: scorer)
    result = runs.run(AS_THEY_ARE, chains, _with_controls(estimators))
    result, scores, _ = _analysed(
        result, settings, scorer, runs.folder(AS_THEY_ARE), executor="local", say=lambda part: None, progress=None
    )
    return scores, result


def _with_controls(estimators: Sequence[str | ImportanceEstimator]) -> list[ImportanceEstimator]:
    loaded = load_valid_estimators(estimators)
    own = {estimator.label for estimator in loaded}
    return loaded + [load_estimator(control) for control in CONTROLS if control not in own]


def _check_folder(folder: Path, identity: dict[str, Any]) -> None:
    """Raise `ResumeError` if the folder is for another audit."""
    path = folder / SETTINGS
    if path.exists():
        try:
            stored = read_object(path)
        except ValueError as error:
            raise ResumeError(f"{path} is damaged ({error}); choose another folder (--out)") from error
        for name in sorted({*stored, *identity} - _MAY_GROW):
            if stored.get(name) != identity.get(name):
                raise ResumeError(
                    f"{folder} holds an audit with {name} {stored.get(name)!r}, not {identity.get(name)!r}; choose "
                    "another folder (--out)"
                )


def _analysed(
    result: xr.DataTree,
    settings: AuditSettings,
    scorer: Scorer,
    folder: Path,
    *,
    executor: str | Executor,
    say: Callable[[str], None],
    progress: Callable[[Progress], None] | None,
) -> tuple[xr.DataTree, list[Score], dict[str, str]]:
    """Return the result with its analyses, the scores that these give, and why any of them is missing."""
    scores: list[Score] = []
    missing: dict[str, str] = {}
    most_units = max(int(chain["unit"].max()) + 1 for _, chain in iterate(result))
    for metric in settings.metrics_for(most_units):
        say(metric)
        analysis = load_analysis(metric)
        try:
            result = analyze(result, analysis, scorer=scorer, folder=folder, executor=executor, progress=progress)
        except (UnsupportedError, AnalysisError) as error:
            missing[metric] = str(error)
        else:
            scores += scores_of(result, node_name(analysis))
    if "filler" in result and bool((result["filler"] == 1).any()):
        result = analyze(analyze(result, "planted"), "plausibility")
    else:
        missing["planted"] = "the chains do not say which of their text is of no use"
    return result, scores, missing


def _planned(
    settings: AuditSettings,
    chains: Sequence[Chain],
    estimators: Sequence[ImportanceEstimator],
    scorer: Scorer,
    missing: dict[str, str],
) -> list[Condition]:
    """Return the conditions that can be made; what cannot is noted in `missing`."""
    n_blocks = 0
    if isinstance(scorer, CausalLMScorer) and (why := why_not_random(scorer.model, scorer.model_id)):
        missing["weights"] = why
    elif isinstance(scorer, CausalLMScorer):
        n_blocks = int(scorer.model.config.get_text_config(decoder=True).num_hidden_layers)
    else:
        missing["weights"] = f"the scorer {scorer.backend!r} is no CausalLMScorer, whose weights could be made random"

    def units(chain: Chain) -> list[tuple[int, int]]:
        tokens = _tokenized(chain, scorer, settings.unit)
        spans = [[tokens.reasoning_offsets[position] for position in unit] for unit in tokens.units]
        return [(min(start for start, _ in span), max(end for _, end in span)) for span in spans]

    planned = conditions(settings, chains, estimators, n_blocks=n_blocks, dtype=scorer.dtype, units=units)
    names = {condition.name for condition in planned}
    for name in ("other answer", "paraphrase", "spelling"):
        if name not in names:
            missing[name] = "no chain can be changed in this way"
    return planned


def _by_part(planned: Sequence[Condition]) -> dict[str, list[Condition]]:
    parts = {part: [condition for condition in planned if condition.part == part] for part in (SANITY, STABILITY)}
    return {part: of_part for part, of_part in parts.items() if of_part}


def _tokenized(chain: Chain, scorer: Scorer, unit: str) -> TokenizedChain:
    return tokenize_chain(chain, scorer.tokenizer, unit=unit)


def _costs(
    path: Path,
    estimators: Sequence[ImportanceEstimator],
    chain: TokenizedChain,
    scorer: Scorer,
    settings: AuditSettings,
) -> dict[str, Any]:
    """Return what each estimator costs on a chain, by label; what was measured before on this chain is kept."""
    known = _known_costs(path)
    costs = known.get(chain.id, {})
    objective = load_objective(settings.objective)
    for estimator in estimators:
        if estimator.label not in costs:
            costs[estimator.label] = cost_of(estimator, chain, scorer, objective, settings.seed)
            write_object(path, {**known, chain.id: costs})
    return dict(costs)


def _known_costs(path: Path) -> dict[str, Any]:
    """Return what was measured before, by chain; nothing if it is damaged, since it is measured again in seconds."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}
