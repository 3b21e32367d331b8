"""LLMLingua-2: a token is important when a classifier that learnt to compress prompts would keep its word."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, Optional, Text
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.errors import EstimatorError
from tokimp_llmlingua.rate import Compression, search_rate
from tokimp_llmlingua.words import Word, token_values

if TYPE_CHECKING:
    from tokimp_llmlingua.compressor import Compressor

__all__ = ["Compression", "LLMLingua", "compress"]

PUBLISHED = "microsoft/llmlingua-2-xlm-roberta-large-meetingbank"


class LLMLingua(ImportanceEstimator):
    """Scores a unit by LLMLingua-2's probability that its words are to be kept: TokenSkip's compressor.

    LLMLingua-2 (Pan et al. 2024, arXiv 2403.12968) is a token classifier distilled from a larger model's compressions.
    It reads the reasoning only; question, answer, scorer and objective play no part. A word's probability is the mean
    over the classifier's tokens in it. A reasoning token has the probability of the word that it shares characters
    with, or the highest one if there are several. It has 0 if the classifier's tokenizer does not know its characters,
    which LLMLingua-2 always drops. A unit's score is the mean over its tokens, so that long units gain nothing by their
    length. This needs the package ``llmlingua`` (the extra of that name). The classifier runs on the scorer's device,
    and its positions are not counted among the scorer's.

    Parameters
    ----------
    model
        LLMLingua-2's weights: a folder, or a hub id. The default is the one that TokenSkip uses.
    keep_ratio
        By default units are ranked by probability. With a number above 0 and up to 1, the compression rate is bisected
        until LLMLingua-2 keeps that share of the chain's reasoning tokens, as nearly as whole words allow. Then 1 is
        added to the tokens that it keeps, so that they rank above the others. This differs from the ranking by
        probability only in texts longer than 510 of the classifier's tokens, because each chunk has its own threshold.
        The rate and the share reached are diagnostics. `compress` searches one rate for many chains, as published.

    Raises
    ------
    EstimatorError
        When it is used, if the package or the weights are missing (the message says what to fetch), or the weights are
        not LLMLingua-2's.
    """

    name = "llmlingua"
    constraints = {
        "model": Text("a folder with LLMLingua-2's weights, or a hub id"),
        "keep_ratio": Optional(Number(above=0, most=1)),
    }

    def __init__(self, model: str = PUBLISHED, keep_ratio: float | None = None) -> None:
        self.model = model
        self.keep_ratio = keep_ratio

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed, or package or weights are missing."""
        super().validate_parameters()
        _check_available(self.model)

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the probability of each unit to be kept, [unit]; `objective` is not used."""
        self.validate_parameters()
        compressor = _load(self.model, scorer.device)
        chunks = compressor.classify(chain.chain.reasoning)
        words = [word for chunk in chunks for word in chunk]
        scores = token_values(chain, words, [word.probability for word in words])
        if self.keep_ratio is None:
            return Importance(_mean_over_units(chain, scores))
        compression = search_rate([chain], [chunks], self.keep_ratio)
        diagnostics = {"rate": compression.rate, "kept_share": compression.share}
        return Importance(_mean_over_units(chain, scores + compression.kept[0]), diagnostics=diagnostics)


def compress(
    chains: Sequence[TokenizedChain], keep_ratio: float, model: str = PUBLISHED, device: str = "cpu"
) -> Compression:
    """Return what LLMLingua-2 keeps of chains at the one rate whose mean share is nearest to a keep ratio.

    Parameters
    ----------
    chains
        The chains to compress; one or more.
    keep_ratio
        The share of reasoning tokens wanted, as the mean over chains, counted in the chains' own tokens.
    model
        LLMLingua-2's weights, as for `LLMLingua`.
    device
        The device that the classifier runs on, as torch names it.

    Raises
    ------
    EstimatorError
        As `LLMLingua` does, or if there are no chains.
    """
    if not chains:
        raise EstimatorError("there are no chains to compress; give at least one")
    LLMLingua(model, keep_ratio).validate_parameters()
    compressor = _load(model, device)
    words: list[list[list[Word]]] = [compressor.classify(chain.chain.reasoning) for chain in chains]
    return search_rate(chains, words, keep_ratio)


def _mean_over_units(chain: TokenizedChain, scores: FloatArray) -> FloatArray:
    return np.array([scores[list(unit)].mean() for unit in chain.units])


@lru_cache(maxsize=8)
def _check_available(model: str) -> None:
    """Raise `EstimatorError` unless package and weights are there; only success is remembered."""
    if importlib.util.find_spec("llmlingua") is None:
        raise EstimatorError("llmlingua: the package llmlingua is not installed; install tokimp[llmlingua]")
    from transformers import AutoConfig  # noqa: PLC0415 - slow to import

    from tokimp_llmlingua.compressor import FAMILIES  # noqa: PLC0415 - the extra may be missing

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _weights_missing(model, error) from error
    architectures = config.architectures or []
    if config.model_type not in FAMILIES or not any("ForTokenClassification" in name for name in architectures):
        raise EstimatorError(
            f"llmlingua: {model!r} holds {', '.join(architectures) or 'no named architecture'} ({config.model_type}); "
            f"LLMLingua-2 is a token classifier of the type {' or '.join(FAMILIES)}, such as {PUBLISHED}"
        )
    if config.num_labels != 2:
        raise EstimatorError(
            f"llmlingua: the classifier {model!r} has {config.num_labels} labels; LLMLingua-2 has two, drop and keep"
        )


def _load(model: str, device: str) -> Compressor:
    from tokimp_llmlingua.compressor import load_compressor  # noqa: PLC0415 - the extra may be missing

    try:
        return load_compressor(model, device)
    except (OSError, ValueError) as error:
        raise _weights_missing(model, error) from error


def _weights_missing(model: str, error: Exception) -> EstimatorError:
    reason = " ".join(str(error).split()).split(". ", maxsplit=1)[0]
    return EstimatorError(
        f"llmlingua: {model!r} cannot be loaded ({reason}). LLMLingua-2's weights are the model {PUBLISHED} of the "
        f"Hugging Face hub; where there is a network, run: hf download {PUBLISHED} --local-dir FOLDER; then give "
        "llmlingua:model=FOLDER"
    )
