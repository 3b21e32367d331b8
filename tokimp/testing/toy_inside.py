"""What a scorer in closed form shows of its inside, beside its attention and its gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_inside import CutQueries, Place


class AdditiveInside(Scorer):
    """The methods of `tokimp.testing.toy_scorer.AdditiveScorer` about single predictions and states.

    A knockout moves the prediction of a token by the sum of the sizes of the contributions that it hides from the
    position that predicts it, divided by the temperature.

    States: the residual stream begins with the tokens' embeddings. A token's value has the one coordinate
    ``1 + |contribution|``; heads of even number add what they move to the first coordinate of the residual stream,
    the others to the second. Nothing follows attention in a block. A token's key is its embedding, and all queries are
    0. The objective depends on the residual stream that goes into the first layer, and on no other activation.
    """

    reasoning_logprob: float

    @abstractmethod
    def contribution(self, ids: Iterable[int]) -> torch.Tensor:
        """Return what each of some tokens adds to the answer's log-likelihood, [token], float64, nats."""

    @abstractmethod
    def embed(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the tokens' embeddings, [token, 2], float64."""

    @abstractmethod
    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return log P(answer | reasoning tokens with these embeddings), a scalar; differentiable."""

    @abstractmethod
    def pattern(self, chain: TokenizedChain) -> torch.Tensor:
        """Return the attention weights over the whole sequence, [layer, head, query, key]."""

    def states(
        self,
        chain: TokenizedChain,
        reduce: Callable[[LayerStates], torch.Tensor],
        *,
        layers: Sequence[int] | None = None,
    ) -> FloatArray:
        """Return what is made of the states of each layer, [layer, ...]."""
        self.tokens_forwarded += len(chain)
        pattern = self.pattern(chain)
        n_layers, n_heads = pattern.shape[:2]
        values = (1 + self.contribution(chain.input_ids).abs().float())[None, :, None].expand(n_heads, -1, -1)
        output = torch.eye(2)[torch.arange(n_heads) % 2][:, None]
        stream = self.embed(chain.input_ids).float()
        found: list[torch.Tensor] = []
        for layer in range(n_layers):
            added = torch.einsum("hqk,hkd,hdm->qm", pattern[layer], values, output)
            states = LayerStates(
                layer=layer,
                before=stream,
                middle=stream + added,
                after=stream + added,
                pattern=pattern[layer],
                keys=self.embed(chain.input_ids).float()[None],
                values=values,
                output=output,
                bias=torch.zeros(2),
                scale=torch.ones(len(chain)),
                finish=partial(torch.add, stream),
                projection=partial(_project, output),
                queries=partial(_no_queries, (n_heads, len(chain), 2)),
            )
            found.append(reduce(states).float())
            stream = stream + added
        chosen = range(n_layers) if layers is None else layers
        return torch.stack([found[layer] for layer in chosen]).numpy().astype(np.float32)

    def activations(
        self,
        chain: TokenizedChain,
        place: Place,
        *,
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> FloatArray:
        """Return the activations at a place of each layer, which are those of its states."""
        return self.states(
            chain, lambda states: (reduce or torch.Tensor.float)(_activation(states, place)), layers=layers
        )

    def activation_gradients(
        self,
        chain: TokenizedChain,
        place: Place,
        objective: Objective,
        reduce: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        layers: Sequence[int] | None = None,
    ) -> FloatArray:
        """Return what is made of activations and gradients; only the stream into the first layer has one."""
        _, of_reasoning = self.embedding_gradients(chain, objective)
        begin = len(chain.prompt_ids)

        def both(states: LayerStates) -> torch.Tensor:
            activation = _activation(states, place)
            gradient = torch.zeros_like(activation)
            if place == "residual" and states.layer == 0:
                gradient[begin : begin + len(of_reasoning)] = torch.from_numpy(of_reasoning)
            return reduce(activation, gradient)

        return self.states(chain, both, layers=layers)

    def knockout_logprobs(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], *, queries: CutQueries = "later"
    ) -> FloatArray:
        """Return the log-probabilities when the answer gets nothing from the hidden tokens, whose own stay."""
        count, m = len(chain.reasoning_ids), len(chain.answer_ids)
        values = np.full((len(hidden), count + m), self.reasoning_logprob, dtype=np.float32)
        for row, positions in zip(values, self._checked_positions(chain, hidden), strict=True):
            seen = [token for position, token in enumerate(chain.reasoning_ids) if position not in positions]
            row[count:] = float(self.answer_loglik(self.embed(seen))) / m
        return values

    def knockout_divergences(
        self,
        chain: TokenizedChain,
        hidden: Sequence[Sequence[int]],
        *,
        queries: CutQueries = "later",
        temperature: float = 1.0,
    ) -> FloatArray:
        """Return the sizes of the contributions that each prediction no longer sees, [knockout, token]."""
        sizes = self.contribution(chain.reasoning_ids).abs().numpy()
        values = np.zeros((len(hidden), len(sizes) + len(chain.answer_ids)), dtype=np.float32)
        for row, positions in zip(values, self._checked_positions(chain, hidden), strict=True):
            # The token at index t is predicted from the position before it.
            for index in range(1, len(row)):
                predictor = index - 1
                if queries == "later" and predictor in positions:
                    continue
                row[index] = sum(sizes[at] for at in positions if at <= predictor) / temperature
        return values

    def _checked_positions(self, chain: TokenizedChain, hidden: Sequence[Sequence[int]]) -> list[set[int]]:
        """Return the positions of each knockout, checked, and count what reading them takes."""
        for positions in hidden:
            self.tokens_forwarded += len(chain)
            if not set(positions) <= set(range(len(chain.reasoning_ids))):
                raise ValueError(f"{list(positions)} are not positions of the {len(chain.reasoning_ids)} tokens")
        return [set(positions) for positions in hidden]


def _project(output: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """Return what heads add, [..., d_model], for what they move, [..., head * dimension]."""
    return moved @ output.flatten(0, 1)


def _activation(states: LayerStates, place: Place) -> torch.Tensor:
    """Return the activation at a place of a layer."""
    if place == "attention":
        return states.pattern.float()
    return {
        "residual": states.before,
        "attention_output": states.middle - states.before,
        "output": states.after,
    }[place]


def _no_queries(shape: tuple[int, ...], positions: Sequence[int]) -> torch.Tensor:
    return torch.zeros(shape)
