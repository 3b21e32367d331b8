"""Scorer: the contract of a causal language model, and of the numbers it can give about a chain."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.masked_versions import score_masked_versions
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer_inside import ScorerInside
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.errors import UnsupportedError

T = TypeVar("T")


class Capability(StrEnum):
    """What a scorer can be asked for; an estimator's ``requires`` is made of these."""

    LOGPROBS = "logprobs"
    ENTROPY = "entropy"
    DELETIONS = "deletions"
    ATTENTION = "attention"
    STATES = "states"
    ACTIVATIONS = "activations"
    GRADIENTS = "gradients"
    GENERATION = "generation"
    KNOCKOUT = "knockout"
    KNOCKOUT_LOGPROBS = "knockout_logprobs"


@dataclass(frozen=True, slots=True)
class SpanLogprobs:
    """Log-probability of each token given all before it: float32, nats.

    Attributes
    ----------
    reasoning
        [reasoning token]; the first is predicted from the last prompt token.
    answer
        [answer token]
    """

    reasoning: FloatArray
    answer: FloatArray


@dataclass(frozen=True, slots=True)
class SpanEntropies:
    """How open the choice of each token was, given all before it.

    Attributes
    ----------
    logprobs
        The log-probabilities of the tokens that stand there, as `Scorer.logprobs` gives them.
    reasoning, answer
        Entropy of the distribution that the token was predicted with, over the whole vocabulary, at temperature 1:
        ``-sum(p log p)``, float32, nats, [token]. The first reasoning token is predicted from the last prompt token.
    reasoning_ranks, answer_ranks
        How many tokens of the vocabulary were more likely than the one that stands there, [token]; 0 for the most
        likely one.
    """

    logprobs: SpanLogprobs
    reasoning: FloatArray
    answer: FloatArray
    reasoning_ranks: IntArray
    answer_ranks: IntArray


@dataclass(frozen=True, slots=True)
class DeletionScores:
    """What remains likely after each of several deletions; float64, one entry a candidate.

    Attributes
    ----------
    objective
        The objective of the chain without the candidate, [candidate].
    reasoning, answer
        Log-likelihood (nats) of the reasoning still kept and of the answer, [candidate]; their sum is the joint one.
        The reasoning's may be NaN if `Objective.spans` leaves the reasoning out, since it then need not be computed;
        `tokimp.contracts.unit_deletions.score_kept` gives both for one version.
    """

    objective: FloatArray
    reasoning: FloatArray
    answer: FloatArray


