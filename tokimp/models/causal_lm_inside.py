"""`CausalLMInside`: what scorers of transformers decoders show of the model, computed once for all backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.context_length import check_chain_fits
from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.scorer_inside import AttentionWeights, CutQueries, Place
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.activations import read_activation_gradients, read_activations
from tokimp.models.attention import read_attention
from tokimp.models.decoder import Decoder
from tokimp.models.embeddings import read_gradients, read_value
from tokimp.models.knockout import score_knockouts
from tokimp.models.knockout_predictions import knockout_divergences, knockout_logprobs
from tokimp.models.states import read_states


class CausalLMInside(Scorer):
    """The methods of `tokimp.models.causal_lm.CausalLMScorer` that look inside the model.

    Attributes
    ----------
    decoder
        Runs the model, within its memory.
    """

    decoder: Decoder

    def score_knockouts(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
    ) -> FloatArray:
        """Return the objective when later tokens cannot attend to some reasoning; see `Scorer.score_knockouts`.

        Raises
        ------
        ScorerError
            If a position is not one of the reasoning, or the model cannot read the chain.
        ObjectiveError
            If the chain lacks what the objective reads.
        UnsupportedError
            If later tokens learn of a hidden one by other ways than attention, or attention is not to be reached.
        """
        self._check_cuts()
        self._check_readable(chain, objective)
        return score_knockouts(self.decoder, chain, hidden, objective)

    def knockout_logprobs(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], *, queries: CutQueries = "later"
    ) -> FloatArray:
        """Return the log-probability of every token after each knockout; see `Scorer.knockout_logprobs`.

        Errors are those of `score_knockouts`.
        """
        self._check_cuts()
        self._check_readable(chain)
        return knockout_logprobs(self.decoder, chain, hidden, queries)

    def knockout_divergences(
        self,
        chain: TokenizedChain,
        hidden: Sequence[Sequence[int]],
        *,
        queries: CutQueries = "later",
        temperature: float = 1.0,
    ) -> FloatArray:
        """Return how far each prediction moves under each knockout; see `Scorer.knockout_divergences`.

        A batch has one more row, in which nothing is hidden. Errors are those of `score_knockouts`.
        """
        self._check_cuts()
        self._check_readable(chain)
        return knockout_divergences(self.decoder, chain, hidden, queries, temperature)

    def attention(
        self,
        chain: TokenizedChain,
        *,
        weights: AttentionWeights = "pattern",
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
        hidden: float = 0.0,
    ) -> FloatArray:
        """Return attention over the whole sequence; see `Scorer.attention`.

        Raises
        ------
        ScorerError
            If there is no such layer, or the model cannot read the chain.
        UnsupportedError
            If a layer has no attention (recurrent and hybrid architectures), or `weights` are not to be had there.
        """
        self._check_readable(chain)
        return read_attention(self.decoder, chain, weights=weights, layers=layers, reduce=reduce, hidden=hidden)

    def states(
        self,
        chain: TokenizedChain,
        reduce: Callable[[LayerStates], torch.Tensor],
        *,
        layers: Sequence[int] | None = None,
    ) -> FloatArray:
        """Return what is made of the states of each layer; see `Scorer.states`.

        Raises
        ------
        ScorerError
            If there is no such layer, or the model cannot read the chain.
        UnsupportedError
            If the parts of a layer do not add up in a way that is known, or a layer has no attention.
        """
        if Capability.STATES not in self.capabilities:
            raise UnsupportedError(
                f"{self.model_id} ({self.decoder.facts.architecture}): how attention adds to the residual stream was "
                f"not found on the backend {self.backend!r}; {self.decoder.backend.otherwise}use an estimator that "
                "needs no states"
            )
        self._check_readable(chain)
        return read_states(self.decoder, chain, reduce, layers)

    def activations(
        self,
        chain: TokenizedChain,
        place: Place,
        *,
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> FloatArray:
        """Return the activations at a place of each layer; see `Scorer.activations`.

        Raises
        ------
        ScorerError
            If there is no such place or layer, or the model cannot read the chain.
        UnsupportedError
            If the model's blocks are not found, or a layer has no attention.
        """
        self._check_activations()
        self._check_readable(chain)
        return read_activations(self.decoder, chain, place, layers, reduce)

    def activation_gradients(
        self,
        chain: TokenizedChain,
        place: Place,
        objective: Objective,
        reduce: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        layers: Sequence[int] | None = None,
    ) -> FloatArray:
        """Return what is made of activations and gradients at a place; see `Scorer.activation_gradients`.

        Errors are those of `activations`, and `ObjectiveError` if the chain lacks what the objective reads.
        """
        self._check_activations()
        self._check_readable(chain, objective)
        return read_activation_gradients(self.decoder, chain, place, objective, reduce=reduce, layers=layers)

    def embedding_gradients(
        self,
        chain: TokenizedChain,
        objective: Objective,
        reasoning_embeddings: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the reasoning tokens' input embeddings and the objective's gradient there.

        An input embedding is what the model's token-embedding module puts out: with Gemma 3's scaling, without
        positions. See `Scorer.embedding_gradients`.

        Raises
        ------
        ScorerError
            If the model cannot read the chain.
        ObjectiveError
            If the chain lacks what the objective reads.
        UnsupportedError
            If the embeddings cannot be replaced, or no gradient reaches them.
        """
        self._check_differentiable()
        self._check_readable(chain, objective)
        return read_gradients(self.decoder, chain, objective, reasoning_embeddings)

    def objective_value(
        self,
        chain: TokenizedChain,
        objective: Objective,
        reasoning_embeddings: FloatArray | None = None,
    ) -> float:
        """Return the objective of the full chain, if need be with other embeddings for its reasoning tokens."""
        self._check_differentiable()
        self._check_readable(chain, objective)
        return read_value(self.decoder, chain, objective, reasoning_embeddings)

    def _check_cuts(self) -> None:
        if Capability.KNOCKOUT not in self.capabilities:
            raise UnsupportedError(
                f"{self.model_id} ({self.decoder.facts.architecture}): cutting attention on the backend "
                f"{self.backend!r} does not hide a token from those after it; {self.decoder.backend.otherwise}"
                "use leave_one_out, which deletes it"
            )

    def _check_activations(self) -> None:
        if Capability.ACTIVATIONS not in self.capabilities:
            raise UnsupportedError(
                f"{self.model_id} ({self.decoder.facts.architecture}): activations were not found on the backend "
                f"{self.backend!r}, or get no gradient; {self.decoder.backend.otherwise}use an estimator without them"
            )

    def _check_differentiable(self) -> None:
        if Capability.GRADIENTS not in self.capabilities:
            raise UnsupportedError(
                f"{self.model_id} ({self.decoder.facts.architecture}): the backend {self.backend!r} cannot replace the "
                f"embeddings that the model reads, or no gradient reaches them; {self.decoder.backend.otherwise}use an "
                "estimator that needs no gradients, such as leave_one_out"
            )

    def _check_readable(self, chain: TokenizedChain, objective: Objective | None = None) -> None:
        """Raise an error if the model cannot read a chain, or the chain lacks what an objective reads."""
        where, vocabulary = chain.chain.where, self.decoder.facts.vocabulary
        if not chain.prompt_ids:
            raise ScorerError(f"{where}: the prompt has no tokens, so nothing predicts the first reasoning token")
        check_chain_fits(chain, self, objective)
        highest = max((*chain.input_ids, *(chain.wrong_answer_ids or ())))
        if highest >= vocabulary:
            raise ScorerError(
                f"{where}: token id {highest} is not in the vocabulary of {self.model_id} ({vocabulary} tokens); "
                "tokenise the chain with the scorer's own tokenizer"
            )
        if objective is not None:
            objective.check(chain)
