"""`NNsightBackend`: a transformers decoder, read and changed inside nnsight's traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tokimp.models.backend import Backend
from tokimp.models.knockout import cut_from_mask
from tokimp.models.loading import LoadedModel
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
        # Without a device, transformers' pipeline, which nnsight makes, moves the model to the first GPU that it finds.
        self._envoy: Any = TransformersModel(
            model, task="text-generation", tokenizer=loaded.tokenizer, device=loaded.device
        )
        self._embedding = self._envoy.get(module_path(model, model.get_input_embeddings()))
        self._attention_paths = attention_paths(model, model.config.get_text_config(decoder=True).num_hidden_layers)
        self.attention_layers = frozenset(self._attention_paths)

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
    ) -> None:
        """Show the attention weights of some layers; see `Backend.forward_attention`."""
        # Modules are read in the order in which they run.
        attention = [(layer, self._envoy.get(self._attention_paths[layer])) for layer in sorted(layers)]
        with self._eager_attention(), self._envoy.trace(input_ids=input_ids, **inputs):
            for layer, module in attention:
                visit(layer, module.output[1])

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
