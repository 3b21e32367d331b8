"""Activations at a named place in each layer, and the gradient of an objective with respect to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from torch.utils.hooks import RemovableHandle

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Ids, TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer_inside import Place
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.attention import chosen_layers
from tokimp.models.backend import Backend
from tokimp.models.batching import single_sequence
from tokimp.models.block import first_of, parent_of
from tokimp.models.decoder import Decoder
from tokimp.models.token_logprobs import TokenQueries, gather_logprobs
from tokimp.models.trial import passes

PLACES: tuple[str, ...] = get_args(Place)


def read_activations(
    decoder: Decoder,
    chain: TokenizedChain,
    place: Place,
    layers: Sequence[int] | None,
    reduce: Callable[[torch.Tensor], torch.Tensor] | None,
) -> FloatArray:
    """Return activations, [layer, ...]; see `Scorer.activations`."""
    chosen = _checked(decoder, place, layers)
    by_layer: dict[int, FloatArray] = {}

    def show(layer: int, activation: torch.Tensor) -> None:
        shown = activation[0].float()
        by_layer[layer] = (shown if reduce is None else reduce(shown)).float().cpu().numpy()

    with torch.no_grad(), single_sequence(len(chain)):
        _pass(decoder, chain.input_ids, place, chosen, show, last=1)
    return np.stack([by_layer[layer] for layer in chosen])


def read_activation_gradients(
    decoder: Decoder,
    chain: TokenizedChain,
    place: Place,
    objective: Objective,
    *,
    reduce: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    layers: Sequence[int] | None,
) -> FloatArray:
    """Return what is made of activations and gradients, [layer, ...]; see `Scorer.activation_gradients`."""
    chosen = _checked(decoder, place, layers)
    count = len(chain.reasoning_ids)
    with torch.enable_grad(), single_sequence(len(chain)):
        values, activations = _logprobs(decoder, chain, chain.answer_ids, place, chosen)
        wrong: torch.Tensor | None = None
        others: dict[int, torch.Tensor] = {}
        if Span.WRONG_ANSWER in objective.spans:
            both, others = _logprobs(decoder, chain, chain.wrong_answer_ids or (), place, chosen)
            wrong = both[:, count:]
        spans = LogprobTensors(values[:, :count], values[:, count:], wrong, chain.answer_value)
        tensors = [*activations.values(), *others.values()]
        value = objective.evaluate(spans).sum()
        gradients = torch.autograd.grad(value, tensors, allow_unused=True, materialize_grads=True)
    # Up to the answer both passes read the same; a change there changes both.
    common = slice(chain.reasoning_span[1])
    shared = (slice(None), common, common) if place == "attention" else (common,)
    by_layer: dict[int, FloatArray] = {}
    with torch.no_grad():
        for index, (layer, activation) in enumerate(activations.items()):
            gradient = gradients[index][0].float()
            if others:
                gradient[shared] += gradients[len(activations) + index][0].float()[shared]
            by_layer[layer] = reduce(activation.detach()[0].float(), gradient).float().cpu().numpy()
    return np.stack([by_layer[layer] for layer in chosen])


def _logprobs(
    decoder: Decoder, chain: TokenizedChain, answer: Ids, place: str, layers: Sequence[int]
) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """Return log-probabilities of reasoning and an answer, [1, token], and the activations they were made of."""
    first = len(chain.prompt_ids)
    ids = (*chain.prompt_ids, *chain.reasoning_ids, *answer)
    seen: dict[int, torch.Tensor] = {}
    logits = _pass(decoder, ids, place, layers, seen.__setitem__, last=len(ids) - first + 1)
    queries = TokenQueries()
    queries.add_run(0, first - 1, ids[first:])
    return gather_logprobs(logits, queries, first=first - 1)[None], seen


def gives_activations(backend: Backend, ids: torch.Tensor) -> bool:
    """Return whether activations at every place are seen in the first and the last layer, and get a gradient.

    Parameters
    ----------
    backend
        The backend.
    ids
        What it is tried on, [1, position].
    """
    tried = {min(backend.attention_layers), max(backend.attention_layers)} if backend.attention_layers else set()
    seen: dict[tuple[str, int], torch.Tensor] = {}

    def keep(place: str, layer: int, activation: torch.Tensor) -> None:
        seen[place, layer] = activation

    def all_are_seen() -> bool:
        with torch.enable_grad(), _watched(backend, PLACES, sorted(tried), keep) as run:
            logits = run(ids, use_cache=False)
            value = logits.float().log_softmax(dim=-1)[0, :, 0].sum()
            gradients = torch.autograd.grad(value, list(seen.values()))
        shape = (1, ids.shape[1])
        fits = all(each.shape[:2] == shape or place == "attention" for (place, _), each in seen.items())
        finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
        return bool(tried) and len(seen) == len(PLACES) * len(tried) and fits and finite

    return passes(all_are_seen)


def _checked(decoder: Decoder, place: str, layers: Sequence[int] | None) -> list[int]:
    """Return the layers asked for; raise `ScorerError` if there is no such place or layer."""
    if place not in PLACES:
        raise ScorerError(f"a place is one of {', '.join(PLACES)}, not {place!r}")
    return chosen_layers(decoder, layers)


def _pass(
    decoder: Decoder,
    ids: Ids,
    place: str,
    layers: Sequence[int],
    show: Callable[[int, torch.Tensor], None],
    *,
    last: int,
) -> torch.Tensor:
    """Read a sequence, show the activations of some layers, and return the logits of the last positions."""
    inputs = decoder.all_queries(None, last)

    def shown(_: str, layer: int, activation: torch.Tensor) -> None:
        show(layer, activation)

    with decoder.rotary.sequences_of(len(ids)), _watched(decoder.backend, (place,), layers, shown) as run:
        return run(decoder.counted(decoder.tensor([ids])), **inputs)[:, -last:]


@contextmanager
def _watched(
    backend: Backend, places: Sequence[str], layers: Sequence[int], show: Callable[[str, int, torch.Tensor], None]
) -> Iterator[Callable[..., torch.Tensor]]:
    """Watch places of some layers; yield what runs the model and returns its logits.

    Gradients begin at the first block: the weights need none, so the residual stream has to ask for one.
    """

    def visit(layer: int, pattern: torch.Tensor) -> None:
        show("attention", layer, pattern)

    def run(input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        if "attention" not in places:
            return backend.forward(input_ids, **inputs)
        logits = backend.forward_attention(input_ids, frozenset(layers), visit, **inputs)
        if logits is None:
            raise UnsupportedError(f"{type(backend).__name__}.forward_attention returns no logits")
        return logits

    with ExitStack() as hooks:
        first = parent_of(backend.root, backend.attention_module(min(backend.attention_layers)))
        hooks.callback(first.register_forward_pre_hook(_begin, with_kwargs=True).remove)
        for layer in dict.fromkeys(layers):
            for handle in _hooks(backend, layer, places, show):
                hooks.callback(handle.remove)
        yield run


def _hooks(
    backend: Backend, layer: int, places: Sequence[str], show: Callable[[str, int, torch.Tensor], None]
) -> Iterator[RemovableHandle]:
    """Set hooks that show a layer's streams, as far as they are asked for; attention weights have none."""

    def read(module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        show("residual", layer, _hidden(arguments, named))

    def write(place: str, module: torch.nn.Module, arguments: Any, output: Any) -> None:
        show(place, layer, first_of(output))

    attention = backend.attention_module(layer)
    block = parent_of(backend.root, attention)
    if "residual" in places:
        yield block.register_forward_pre_hook(read, with_kwargs=True)
    for place, module in (("attention_output", attention), ("output", block)):
        if place in places:
            yield module.register_forward_hook(partial(write, place))


def _begin(module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Give a block a stream that asks for a gradient, where gradients are computed."""
    if not torch.is_grad_enabled():
        return None
    hidden = _hidden(arguments, named).detach().clone().requires_grad_() + 0
    return ((hidden, *arguments[1:]), named) if arguments else ((), named | {"hidden_states": hidden})


def _hidden(arguments: tuple[Any, ...], named: dict[str, Any]) -> torch.Tensor:
    """Return the residual stream that a block is given."""
    hidden: torch.Tensor = arguments[0] if arguments else named["hidden_states"]
    return hidden
