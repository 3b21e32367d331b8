"""`NNsightBackend`: a transformers decoder, read and changed inside nnsight's traces."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tokimp.models.backend import Backend
from tokimp.models.callable_digest import describe
from tokimp.models.knockout import cut_from_mask
from tokimp.models.loading import LoadedModel
from tokimp.models.placement import is_dispatched
from tokimp_nnsight.structure import attention_paths, module_path, output_projection


class NNsightBackend(Backend):
    """Reads attention at the attention modules' second output and embeddings at the token embedding's output.

    Works for every decoder of transformers. Attention is computed as the model was loaded (torch's fused kernels,
    where it has them). It is switched to "eager", which alone forms the weights, only while they are asked for.
    """

    otherwise = "use backend='transformer_lens', or "
    runs_the_plain_model = True

    def __init__(self, loaded: LoadedModel) -> None:
        from nnsight import TransformersModel  # noqa: PLC0415 - slow to import, and patches Tensor.backward

        super().__init__(loaded)
        model = self.model
        with _placed_for_pipeline(model, loaded.device) as device:
            # Inputs go to where accelerate takes them from. nnsight asks the first weight, which may be offloaded.
            own = {"device": torch.device(loaded.device)} if is_dispatched(model) else {}
            wrapper = type("TransformersModel", (TransformersModel,), own)
            self._envoy: Any = wrapper(model, task="text-generation", tokenizer=loaded.tokenizer, **device)
        self._embedding = self._envoy.get(module_path(model, model.get_input_embeddings()))
        self._attention_paths = attention_paths(model, model.config.get_text_config(decoder=True).num_hidden_layers)
        self.attention_layers = frozenset(self._attention_paths)

    @property
    def wrapper(self) -> Any:
        """The nnsight ``TransformersModel``."""
        return self._envoy

    def edits(self) -> list[Any]:
        """Return the blocks that ``edit(inplace=True)`` replays in every trace; see `Backend.edits`."""
        edits: list[Any] = self._envoy._edits
        return edits

    def describe_edits(self) -> list[Any]:
        """Return the source of each edit, and the values that it uses; see `Backend.describe_edits`."""
        described: list[Any] = []
        for edit in self.edits():
            used = {node.id for node in ast.walk(edit.node) if isinstance(node, ast.Name)}
            values = {name: describe(edit.lcls[name]) for name in sorted(used) if name in edit.lcls}
            described.append([ast.unparse(edit.node), values])
        return described

    def generate(self, **inputs: Any) -> torch.Tensor:
        """Return generated ids; see `Backend.generate`.

        nnsight replays an edit once in a run of ``generate``, at the first token. So each call of the model is made a
        run of its own, and every token is written by the edited model.
        """
        if not self.edits():
            return super().generate(**inputs)
        model, envoy, forward = self.model, self._envoy, self.model.forward
        inside = False

        @functools.wraps(forward)
        def edited(*arguments: Any, **named: Any) -> Any:
            nonlocal inside
            if inside:
                return forward(*arguments, **named)
            inside = True
            try:
                return envoy.interleave("__call__", *arguments, **named)
            finally:
                inside = False

        own = vars(model).get("forward")
        model.forward = edited
        try:
            return super().generate(**inputs)
        finally:
            if own is None:
                del model.forward
            else:
                model.forward = own

    def forward(self, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return the logits of ids; see `Backend.forward`."""
        with self._envoy.trace(input_ids=input_ids, **inputs):
            output = self._envoy.output.save()
        logits: torch.Tensor = output.logits
        return logits

    def forward_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], **inputs: Any
    ) -> torch.Tensor:
        """Return the logits when other embeddings are read; see `Backend.forward_embeddings`."""
        embedding = self._embedding
        with self._envoy.trace(input_ids=input_ids, **inputs):
            embedding.output = substitute(embedding.output)
            output = self._envoy.output.save()
        logits: torch.Tensor = output.logits
        return logits

    def forward_attention(
        self, input_ids: torch.Tensor, layers: frozenset[int], visit: Callable[[int, torch.Tensor], None], **inputs: Any
    ) -> torch.Tensor:
        """Show the attention weights of some layers; see `Backend.forward_attention`."""
        # Modules are read in the order in which they run.
        attention = [(layer, self._envoy.get(self._attention_paths[layer])) for layer in sorted(layers)]
        with self._eager_attention(), self._envoy.trace(input_ids=input_ids, **inputs):
            for layer, module in attention:
                visit(layer, module.output[1])
            output = self._envoy.output.save()
        logits: torch.Tensor = output.logits
        return logits

    def attention_module(self, layer: int) -> torch.nn.Module:
        """Return the attention module of a layer."""
        module: torch.nn.Module = self.model.get_submodule(self._attention_paths[layer])
        return module

    def output_projection(self, layer: int) -> torch.nn.Module:
        """Return the module that maps a layer's concatenated heads to the residual stream."""
        return output_projection(self.attention_module(layer))

    def forward_cut(self, input_ids: torch.Tensor, cut: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return the logits without some of the attention; see `Backend.forward_cut`."""
        attention = [self._envoy.get(path) for _, path in sorted(self._attention_paths.items())]
        with self._envoy.trace(input_ids=input_ids, **inputs):
            for module in attention:
                arguments, named = module.inputs
                # The mask that the model made for this layer: causal, with the window where it has one.
                module.inputs = (arguments, named | {"attention_mask": cut_from_mask(named["attention_mask"], cut)})
            output = self._envoy.output.save()
        logits: torch.Tensor = output.logits
        return logits

    @contextmanager
    def _eager_attention(self) -> Iterator[None]:
        loaded_as = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.model.set_attn_implementation(loaded_as)


@contextmanager
def _placed_for_pipeline(model: Any, device: str) -> Iterator[dict[str, str]]:
    """Let transformers' pipeline, which nnsight makes, leave a model where it is; yield the arguments it needs.

    Without a device, it would move the model to the first GPU that it finds. A model that accelerate has placed takes
    no device, but the first place in its map is then taken for one, which ``disk`` is not.
    """
    places = getattr(model, "hf_device_map", None)
    if places is None:
        yield {"device": device}
        return
    model.hf_device_map = {"": device}
    try:
        yield {}
    finally:
        model.hf_device_map = places
