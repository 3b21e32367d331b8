"""`TransformerLensScorer`: a causal language model inside a TransformerBridge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tokimp.errors import UnsupportedError
from tokimp.models.batching import out_of_memory
from tokimp.models.causal_lm import CausalLMScorer


class TransformerLensScorer(CausalLMScorer):
    """Reads attention at ``blocks.N.attn.hook_pattern``; embeddings are those of the module inside ``embed``.

    The bridge computes whole attention matrices in every forward pass (attention is "eager"), so memory grows with
    the square of the length; on a GPU and long chains the backend ``nnsight`` needs less. Parameters as of
    `tokimp.models.causal_lm.CausalLMScorer`.
    """

    backend = "transformer_lens"

    def _wrap(self, model: Any) -> None:
        from transformer_lens.model_bridge.sources import build_bridge_from_module  # noqa: PLC0415 - slow to import

        architecture = type(model).__name__
        try:
            # Without this, the fused attention of torch runs, which never forms the pattern that the hook shows.
            model.set_attn_implementation("eager")
            expected = self._trial(model, lambda ids: model(ids, use_cache=False).logits)
            self._bridge: Any = build_bridge_from_module(
                model, architecture, hf_config=model.config, model_name=self.model_id
            )
        except (ValueError, KeyError, AttributeError, NotImplementedError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UnsupportedError(
                f"TransformerLens cannot wrap {self.model_id} ({architecture}): {reason}; use backend='nnsight'"
            ) from error
        self._check_same_numbers(model, expected)

    def _trial(self, model: Any, forward: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        size = model.config.get_text_config(decoder=True).vocab_size
        with torch.no_grad():
            return forward(torch.arange(3, 11, device=self.device).remainder(size)[None]).float()

    def _check_same_numbers(self, model: Any, expected: torch.Tensor) -> None:
        """Refuse a model that the bridge's own attention and norms compute otherwise than transformers does."""
        remedy = f"{self.model_id} ({self.architecture}, {self.dtype}); use backend='nnsight' or dtype='float32'"
        try:
            found = self._trial(model, lambda ids: self._forward(ids, use_cache=False))
        # OLMo 2's norms leave half precision, say, and the next multiplication fails.
        except (RuntimeError, TypeError, ValueError) as error:
            if out_of_memory(error):
                raise
            raise UnsupportedError(f"TransformerLens wraps but cannot run {remedy} [{error}]") from error
        tolerance = 0.1 if model.dtype.itemsize == 2 else 1e-3
        if not bool((found - expected).norm() <= tolerance * expected.norm()):
            raise UnsupportedError(f"TransformerLens gives other logits than transformers for {remedy}")

    @property
    def _model(self) -> Any:
        return self._bridge.original_model

    @property
    def _attention_layers(self) -> frozenset[int]:
        blocks = getattr(self._bridge, "blocks", ())
        return frozenset(i for i, block in enumerate(blocks) if hasattr(getattr(block, "attn", None), "hook_pattern"))

    def _forward(self, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        logits: torch.Tensor = self._bridge(input_ids, return_type="logits", **inputs)
        return logits

    def _forward_attention(
        self, input_ids: torch.Tensor, layers: frozenset[int], visit: Callable[[int, torch.Tensor], None], **inputs: Any
    ) -> None:
        def show(pattern: torch.Tensor, hook: Any, layer: int) -> None:
            visit(layer, pattern)

        hooks = [(f"blocks.{layer}.attn.hook_pattern", partial(show, layer=layer)) for layer in sorted(layers)]
        with self._bridge.hooks(fwd_hooks=hooks):
            self._bridge(input_ids, return_type="logits", **inputs)

    def _forward_cut(self, input_ids: torch.Tensor, cut: torch.Tensor, **inputs: Any) -> torch.Tensor:
        def hide(scores: torch.Tensor, hook: Any) -> torch.Tensor:
            return scores.masked_fill(cut[:, None], torch.finfo(scores.dtype).min)

        hooks = [(f"blocks.{layer}.attn.hook_attn_scores", hide) for layer in sorted(self._attention_layers)]
        with self._bridge.hooks(fwd_hooks=hooks):
            return self._forward(input_ids, **inputs)

    def _forward_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], **inputs: Any
    ) -> torch.Tensor:
        def replace(module: torch.nn.Module, arguments: Any, embedded: torch.Tensor) -> torch.Tensor:
            return substitute(embedded)

        # Not ``embed.hook_out``: for some architectures (Granite) the bridge shows it multiplied by what the model
        # applies later, and other backends do not.
        handle = self._bridge.embed.original_component.register_forward_hook(replace)
        try:
            return self._forward(input_ids, **inputs)
        finally:
            handle.remove()

    def _output_projection(self, layer: int) -> torch.nn.Module:
        projection: torch.nn.Module = self._bridge.blocks[layer].attn.o
        return projection
