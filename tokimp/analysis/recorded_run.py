"""The model and the chains of a run, loaded again as its result recorded them, and checked against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.tokenization import tokenize_chain
from tokimp.chains.units import token_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import load_objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import AnalysisError, TokenizationError, TokimpError, UnsupportedError
from tokimp.models.loading import load_scorer
from tokimp.results.by_chain import iterate, one_chain

# How far log-probabilities may be from the recorded ones: mean over a chain's tokens, nats. Rounding differs between
# devices; a changed prompt or weight moves them by far more.
_TOLERANCE = {"float32": 1e-3, "float64": 1e-3}
_LOW_PRECISION_TOLERANCE = 0.1
_OPTIONAL_TEXTS = ("gold", "system", "wrong_answer")


def load_recorded_scorer(
    result: xr.DataTree,
    *,
    model: str | None = None,
    backend: str | None = None,
    device: str = "auto",
    dtype: str | None = None,
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
    options
        Further parameters of `tokimp.load_scorer`.

    Raises
    ------
    AnalysisError
        If the model cannot be loaded; the message says what was recorded, and what to give instead.
    """
    recorded = result.attrs
    name, backend = model or str(recorded["model_id"]), backend or str(recorded["backend"])
    try:
        return load_scorer(name, backend=backend, device=device, dtype=dtype or str(recorded["dtype"]), **options)
    except TokimpError as error:
        raise AnalysisError(
            f"the run's model {name!r} on {backend!r} cannot be loaded: {error}; name where it is now (--model; in "
            "Python: scorer=tokimp.load_scorer(...))"
        ) from error


def check_capabilities(scorer: Scorer, requires: frozenset[Capability], name: str) -> None:
    """Raise `UnsupportedError` if a scorer lacks a capability that the analysis `name` requires."""
    missing = sorted(requires - scorer.capabilities)
    if missing:
        raise UnsupportedError(
            f"the analysis {name!r} requires {', '.join(missing)}, which the backend {scorer.backend!r} does not give "
            f"for {scorer.model_id!r}; use another backend"
        )


def recorded_objective(result: xr.DataTree) -> Objective:
    """Return the objective of a result, loaded by its name.

    Raises
    ------
    AnalysisError
        If no objective has this name, or its class has parameters, which a result does not record.
    """
    name = str(result.attrs["objective"])
    try:
        return load_objective(name)
    except TokimpError as error:
        raise AnalysisError(
            f"the run's objective {name!r} cannot be loaded ({error}); install or register it, or give objective="
        ) from error


def rebuild_chains(result: xr.DataTree, tokenizer: Any) -> tuple[TokenizedChain, ...]:
    """Return a result's chains as ids: its texts, tokenised in the run's prompt format and units.

    Raises
    ------
    AnalysisError
        If a chain cannot be tokenised, or differs from what the result recorded (`check_chains`).
    """
    prompt_format, unit = str(result.attrs["prompt_format"]), str(result.attrs["unit"])
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
            chains.append(tokenize_chain(chain, tokenizer, prompt_format=prompt_format, unit=unit))  # type: ignore[arg-type] # any text: tokenize_chain refuses a wrong one
        except TokenizationError as error:
            raise AnalysisError(
                f"the chains of the run cannot be tokenised as they were ({error}); use the model of the run"
            ) from error
    check_chains(result, chains)
    return tuple(chains)


def check_chains(result: xr.DataTree, chains: Sequence[TokenizedChain]) -> None:
    """Raise `AnalysisError` unless chains have the token ids, characters, units and lengths that a result recorded."""
    ids = result["chain_id"].to_numpy().tolist()
    if [chain.id for chain in chains] != ids:
        raise AnalysisError(f"{len(chains)} chains were given for the {len(ids)} of the result, or in another order")
    for chain, (_, stored) in zip(chains, iterate(result), strict=True):
        if difference := _difference(chain, stored):
            raise AnalysisError(
                f"chain {chain.id!r} is no longer what the run scored: {difference}. The tokenizer, its chat template "
                f"or the text has changed since; use what the run used ({_versions(result)}), or compare again"
            )


def check_same_model(result: xr.DataTree, scorer: Scorer, chains: Sequence[TokenizedChain]) -> None:
    """Raise `AnalysisError` unless a scorer is the model of a result, and gives the numbers that the result recorded.

    Fingerprints are compared where both are known. The first chain is also scored, since a fingerprint does not cover
    the text of the prompt.
    """
    recorded, own = str(result.attrs["model_fingerprint"]), known_fingerprint(scorer)
    if recorded and own and recorded != own:
        raise AnalysisError(
            f"{scorer.model_id!r} ({scorer.dtype}) is not the model of the run, {result.attrs['model_id']!r} "
            f"({result.attrs['dtype']}): weights, configuration or precision differ; give the run's model, or, to ask "
            "another one on purpose, name it (--model) or pass same_model=False"
        )
    (logprobs,) = scorer.logprobs(chains[:1])
    recorded_logprobs = one_chain(result, chains[0].id)["logprob"].to_numpy()
    distance = float(np.abs(logprobs.reasoning.astype(np.float64) - recorded_logprobs).mean())
    if not distance <= _TOLERANCE.get(scorer.dtype, _LOW_PRECISION_TOLERANCE):
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
