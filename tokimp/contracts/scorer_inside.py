"""What a scorer can show of a model's inside, and how it changes what is inside: the part of the contract on that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.objective import Objective
from tokimp.errors import UnsupportedError

AttentionWeights = Literal["pattern", "value_norm"]
CutQueries = Literal["later", "all"]
Place = Literal["residual", "attention", "attention_output", "output"]


class ScorerInside:
    """The methods of `tokimp.contracts.scorer.Scorer` that look inside the model.

    Each belongs to a capability, and raises `UnsupportedError` where a scorer does not have it.
    """

    def score_knockouts(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
    ) -> FloatArray:
        """Return the objective of the full chain when later tokens cannot attend to some of the reasoning.

        Every token keeps its position and its own computation. In each layer and head, a later token gives a hidden one
        no weight unless it is hidden with it; its other weights are those of a softmax without the hidden one. The
        token right after a hidden one is still predicted from the hidden one's position.

        Parameters
        ----------
        chain
            The chain.
        hidden
            The positions of the reasoning tokens that are hidden, one sequence a knockout; an empty one hides nothing.
        objective
            The number to compute after each knockout.

        Returns
        -------
        FloatArray
            [knockout], float64, in the objective's unit.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot cut attention")

    def knockout_logprobs(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], *, queries: CutQueries = "later"
    ) -> FloatArray:
        """Return the log-probability of every reasoning and answer token after each of several knockouts.

        Parameters
        ----------
        chain, hidden
            As for `score_knockouts`, whose objective is made of the same numbers.
        queries
            Which queries lose the hidden keys. ``later``: as for `score_knockouts`, later tokens that are not hidden
            themselves. ``all``: the hidden tokens too, so that also the token right after them is predicted without
            them; each keeps its place in the residual stream. A query that would see nothing at all sees as before.

        Returns
        -------
        FloatArray
            [knockout, reasoning token + answer token], float32, nats.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no log-probabilities under a knockout")

    def knockout_divergences(
        self,
        chain: TokenizedChain,
        hidden: Sequence[Sequence[int]],
        *,
        queries: CutQueries = "later",
        temperature: float = 1.0,
    ) -> FloatArray:
        """Return how far each prediction moves under each of several knockouts, over the whole vocabulary.

        Parameters
        ----------
        chain, hidden, queries
            As for `knockout_logprobs`.
        temperature
            Divides the logits of both distributions; above 0.

        Returns
        -------
        FloatArray
            KL(without a knockout || under it) of the distribution that predicts the token,
            [knockout, reasoning token + answer token], float32, nats, 0 or more. Rounding leaves about 1e-7.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no divergences under a knockout")

    def attention(
        self,
        chain: TokenizedChain,
        *,
        weights: AttentionWeights = "pattern",
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
        hidden: float = 0.0,
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
        hidden
            What stands where the layer's mask (causal, or a window) hides a key from a query. With NaN these pairs
            differ from those whose weight is too small for float32, which are 0.

        Returns
        -------
        FloatArray
            [layer, head, query, key], or [layer, ...] of what `reduce` returns; float32.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no attention")

    def states(
        self,
        chain: TokenizedChain,
        reduce: Callable[[LayerStates], torch.Tensor],
        *,
        layers: Sequence[int] | None = None,
    ) -> FloatArray:
        """Return what is made of the states of each layer, over the whole sequence (prompt, reasoning, answer).

        Parameters
        ----------
        chain
            The chain.
        reduce
            Called with each layer's states as soon as the layer has run, in the model's order of layers, so that those
            of one layer exist at a time. What it returns has one shape for all layers.
        layers
            Which layers, in this order; all by default. Negative indices count from the last.

        Returns
        -------
        FloatArray
            [layer, ...] of what `reduce` returns; float32.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no states")

    def activations(
        self,
        chain: TokenizedChain,
        place: Place,
        *,
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> FloatArray:
        """Return the activations at a place of each layer, over the whole sequence (prompt, reasoning, answer).

        Parameters
        ----------
        chain
            The chain.
        place
            ``residual``: the residual stream that goes into the layer's block. ``attention``: the attention weights,
            [head, query, key]. ``attention_output``: what the attention module puts out. ``output``: the residual
            stream that the block puts out. All but the second are [position, d_model].
        layers
            Which layers, in this order; all by default. Negative indices count from the last.
        reduce
            Applied to each layer's activation before it is stored.

        Returns
        -------
        FloatArray
            [layer, ...] of activations, or of what `reduce` returns; float32.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no activations")

    def activation_gradients(
        self,
        chain: TokenizedChain,
        place: Place,
        objective: Objective,
        reduce: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        layers: Sequence[int] | None = None,
    ) -> FloatArray:
        """Return what is made of the activations at a place and of the objective's gradient with respect to them.

        All layers' activations are kept until the gradients are there: the memory is that of a backward pass.

        Parameters
        ----------
        chain, place, layers
            As for `activations`.
        objective
            The number that is differentiated. With a wrong answer it has two passes, which have prompt and reasoning in
            common: up to there, a gradient is that of one change in both; at the answer, it is of the chain's own.
        reduce
            Called with each layer's activation and gradient, of equal shapes. What it returns has one shape for all
            layers; ``torch.mul`` gives activation x gradient.

        Returns
        -------
        FloatArray
            [layer, ...] of what `reduce` returns; float32.
        """
        raise UnsupportedError(f"{type(self).__name__} gives no gradients of activations")

    def embedding_gradients(
        self,
        chain: TokenizedChain,
        objective: Objective,
        reasoning_embeddings: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the reasoning tokens' input embeddings and the objective's gradient with respect to them.

        Parameters
        ----------
        chain
            The chain.
        objective
            The number that is differentiated.
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
