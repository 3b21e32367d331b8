"""`NNsightScorer`: a causal language model read and changed inside nnsight's traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.knockout import cut_from_mask
from tokimp_nnsight.structure import attention_paths, module_path, output_projection


class NNsightScorer(CausalLMScorer):
    """Reads attention at the attention modules' second output and embeddings at the token embedding's output.

    Works for every decoder of transformers. Attention is computed as the model was loaded (torch's fused kernels,
    where it has them) and switched to "eager", which alone forms the weights, only while they are asked for.
    Parameters as of `tokimp.models.causal_lm.CausalLMScorer`.
    """

    backend = "nnsight"

    def _wrap(self, model: Any) -> None:
        from nnsight import TransformersModel  # noqa: PLC0415 - slow to import, and patches Tensor.backward

        self._hf: Any = model
        self._envoy: Any = TransformersModel(model, task="text-generation", tokenizer=self.tokenizer)
        self._embedding = self._envoy.get(module_path(model, model.get_input_embeddings()))
        self._attention_paths = attention_paths(model, self._layer_count)

    @property
    def _model(self) -> Any:
        return self._hf

    @property
    def _attention_layers(self) -> frozenset[int]:
        return frozenset(self._attention_paths)

    def _forward(self, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        with self._envoy.trace(input_ids=input_ids, **inputs):
            output = self._envoy.output.save()
        logits: torch.Tensor = output.logits
        return logits

    def _forward_attention(
        self, input_ids: torch.Tensor, layers: frozenset[int], visit: Callable[[int, torch.Tensor], None], **inputs: Any
    ) -> None:
        # Modules are read in the order in which they run.
        attention = [(layer, self._envoy.get(self._attention_paths[layer])) for layer in sorted(layers)]
        with self._eager_attention(), self._envoy.trace(input_ids=input_ids, **inputs):
            for layer, module in attention:
                visit(layer, module.output[1])

    def _forward_cut(self, input_ids: torch.Tensor, cut: torch.Tensor, **inputs: Any) -> torch.Tensor:
        attention = [self._envoy.get(path) for _, path in sorted(self._attention_paths.items())]
        with self._envoy.trace(input_ids=input_ids, **inputs):
            for module in attention:
                arguments, named = module.inputs
                # The mask that the model made for this layer: causal, with the window where it has one.
                module.inputs = (arguments, named | {"attention_mask": cut_from_mask(named["attention_mask"], cut)})
            output = self._envoy.output.save()
        logits: torch.Tensor = output.logits
        return logits

    def _forward_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], **inputs: Any
    ) -> torch.Tensor:
        embedding = self._embedding
        with self._envoy.trace(input_ids=input_ids, **inputs):
            embedding.output = substitute(embedding.output)
            output = self._envoy.output.save()
        logits: torch.Tensor = output.logits
        return logits

    def _output_projection(self, layer: int) -> torch.nn.Module:
        return output_projection(self._hf.get_submodule(self._attention_paths[layer]))

    @contextmanager
    def _eager_attention(self) -> Iterator[None]:
        before = self._hf.config._attn_implementation
        self._hf.set_attn_implementation("eager")
        try:
            yield
        finally:
            self._hf.set_attn_implementation(before)
