"""Activations at a named place in each layer, and the gradient of an objective with respect to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, get_args

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Ids, TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer_inside import Place
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.attention import chosen_layers
from tokimp.models.backend import Backend
from tokimp.models.batching import out_of_memory, single_sequence
from tokimp.models.block import first_of, parent_of
from tokimp.models.decoder import Decoder
from tokimp.models.token_logprobs import TokenQueries, gather_logprobs

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
        wrong, others = None, {}
        if Span.WRONG_ANSWER in objective.spans:
            both, others = _logprobs(decoder, chain, chain.wrong_answer_ids or (), place, chosen)
            wrong = both[:, count:]
        spans = LogprobTensors(values[:, :count], values[:, count:], wrong, chain.answer_value)
        tensors = [*activations.values(), *others.values()]
        value = objective.evaluate(spans).sum()
        gradients = torch.autograd.grad(value, tensors, allow_unused=True, materialize_grads=True)
    # Up to the answer both passes read the same; a change there changes both.
    common = slice(len(chain.prompt_ids) + count)
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
    try:
        for place in PLACES:
            seen: dict[int, torch.Tensor] = {}
            with torch.enable_grad(), _watched(backend, place, sorted(tried), seen.__setitem__) as run:
                logits = run(ids, use_cache=False)
                value = logits.float().log_softmax(dim=-1)[0, :, 0].sum()
                gradients = torch.autograd.grad(value, list(seen.values()))
            shape = (1, ids.shape[1])
            fits = all(each.shape[:2] == shape or place == "attention" for each in seen.values())
            finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
            if seen.keys() != tried or not fits or not finite:
                return False
    # A model of another make fails with any of these.
    except (
        UnsupportedError,
        AttributeError,
        IndexError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        if out_of_memory(error):
            raise
        return False
    return bool(tried)


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
    with decoder.rotary.sequences_of(len(ids)), _watched(decoder.backend, place, layers, show) as run:
        return run(decoder.counted(decoder.tensor([ids])), **inputs)[:, -last:]


@contextmanager
def _watched(
    backend: Backend, place: str, layers: Sequence[int], show: Callable[[int, torch.Tensor], None]
) -> Iterator[Callable[..., torch.Tensor]]:
    """Watch a place; yield what runs the model and returns its logits. Gradients begin at the first block."""
    wanted = dict.fromkeys(layers)

    def begin(module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        # The weights need no gradient, so the stream has to ask for one.
        if not torch.is_grad_enabled():
            return None
        hidden = (arguments[0] if arguments else named["hidden_states"]).detach().clone().requires_grad_()
        return ((hidden + 0, *arguments[1:]), named) if arguments else ((), named | {"hidden_states": hidden + 0})

    def watch_input(layer: int) -> Callable[..., None]:
        return lambda module, arguments, named: show(layer, arguments[0] if arguments else named["hidden_states"])

    def watch_output(layer: int) -> Callable[..., None]:
        return lambda module, arguments, output: show(layer, first_of(output))

    with ExitStack() as hooks:
        first = parent_of(backend.root, backend.attention_module(min(backend.attention_layers)))
        hooks.callback(first.register_forward_pre_hook(begin, with_kwargs=True).remove)
        for layer in wanted if place != "attention" else ():
            attention = backend.attention_module(layer)
            block = parent_of(backend.root, attention)
            if place == "residual":
                handle = block.register_forward_pre_hook(watch_input(layer), with_kwargs=True)
            else:
                handle = (attention if place == "attention_output" else block).register_forward_hook(
                    watch_output(layer)
                )
            hooks.callback(handle.remove)
        if place != "attention":
            yield backend.forward
            return

        def run(input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
            logits = backend.forward_attention(input_ids, frozenset(wanted), show, **inputs)
            if logits is None:
                raise UnsupportedError(f"{type(backend).__name__}.forward_attention returns no logits")
            return logits

        yield run
