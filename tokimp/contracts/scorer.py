"""The scorer: a causal language model, and the numbers it can give about a chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.errors import UnsupportedError

AttentionWeights = Literal["pattern", "value_norm"]


class Capability(StrEnum):
    """What a scorer can be asked for; an estimator's ``requires`` is made of these."""

    LOGPROBS = "logprobs"
    DELETIONS = "deletions"
    ATTENTION = "attention"
    GRADIENTS = "gradients"
    GENERATION = "generation"
    KNOCKOUT = "knockout"


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
class DeletionScores:
    """What remains likely after each of several deletions; float64, one entry a candidate.

    Attributes
    ----------
    objective
        The objective of the chain without the candidate, [candidate].
    reasoning, answer
        Log-likelihood (nats) of the reasoning still kept and of the answer, [candidate]; their sum is the joint one.
        That of the reasoning may be NaN where the objective's `Objective.spans` leave the reasoning out, so that
        nothing is computed of it; `tokimp.contracts.unit_deletions.score_kept` gives both of one version.
    """

    objective: FloatArray
    reasoning: FloatArray
    answer: FloatArray


class Scorer(ABC):
    """A causal language model and its numbers, for the same ids the same on every backend (float32: within 1e-4).

    Attributes
    ----------
    capabilities
        What may be asked of it. The method of a capability that is missing raises `UnsupportedError`.
    tokenizer
        The model's tokenizer (transformers).
    backend, model_id, device, dtype
        What the numbers come from, as stored in results.
    context_length
        The longest sequence the model takes, in tokens; ``None`` where it names no limit.
    tokens_forwarded
        Token positions passed through the model so far, padding included: the cost that does not depend on a machine.
    """

    capabilities: frozenset[Capability] = frozenset()
    tokenizer: Any
    backend: str
    model_id: str
    device: str
    dtype: str
    context_length: int | None
    tokens_forwarded: int = 0

    def fingerprint(self) -> str:
        """Return a digest of everything in the scorer that changes its numbers: weights, configuration, precision."""
        raise UnsupportedError(f"{type(self).__name__} cannot tell one model from another, so runs cannot be continued")

    @abstractmethod
    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return the log-probabilities of every chain's reasoning and answer tokens."""

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
            What to compute of each version.
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

        What is computed here, token by token, `score_deletions` turns into an objective. Here each version is read
        from scratch, and whole; a scorer that can stop reading early overrides this.

        Parameters
        ----------
        chain, kept, candidates
            As for `score_deletions`.
        until
            How many of the kept tokens need be read, for one call that looks at the neighbourhood of a place only: what
            comes after the token at this place of `kept` may be NaN. ``None`` reads all. Candidates lie before it.

        Returns
        -------
        FloatArray
            [candidate, kept token + answer token], nats; NaN for the tokens that the candidate deletes.
        """
        found = np.full((len(candidates), len(kept) + len(chain.answer_ids)), np.nan)
        for row, candidate in zip(found, candidates, strict=True):
            gone = set(candidate)
            left = [place for place, position in enumerate(kept) if position not in gone]
            ids = tuple(chain.reasoning_ids[kept[place]] for place in left)
            spans = self.logprobs([replace(chain, reasoning_ids=ids)])[0]
            row[left], row[len(kept) :] = spans.reasoning, spans.answer
        return found

    def score_knockouts(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
    ) -> FloatArray:
        """Return the objective of the full chain when later tokens cannot attend to some of the reasoning.

        Every token keeps its position and its own computation. In each layer and head, a token that comes after a
        hidden one and is not hidden with it gives it no weight; its other weights make up for that, as in a softmax
        without the hidden one. The token right after a hidden one is still predicted from the latter's own position.

        Parameters
        ----------
        chain
            The chain.
        hidden
            For each knockout the positions of the reasoning tokens that are hidden; none for the chain as it is.
        objective
            What to compute after each knockout.

        Returns
        -------
        FloatArray
            [knockout], float64, in the objective's unit.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot cut attention")

    def attention(
        self,
        chain: TokenizedChain,
        *,
        weights: AttentionWeights = "pattern",
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> FloatArray:
        """Return attention over the whole sequence (prompt, reasoning, answer).

        Parameters
        ----------
        chain
            The chain.
        weights
            ``pattern``: the softmax weights. ``value_norm``: each weight times the norm of the value vector it moves,
            after the output projection of its head (Kobayashi et al. 2020, section 3: ``||alpha f(x)||``).
        layers
            Which layers, in this order; all by default. Negative indices count from the last.
        reduce
            Applied to each layer's [head, query, key] before it is stored, so that the full array never exists.

        Returns
        -------
        FloatArray
            [layer, head, query, key], or [layer, ...] of what `reduce` returns; float32.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no attention")

    def embedding_gradients(
        self,
        chain: TokenizedChain,
        objective: Objective,
        reasoning_embeddings: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the reasoning tokens' input embeddings and the objective's gradient with respect to them.

        Parameters
        ----------
        chain, objective
            What is differentiated.
        reasoning_embeddings
            Stand-ins for the reasoning tokens' embeddings, [reasoning token, d_model]; the tokens that are to be
            predicted stay the chain's. The model's own embeddings by default.

        Returns
        -------
        embeddings, gradients : FloatArray
            [reasoning token, d_model] each, float32; the embeddings are the ones the gradient was taken at.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no gradients")

    def objective_value(
        self,
        chain: TokenizedChain,
        objective: Objective,
        reasoning_embeddings: FloatArray | None = None,
    ) -> float:
        """Return the objective of the full chain, if need be with other embeddings for its reasoning tokens."""
        raise UnsupportedError(f"{type(self).__name__} cannot compute an objective from embeddings")

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Continue each prompt `n` times; return the new text, special tokens left out.

        Parameters
        ----------
        prompts
            Ids, one sequence a prompt.
        max_new_tokens
            The most tokens to write; generation ends earlier at the model's end-of-sequence token.
        n
            Continuations a prompt.
        temperature
            0 always takes the most likely token; above, tokens are sampled.
        seed
            Of the sampling; the same seed gives the same text.
        """
        raise UnsupportedError(f"{type(self).__name__} does not generate")
