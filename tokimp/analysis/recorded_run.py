"""The model and the chains of a run, loaded again as its result recorded them, and checked against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from tokimp.chains.arrays import IntArray
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.encoding import encode_chain
from tokimp.chains.think_tags import ThinkTags
from tokimp.chains.units import token_units
from tokimp.compare.worker_scorer import scorer_of_workers
from tokimp.contracts.executor import Executor
from tokimp.contracts.kinds import Kind, singular
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import load_objective, names, parse_specification
from tokimp.contracts.scorer import Capability, Scorer, SpanLogprobs
from tokimp.contracts.scorer_recipe import recipe_of
from tokimp.errors import AnalysisError, TokenizationError, TokimpError, UnsupportedError
from tokimp.models.loading import load_scorer
from tokimp.models.source import TINY
from tokimp.results.by_chain import iterate, one_chain
from tokimp.results.provenance import logprob_tolerance
from tokimp.storage.asked_models import was_asked_for

_OPTIONAL_TEXTS = ("gold", "system", "wrong_answer")


def load_recorded_scorer(
    result: xr.DataTree,
    *,
    model: str | None = None,
    backend: str | None = None,
    device: str = "auto",
    dtype: str | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> Scorer:
    """Load the model of a result under the name, backend and precision that the run recorded.

    Parameters
    ----------
    result
        A result.
    model, backend, dtype
        Used in place of the recorded ones.
    device
        Device to load the model onto. The recorded one is not used, since this machine may lack it.
    executor
        Whose workers load it, entered; what is returned then only stands for it. By default it is loaded here.
    options
        Further parameters of `tokimp.load_scorer`.

    Raises
    ------
    AnalysisError
        If the model cannot be loaded; the message says what was recorded, and what to give instead.
    """
    recorded = result.attrs
    check_recorded_model(result, model=model, backend=backend)
    loading = _recorded_loading(result)
    if model is None and "quantization" not in options:
        _refuse_to_quantise_unasked(loading)
    # Numbers drawn in the place of weights run nothing and cost nothing, so a file may ask for them.
    if model is None and "random_weights" in loading:
        options = {"random_weights": loading["random_weights"], **options}
    name, backend = model or str(recorded["model_id"]), backend or str(recorded["backend"])
    dtype = dtype or str(recorded["dtype"])
    try:
        if executor is not None and not executor.here:
            recipe = recipe_of(name, backend, device=device, dtype=dtype, tokenizer=None, options=options)
            if recipe is not None:
                return scorer_of_workers(executor, recipe)
        return load_scorer(name, backend=backend, device=device, dtype=dtype, **options)
    except TokimpError as error:
        raise AnalysisError(
            f"the run's model {name!r} on {backend!r} cannot be loaded: {error}; name where it is now (--model; in "
            "Python: scorer=tokimp.load_scorer(...))"
        ) from error


def _recorded_loading(result: xr.DataTree) -> dict[str, Any]:
    """Return what else a run's model was loaded with; empty where nothing was."""
    try:
        return dict(json.loads(str(result.attrs.get("loading", "{}"))))
    except (ValueError, TypeError) as error:
        raise AnalysisError(
            f"the result's attribute 'loading' is {result.attrs['loading']!r}, not a JSON object"
        ) from error


def _refuse_to_quantise_unasked(loading: dict[str, Any]) -> None:
    """Raise if a run's weights were quantised: what a file says is not done, and other weights give other numbers."""
    quantization = loading.get("quantization")
    if quantization:
        raise AnalysisError(
            "the run's model was quantised when it was loaded, and what only a file says is not done: ask for it "
            f"(--quantization '{json.dumps(quantization)}'; in Python: scorer=tokimp.load_scorer(..., "
            "quantization=...))"
        )


def check_recorded_model(result: xr.DataTree, *, model: str | None = None, backend: str | None = None) -> None:
    """Refuse a model or backend that a result names and nobody here has asked for; nothing of it is loaded before.

    A result may come from a stranger. A backend that it names is an installed or registered plugin, never
    ``module:Class``. A model that it names comes with tokimp, or was asked for on this machine before.

    Parameters
    ----------
    result
        A result.
    model, backend
        What the person named in place of the recorded ones; that is not checked.

    Raises
    ------
    AnalysisError
        If the recorded model or backend is refused; the message says how to ask for it.
    """
    if backend is None:
        check_offered("scorers", str(result.attrs["backend"]), "backend")
    name = str(result.attrs["model_id"])
    if model is None and name != TINY and not was_asked_for(name):
        raise AnalysisError(
            f"the result names the model {name!r}, which was not used on this machine before, and what only a file "
            f"names is not loaded; if you want it, name it yourself (--model {name}; in Python: "
            f"scorer=tokimp.load_scorer({name!r}))"
        )


