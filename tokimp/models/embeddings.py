"""The objective of a chain as a function of its reasoning tokens' embeddings, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.errors import ScorerError
from tokimp.models.backend import Backend
from tokimp.models.batching import single_sequence
from tokimp.models.decoder import Decoder
from tokimp.models.token_logprobs import TokenQueries
from tokimp.models.trial import differ, passes


def read_gradients(
    decoder: Decoder, chain: TokenizedChain, objective: Objective, reasoning_embeddings: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return embeddings and gradients, [reasoning token, d_model]; see `CausalLMScorer.embedding_gradients`."""
    with torch.enable_grad(), single_sequence(len(chain)):
        value, embeddings = _objective_from_embeddings(decoder, chain, objective, reasoning_embeddings)
        (gradient,) = torch.autograd.grad(value.sum(), embeddings)
    return embeddings.detach().float().cpu().numpy(), gradient.float().cpu().numpy()


def read_value(
    decoder: Decoder, chain: TokenizedChain, objective: Objective, reasoning_embeddings: FloatArray | None
) -> float:
    """Return the objective; see `CausalLMScorer.objective_value`."""
    with torch.no_grad(), single_sequence(len(chain)):
        value, _ = _objective_from_embeddings(decoder, chain, objective, reasoning_embeddings)
    return float(value.item())


def gives_gradients(backend: Backend, ids: torch.Tensor) -> bool:
    """Return whether the tokens' own embeddings, put in their own place, give the same logits, and get a gradient.

    Parameters
    ----------
    backend
        Runs the model.
    ids
        What it is tried on, [1, position].
    """
    leaf: list[torch.Tensor] = []

    def substitute(embedded: torch.Tensor) -> torch.Tensor:
        leaf.append(embedded.detach().clone().requires_grad_())
        return leaf[0] + 0  # some models change what they are given in place, which a leaf does not allow

    def same_logits_and_a_gradient() -> bool:
        with torch.no_grad():
            expected = backend.forward(ids, use_cache=False)
        with torch.enable_grad():
            logits = backend.forward_embeddings(ids, substitute, use_cache=False)
            (gradient,) = torch.autograd.grad(logits.float().log_softmax(dim=-1)[0, :, 0].sum(), leaf[0])
        return bool(gradient.isfinite().all()) and not differ(logits.detach(), expected, expected.dtype.itemsize)

    return passes(same_logits_and_a_gradient)


def _objective_from_embeddings(
    decoder: Decoder, chain: TokenizedChain, objective: Objective, replacement: FloatArray | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the objective, [1], and the embeddings it was computed from, [reasoning token, d_model]."""
    begin, end = chain.reasoning_span
    leaf: list[torch.Tensor] = []

    def substitute(embedded: torch.Tensor) -> torch.Tensor:
        # A second call, for the wrong answer, reads the same embeddings as the first: the gradient is of both.
        if not leaf:
            own = embedded[0, begin:end].detach().clone()
            if replacement is not None:
                if replacement.shape != tuple(own.shape):
                    shapes = f"{tuple(own.shape)}, not {replacement.shape}"
                    raise ScorerError(f"{chain.chain.where}: stand-in embeddings must have the shape {shapes}")
                own = torch.tensor(replacement).to(own)
            leaf.append(own.requires_grad_(torch.is_grad_enabled()))
        return torch.cat([embedded[:, :begin], leaf[0][None], embedded[:, end:]], dim=1)

    def logprobs(answer: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = (*chain.prompt_ids, *chain.reasoning_ids, *answer)
        queries = TokenQueries()
        queries.add_run(0, begin - 1, ids[begin:])
        values = decoder.predict_embeddings(decoder.tensor([ids[:-1]]), substitute, queries)[None]
        return values[:, : end - begin], values[:, end - begin :]

    reasoning, answer = logprobs(chain.answer_ids)
    wrong = logprobs(chain.wrong_answer_ids or ())[1] if Span.WRONG_ANSWER in objective.spans else None
    return objective.evaluate(LogprobTensors(reasoning, answer, wrong, chain.answer_value)), leaf[0]