class Scorer(ScorerInside, ABC):
    """A causal language model; for the same ids, every backend gives the same numbers (float32: within 1e-4).

    `logprobs` is the least a scorer must give. Each further method belongs to one of its `capabilities`.
    Those that look inside the model are in `tokimp.contracts.scorer_inside`. `tokimp.testing.check_scorer` checks all.

    Attributes
    ----------
    capabilities
        What it can be asked for. The method of a missing capability raises `UnsupportedError`.
    tokenizer
        The model's tokenizer (transformers).
    backend, model_id, device, dtype
        Where the numbers come from, as stored in results.
    loading
        How else the model was loaded, as results store it and JSON can hold it: ``device_map``, ``quantization``.
    context_length
        The longest sequence the model takes, in tokens; ``None`` if it names no limit.
    call_cost
        Token positions that take about as long as starting one more call of the model; 0 where a call costs nothing.
    chains_at_once
        How many chains `run_side_by_side` is best given; 1 where together is no faster than one after the other.
    reads_alone
        Whether no bit of a number depends on what else is asked in the same call; then scores of subsets are shared
        one by one (`tokimp.contracts.subset_scores`).
    tokens_forwarded
        Token positions passed through the model so far, padding included: a cost that does not depend on the machine.
    recipe
        What it was loaded from, so that another process can load the same; ``None`` if made of objects in memory.

    Examples
    --------
    A model that knows how often each token occurs, and nothing else:

    >>> from tokimp.testing.toy_scorer import CharacterTokenizer, toy_chain
    >>> class Unigram(Scorer):
    ...     capabilities = frozenset({Capability.LOGPROBS})
    ...     backend, model_id, device, dtype, context_length = "counts", "unigram", "cpu", "float32", None
    ...     tokenizer = CharacterTokenizer()
    ...
    ...     def __init__(self, text):
    ...         self.text = text
    ...
    ...     def logprobs(self, chains):
    ...         self.tokens_forwarded += sum(len(chain) for chain in chains)
    ...         return [SpanLogprobs(self._of(chain.reasoning_ids), self._of(chain.answer_ids)) for chain in chains]
    ...
    ...     def _of(self, ids):
    ...         return np.log([self.text.count(chr(token)) / len(self.text) for token in ids]).astype(np.float32)
    >>> np.exp(Unigram("aab!").logprobs([toy_chain("ab")])[0].reasoning).round(2).tolist()
    [0.5, 0.25]
    """

    capabilities: frozenset[Capability] = frozenset()
    tokenizer: Any
    backend: str
    model_id: str
    device: str
    dtype: str
    context_length: int | None
    loading: Mapping[str, Any] = MappingProxyType({})
    tokens_forwarded: int = 0
    call_cost: int = 0
    chains_at_once: int = 1
    reads_alone: bool = False
    recipe: ScorerRecipe | None = None

    def __repr__(self) -> str:
        """Show the model, and where its numbers come from."""
        from tokimp.contracts.display import scorer_line  # noqa: PLC0415 - it reads scorers

        return scorer_line(self)

    def _repr_html_(self) -> str:
        """Return the scorer as a notebook shows it."""
        from tokimp.contracts.display import scorer_html  # noqa: PLC0415 - as above

        return scorer_html(self)

    def fingerprint(self) -> str:
        """Return a digest of everything in the scorer that changes its numbers: weights, configuration, precision."""
        raise UnsupportedError(f"{type(self).__name__} cannot tell one model from another, so runs cannot be continued")

    def clock(self) -> float:
        """Return a time in seconds, of which only differences mean something: what work with this scorer takes.

        Where several tasks run beside each other, each has a clock of its own, which stands still while others work.
        """
        return time.perf_counter()

    def run_side_by_side(self, tasks: Sequence[Callable[[Scorer], T]]) -> list[T | BaseException]:
        """Run several tasks; return what each returned or raised, in their order.

        Here tasks run one after the other. A scorer that reads several chains faster together overrides this.

        Parameters
        ----------
        tasks
            Each is called with a scorer of the same model, whose counts and clock are its own.
        """
        outcomes: list[T | BaseException] = []
        for task in tasks:
            try:
                outcomes.append(task(self))
            except Exception as error:  # noqa: BLE001 - whoever asked for the result raises it
                outcomes.append(error)
        return outcomes

    @abstractmethod
    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return the log-probabilities of every chain's reasoning and answer tokens."""

    def entropies(self, chains: Sequence[TokenizedChain]) -> list[SpanEntropies]:
        """Return how open the choice of every reasoning and answer token was, in the pass that `logprobs` takes."""
        raise UnsupportedError(f"{type(self).__name__} gives no entropies")

    def score_deletions(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        objective: Objective,
    ) -> DeletionScores:
        """Score the chain as it would be after each of several deletions.

        Parameters
        ----------
        chain
            The full chain.
        kept
            Positions of the reasoning tokens still there, ascending.
        candidates
            For each deletion the positions that would go, ascending, a subset of `kept`.
        objective
            The number to compute for each version.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot score deletions")

    def deletion_scores(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        objective: Objective,
    ) -> FloatArray:
        """Return the objective after each deletion, [candidate]; see `score_deletions`."""
        return self.score_deletions(chain, kept, candidates, objective).objective

    def deletion_logprobs(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        *,
        until: int | None = None,
    ) -> FloatArray:
        """Return the log-probability of every token that is left after each of several deletions.

        `score_deletions` turns the same log-probabilities into an objective. This default reads each version from
        scratch and whole; a scorer that can stop reading early overrides it.

        Parameters
        ----------
        chain, kept, candidates
            As for `score_deletions`.
        until
            An index into `kept`, if only the tokens up to it are wanted: whatever comes after it may be NaN. Candidates
            lie before it. ``None`` reads all.

        Returns
        -------
        FloatArray
            [candidate, kept token + answer token], nats; NaN for the tokens that the candidate deletes.
        """
        logprobs = np.full((len(candidates), len(kept) + len(chain.answer_ids)), np.nan)
        for row, candidate in zip(logprobs, candidates, strict=True):
            gone = set(candidate)
            left = [place for place, position in enumerate(kept) if position not in gone]
            ids = tuple(chain.reasoning_ids[kept[place]] for place in left)
            spans = self.logprobs([replace(chain, reasoning_ids=ids)])[0]
            row[left], row[len(kept) :] = spans.reasoning, spans.answer
        return logprobs

    def score_masks(
        self, chain: TokenizedChain, masked: Sequence[Sequence[int]], replacement: int, objective: Objective
    ) -> DeletionScores:
        """Score the chain with some of its reasoning tokens replaced by another one; every token keeps its position.

        What is masked leaves the sums: the objective reads the log-probabilities of the reasoning tokens that are not
        masked, and of the answer. This default asks `logprobs` about all versions in one call.

        Parameters
        ----------
        chain
            The full chain.
        masked
            For each version the positions of the reasoning tokens that are replaced; an empty one replaces nothing.
        replacement
            The id that stands in their place.
        objective
            The number to compute for each version.

        Raises
        ------
        ScorerError
            If a version names something else than positions of the reasoning, each once.
        ObjectiveError
            If the chain lacks what the objective reads.
        """
        return DeletionScores(*score_masked_versions(self, chain, masked, replacement, objective))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Continue each prompt `n` times; return the new text, special tokens left out.

        Parameters
        ----------
        prompts
            The prompts' ids, one sequence a prompt.
        max_new_tokens
            The most tokens to write; generation ends earlier at the model's end-of-sequence token.
        n
            The number of continuations a prompt.
        temperature
            0 always takes the most likely token; above, tokens are sampled.
        top_p
            Tokens are sampled from the nucleus only: the fewest most likely tokens that have at least this probability
            together, at the temperature (Holtzman et al. 2020, section 3.1). 1 leaves none out; without a temperature
            it changes nothing.
        seed
            The seed of the sampling; the same seed gives the same text.
        """
        raise UnsupportedError(f"{type(self).__name__} does not generate")