def check_offered(kind: Kind, specification: str, option: str) -> None:
    """Raise `AnalysisError` unless what a file names is a plugin that is installed or registered in this process.

    Parameters
    ----------
    kind
        The kind of plugin.
    specification
        What the file names, with parameters if need be.
    option
        With which option of `tokimp.analyze` or the command line it is named instead.
    """
    name, _ = parse_specification(specification)
    if name not in names(kind):
        raise AnalysisError(
            f"the run's {singular(kind)} {name!r} cannot be loaded: no installed or registered {singular(kind)} has "
            f"this name, and code that only a file names is not run; install it, or name it yourself (--{option} or "
            f"{option}=)"
        )


def check_capabilities(scorer: Scorer, requires: frozenset[Capability], name: str) -> None:
    """Raise `UnsupportedError` if a scorer lacks a capability that the analysis `name` requires."""
    missing = sorted(requires - scorer.capabilities)
    if missing:
        raise UnsupportedError(
            f"the analysis {name!r} requires {', '.join(missing)}, which the backend {scorer.backend!r} does not give "
            f"for {scorer.model_id!r}; use another backend"
        )


def recorded_objective(result: xr.DataTree) -> Objective:
    """Return the objective of a result, loaded by its label: its name and its parameters, such as ``mine:k=3``.

    Raises
    ------
    AnalysisError
        If no objective has this name, or a parameter can not be read back.
    """
    name = str(result.attrs["objective"])
    check_offered("objectives", name, "objective")
    try:
        return load_objective(name)
    except TokimpError as error:
        raise AnalysisError(
            f"the run's objective {name!r} cannot be loaded ({error}); install or register it, or give objective="
        ) from error


def rebuild_chains(result: xr.DataTree, tokenizer: Any) -> tuple[TokenizedChain, ...]:
    """Return a result's chains as ids: its texts, tokenised in the run's prompt format, in the units it recorded.

    Units are taken from the result and not found again: what divided them may have changed since, or be missing here.
    So no code is loaded because a result names it as its unit.

    Raises
    ------
    AnalysisError
        If a chain cannot be tokenised, or differs from what the result recorded (`check_chains`).
    """
    prompt_format, unit = str(result.attrs["prompt_format"]), str(result.attrs["unit"])
    think_tags = _recorded_think_tags(result)
    chains = []
    for chain_id, stored in iterate(result):
        texts = {name: str(stored[name].item()) for name in ("question", "reasoning", "answer", *_OPTIONAL_TEXTS)}
        try:
            chain = Chain(
                id=chain_id,
                question=texts["question"],
                reasoning=texts["reasoning"],
                answer=texts["answer"],
                # A text that is not known is stored as an empty one.
                gold=texts["gold"] or None,
                system=texts["system"] or None,
                wrong_answer=texts["wrong_answer"] or None,
            )
            tokens = encode_chain(chain, tokenizer, prompt_format, think_tags=think_tags)  # type: ignore[arg-type] # any text: encode_chain refuses a wrong one
        except TokenizationError as error:
            raise AnalysisError(
                f"the chains of the run cannot be tokenised as they were ({error}); use the model of the run"
            ) from error
        chains.append(replace(tokens, units=_recorded_units(stored["unit"].to_numpy()), unit=unit))
    check_chains(result, chains)
    return tuple(chains)


def _recorded_think_tags(result: xr.DataTree) -> ThinkTags | None:
    """Return the tags that a run was given for its reasoning; ``None`` if it took the chat template's own."""
    recorded = result.attrs.get("think_tags")
    if recorded is None:
        return None
    try:
        opening, closing = json.loads(recorded)
        return str(opening), str(closing)
    except (TypeError, ValueError) as error:
        raise AnalysisError(
            f"the result's attribute 'think_tags' is {recorded!r}; a JSON list of two texts was expected"
        ) from error


def _recorded_units(owners: IntArray) -> tuple[tuple[int, ...], ...]:
    """Return the positions of each unit's tokens, from the index of each token's unit, [token]."""
    return tuple(tuple(np.flatnonzero(owners == unit).tolist()) for unit in range(int(owners.max(initial=-1)) + 1))


