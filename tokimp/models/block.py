"""One block of a decoder, watched while it runs: how its parts add up is found from the numbers, not from its class.

What attention adds to the residual stream goes through nothing (llama), a norm (Gemma 2), or a multiplier (Granite),
and what follows reads the sum, or runs beside (GPT-NeoX). Each of these is tried on what the modules were given and
put out. A block that fits none of them is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tokimp.contracts.layer_states import LayerStates
from tokimp.errors import UnsupportedError
from tokimp.models.backend import Backend
from tokimp.models.queries import AttentionCall


class Block:
    """The block of one layer, which shows its states when it has run.

    Parameters
    ----------
    backend
        Knows the layer's attention and its output projection.
    layer
        The layer.
    cache
        Takes the keys and values of every layer as it runs.
    show
        Called once with the states.

    Attributes
    ----------
    pattern
        The attention weights, [head, query, key]; to be set before the block ends.
    """

    def __init__(self, backend: Backend, layer: int, cache: Any, show: Callable[[LayerStates], None]) -> None:
        self._attention, self._projection = backend.attention_module(layer), backend.output_projection(layer)
        self._block = parent_of(backend.root, self._attention)
        self._layer, self._cache, self._show = layer, cache, show
        self.pattern: torch.Tensor | None = None
        self._call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._question: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._attended: Any = None
        self._children: dict[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}
        self._watching = True
        self._hooks = [
            self._block.register_forward_pre_hook(self._begin, with_kwargs=True),
            self._block.register_forward_hook(self._end),
            self._attention.register_forward_pre_hook(self._keep_question, with_kwargs=True),
            self._attention.register_forward_hook(self._keep_attended),
        ]
        for child in self._block.children():
            if child is not self._attention:
                self._hooks.append(child.register_forward_hook(self._keep_child, with_kwargs=True))

    def remove(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()

    def _begin(self, module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._watching:
            self._call = (arguments, named)

    def _keep_question(self, module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._watching:
            self._question = (arguments, named)

    def _keep_attended(self, module: torch.nn.Module, arguments: Any, output: Any) -> None:
        if self._watching:
            self._attended = output

    def _keep_child(self, module: torch.nn.Module, arguments: tuple[Any, ...], named: Any, output: Any) -> None:
        read = arguments[0] if arguments else named.get("hidden_states")
        written = first_of(output)
        if self._watching and isinstance(read, torch.Tensor) and isinstance(written, torch.Tensor):
            self._children[module] = (read, written)

    def _end(self, module: torch.nn.Module, arguments: Any, output: Any) -> None:
        if not self._watching:
            return
        self._watching = False
        try:
            self._show(self._states(first_of(output)))
        finally:
            self._children.clear()
            self._attended = self.pattern = None
            self._question = ((), {})

    def _states(self, after: torch.Tensor) -> LayerStates:
        before, attended, pattern = self._hidden(), first_of(self._attended), self.pattern
        if pattern is None or before.shape != attended.shape or len(before) != 1:
            raise self._unknown("its attention and its residual stream have other shapes")
        scale, weights, middle = self._added(before[0], attended[0], after[0])
        cached = self._cache.layers[self._layer] if self._layer < len(self._cache.layers) else None
        if cached is None or cached.values is None or cached.values.shape[2] != before.shape[1]:
            raise self._unknown("it keeps no keys and values of its own for every token")
        heads = pattern.shape[0]
        values = cached.values[0].float()
        values = values.repeat_interleave(heads // len(values), dim=0)
        bias, output = self._output(values, weights)
        states = LayerStates(
            layer=self._layer,
            before=before[0].float(),
            middle=middle.float(),
            after=after[0].float(),
            pattern=pattern.float(),
            keys=cached.keys[0].float(),
            values=values,
            output=output,
            bias=bias,
            scale=scale,
            finish=self._finish,
            projection=self._project,
            queries=AttentionCall(self._attention, *self._question, pattern.float()).queries_at,
        )
        moved = torch.einsum("hqk,hkd,hdm->qm", states.pattern, values, output) + bias
        wanted = states.middle - states.before
        if not (moved * scale[:, None] - wanted).norm() <= _tolerance(before) * wanted.norm():
            raise self._unknown("what its attention adds is not the weighted sum of the values in its cache")
        return states

    def _added(
        self, before: torch.Tensor, attended: torch.Tensor, after: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return by what attention's output is multiplied, [position] and [d_model], and the sum, [position, d_model].

        The sum is what some part of the block reads, or what the output holds beside that of a part that runs beside.
        """
        near = _tolerance(before)
        scale, weights = torch.ones_like(attended[:, 0]).float(), torch.ones_like(attended[0]).float()
        added = attended
        parts = [(part, read[0], written[0]) for part, (read, written) in self._children.items() if len(read) == 1]
        parts = [part for part in parts if part[1].shape == part[2].shape == before.shape]
        for part, read, written in parts:
            if read.equal(attended) and not written.equal(attended):
                added = written
                weights = first_of(part(torch.ones_like(attended)[None, :1]))[0, 0].float()
                plain = attended.float() * weights
                scale = (written.float() * plain).sum(dim=-1) / (plain * plain).sum(dim=-1).clamp(min=1e-30)
        difference = added.float()
        for _, read, _ in parts:
            gain = read.float() - before.float()
            multiplier = (gain * difference).sum() / (difference * difference).sum().clamp(min=1e-30)
            if multiplier != 0 and (gain - multiplier * difference).norm() <= near * gain.norm():
                # A multiplier of 1 is not always found to the bit.
                multiplier = multiplier if (multiplier - 1).abs() > near else torch.ones_like(multiplier)
                return scale * multiplier, weights, read
        for _, _, written in parts:
            rest = after.float() - before.float() - difference
            if written is not before and (rest - written.float()).norm() <= near * rest.norm():
                return scale, weights, before + added
        raise self._unknown("what attention adds to its residual stream was not found")

    def _output(self, values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return bias, [d_model], and output matrix, [head, dimension, d_model], of the linear output projection."""
        heads, _, dimension = values.shape
        identity = torch.eye(heads * dimension, device=values.device)
        bias = self._project(torch.zeros_like(identity[:1]))[0]
        rows = torch.cat([self._project(part) for part in torch.split(identity, 256)]) - bias
        return bias * weights, (rows * weights).view(heads, dimension, -1)

    def _project(self, moved: torch.Tensor) -> torch.Tensor:
        """Return what the output projection makes of what heads move, [..., head * dimension] to [..., d_model]."""
        kind = next(self._projection.parameters()).dtype
        kind = kind if kind.is_floating_point else self._hidden().dtype
        flat = moved.reshape(1, -1, moved.shape[-1]).to(kind)
        projected: torch.Tensor = self._projection(flat)
        return projected[0].float().view(*moved.shape[:-1], -1)

    def _finish(self, attended: torch.Tensor) -> torch.Tensor:
        """Return the block's output if attention put out something else, [..., position, d_model]."""
        hidden = self._hidden()
        rows = attended.reshape(-1, *hidden.shape[1:]).to(hidden.dtype)
        put_out = (rows, *self._attended[1:]) if isinstance(self._attended, tuple) else rows
        arguments, named = self._call
        batch = hidden.expand(len(rows), -1, -1)
        if arguments:
            arguments = (batch, *arguments[1:])
        else:
            named = named | {"hidden_states": batch}
        # In the instance's own dictionary, where a call looks first: a wrapper may pass attributes on to what it wraps.
        attributes = vars(self._attention)
        own = attributes.get("forward")
        attributes["forward"] = lambda *_, **__: put_out
        try:
            finished = first_of(self._block(*arguments, **named))
        finally:
            if own is None:
                del attributes["forward"]
            else:
                attributes["forward"] = own
        whole: torch.Tensor = finished.float().view(attended.shape)
        return whole

    def _hidden(self) -> torch.Tensor:
        arguments, named = self._call
        hidden: torch.Tensor = arguments[0] if arguments else named["hidden_states"]
        return hidden

    def _unknown(self, why: str) -> UnsupportedError:
        return UnsupportedError(f"the states of layer {self._layer} do not add up in a way that is known here: {why}")


def parent_of(root: torch.nn.Module, wanted: torch.nn.Module) -> torch.nn.Module:
    """Return the module that has another among its children."""
    for module in root.modules():
        if any(child is wanted for child in module.children()):
            return module
    raise UnsupportedError(f"{type(wanted).__name__} is in no block of {type(root).__name__}")


def first_of(output: Any) -> Any:
    """Return what a module puts out, the first of several."""
    return output[0] if isinstance(output, tuple) else output


def _tolerance(tensor: torch.Tensor) -> float:
    return 3e-2 if tensor.dtype.itemsize == 2 else 1e-3
