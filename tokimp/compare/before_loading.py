"""What can be known before a model's weights are read: methods, the objective, and the chains as ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.compare.checking import check_seed, load_valid_estimators, tokenize_usable
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.registry import load, load_objective, load_unit
from tokimp.contracts.scorer import Capability
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.configuration import load_tokenizer
from tokimp.models.quantization import passes_gradients, read_quantization


@dataclass(frozen=True, slots=True)
class _UnloadedModel:
    """A model of which only the tokenizer was read; how long a text it takes is checked once it is loaded."""

    tokenizer: Any
    model_id: str
    context_length: int | None = None


def check_before_loading(
    chains: Sequence[Chain],
    estimators: Sequence[str | ImportanceEstimator],
    *,
    model: str,
    backend: str,
    objective: str,
    unit: str,
    prompt_format: PromptFormat,
    think_tags: ThinkTags | None = None,
    wrong_answers: str | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    trust_remote_code: bool = False,
    quantization: Any = None,
) -> list[TokenizedChain]:
    """Check what needs no weights, and return the chains that can be used as ids.

    Parameters
    ----------
    chains, estimators, objective, unit, prompt_format, think_tags, wrong_answers, seed
        As of `tokimp.compare.compare.compare`.
    model, backend, trust_remote_code, quantization
        As of `tokimp.load_scorer`.
    skip_bad
        Whether chains that cannot be used will be left out, and so are no error.

    Returns
    -------
    list of TokenizedChain
        Empty where the tokenizer is not known before the model: the backend is another package's, or the tokenizer
        cannot be read, and whoever loads the model says why.

    Raises
    ------
    TokimpError
        What `tokimp.compare` would raise once the model is loaded.
    """
    check_seed(seed)
    scorer_class = load("scorers", backend)
    differentiable = quantization is None or passes_gradients(read_quantization(quantization))
    for estimator in load_valid_estimators(estimators):
        # A scorer whose capabilities depend on the model has none as a class.
        offered = scorer_class.capabilities
        missing = sorted(estimator.requires - offered) if isinstance(offered, frozenset) and offered else []
        if missing:
            raise UnsupportedError(
                f"the estimator {estimator.label!r} requires {', '.join(missing)}, which the backend {backend!r} does "
                "not give; use another backend or leave it out"
            )
        if Capability.GRADIENTS in estimator.requires and not differentiable:
            raise UnsupportedError(
                f"the estimator {estimator.label!r} requires gradients, and none pass through weights quantised as "
                f"{quantization!r} says; use another quantization, such as bitsandbytes_4bit, or leave it out"
            )
    to_preserve, splitter = load_objective(objective), load_unit(unit)
    to_preserve.validate_parameters()
    splitter.validate_parameters()
    if not issubclass(scorer_class, CausalLMScorer):
        return []
    try:
        tokenizer = load_tokenizer(model, trust_remote_code=trust_remote_code)
    except ScorerError:
        return []
    skipped: list[SkippedRecord] | None = [] if skip_bad else None
    return tokenize_usable(
        chains,
        _UnloadedModel(tokenizer, model),
        to_preserve,
        unit=splitter,
        prompt_format=prompt_format,
        think_tags=think_tags,
        wrong_answers=wrong_answers,
        seed=seed,
        skipped=skipped,
    )