def check_chains(result: xr.DataTree, chains: Sequence[TokenizedChain]) -> None:
    """Raise `AnalysisError` unless chains have the token ids, characters, units and lengths that a result recorded."""
    ids = result["chain_id"].to_numpy().tolist()
    if other := [chain for chain in chains if not isinstance(chain, TokenizedChain)]:
        raise AnalysisError(
            f"chains must be as ids, and one is a {type(other[0]).__name__}; leave them out, since the result holds "
            "its own, or give what tokimp.tokenize_chain(...) returns"
        )
    if [chain.id for chain in chains] != ids:
        raise AnalysisError(f"{len(chains)} chains were given for the {len(ids)} of the result, or in another order")
    for chain, (_, stored) in zip(chains, iterate(result), strict=True):
        if difference := _difference(chain, stored):
            raise AnalysisError(
                f"chain {chain.id!r} is no longer what the run scored: {difference}. The tokenizer, its chat template "
                f"or the text has changed since; use what the run used ({_versions(result)}), or compare again"
            )


def check_same_model(
    result: xr.DataTree,
    scorer: Scorer,
    chains: Sequence[TokenizedChain],
    logprobs_of: Callable[[TokenizedChain], SpanLogprobs] | None = None,
) -> None:
    """Raise `AnalysisError` unless a scorer is the model of a result, and gives the numbers that the result recorded.

    Fingerprints are compared where both are known. The first chain is also scored, since a fingerprint does not cover
    the text of the prompt.

    Parameters
    ----------
    result, scorer, chains
        The result, and what is to be that of its run.
    logprobs_of
        Scores a chain, where the scorer itself is in workers.
    """
    recorded, own = str(result.attrs["model_fingerprint"]), known_fingerprint(scorer)
    if recorded and own and recorded != own:
        raise AnalysisError(
            f"{scorer.model_id!r} ({scorer.dtype}) is not the model of the run, {result.attrs['model_id']!r} "
            f"({result.attrs['dtype']}): weights, configuration or precision differ; give the run's model, or, to ask "
            "another one on purpose, name it (--model) or pass same_model=False"
        )
    logprobs = scorer.logprobs(chains[:1])[0] if logprobs_of is None else logprobs_of(chains[0])
    recorded_logprobs = one_chain(result, chains[0].id)["logprob"].to_numpy()
    distance = float(np.abs(logprobs.reasoning.astype(np.float64) - recorded_logprobs).mean())
    if not distance <= logprob_tolerance(scorer.dtype):
        raise AnalysisError(
            f"chain {chains[0].id!r}: the log-probabilities of its reasoning are {distance:.3g} nats a token away from "
            f"the recorded ones; model, prompt or library have changed since the run ({_versions(result)}): compare "
            "again, or pass same_model=False (--model) to go on all the same"
        )


def _difference(chain: TokenizedChain, stored: xr.Dataset) -> str:
    """Return how a chain differs from what a result stores of it; empty if it does not."""
    recorded, own = stored["token_id"].to_numpy().tolist(), list(chain.reasoning_ids)
    if len(recorded) != len(own):
        return f"its reasoning has {len(own)} tokens, {len(recorded)} were recorded"
    at = next((index for index, (a, b) in enumerate(zip(recorded, own, strict=True)) if a != b), None)
    if at is not None:
        text = stored["token_text"].to_numpy()[at]
        return f"reasoning token {at} is {own[at]}, {recorded[at]} ({text!r}) was recorded"
    starts, ends = (stored[name].to_numpy().tolist() for name in ("token_start", "token_end"))
    spans = list(zip(starts, ends, strict=True))
    if spans != [tuple(span) for span in chain.reasoning_offsets]:
        return "its tokens cover other characters"
    if stored["unit"].to_numpy().tolist() != token_units(chain).tolist():
        return f"it falls into {len(chain.units)} units, {int(stored['unit'].max()) + 1} were recorded"
    for name, ids in (("prompt", chain.prompt_ids), ("answer", chain.answer_ids)):
        if int(stored[f"{name}_length"]) != len(ids):
            return f"its {name} has {len(ids)} tokens, {int(stored[f'{name}_length'])} were recorded"
    return ""


def _versions(result: xr.DataTree) -> str:
    attributes = result.attrs
    return f"{attributes['model_id']}, transformers {attributes['transformers_version']}"


def known_fingerprint(scorer: Scorer) -> str:
    """Return a scorer's fingerprint; empty if it has none."""
    try:
        return scorer.fingerprint()
    except UnsupportedError:
        return ""
