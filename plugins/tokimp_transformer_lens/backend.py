"""`TransformerLensBackend`: a transformers decoder inside a TransformerBridge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tokimp.errors import UnsupportedError
from tokimp.models.backend import Backend
from tokimp.models.batching import out_of_memory
from tokimp.models.knockout import spared
from tokimp.models.loading import LoadedModel
from tokimp.models.trial import differ, trial_ids


class TransformerLensBackend(Backend):
    """Reads attention at ``blocks.N.attn.hook_pattern``; embeddings are those of the module inside ``embed``.

    The bridge computes whole attention matrices in every forward pass (attention is "eager").
    """

    otherwise = "use backend='nnsight', or "
    runs_the_plain_model = True
    attention_implementation = "eager"

    def __init__(self, loaded: LoadedModel) -> None:
        from transformer_lens.model_bridge.sources import build_bridge_from_module  # noqa: PLC0415 - slow to import

        super().__init__(loaded)
        model, architecture = self.model, type(self.model).__name__
        try:
            # Without this, the fused attention of torch runs, which never forms the pattern that the hook shows.
            model.set_attn_implementation("eager")
            expected = self._trial(loaded, lambda ids: model(ids, use_cache=False).logits)
            self._bridge: Any = build_bridge_from_module(
                model, architecture, hf_config=model.config, model_name=loaded.model_id
            )
        # Adapters of architectures that few use fail with errors of many kinds, a missing library among them.
        except Exception as error:
            if out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:200]
            raise UnsupportedError(
                f"TransformerLens cannot wrap {loaded.model_id} ({architecture}): {reason}; use backend='nnsight'"
            ) from error
        self.model = self._bridge.original_model
        self._check_same_numbers(loaded, expected)
        self.attention_layers = frozenset(
            index
            for index, block in enumerate(getattr(self._bridge, "blocks", ()))
            if hasattr(getattr(block, "attn", None), "hook_pattern")
        )

    @staticmethod
    def _trial(loaded: LoadedModel, forward: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        ids = trial_ids(loaded.model)
        with torch.no_grad():
            return forward(torch.cat([ids, ids.flip(1)])).float()

    def _check_same_numbers(self, loaded: LoadedModel, expected: torch.Tensor) -> None:
        """Refuse a model for which the bridge's own attention and norms give other logits than transformers."""
        architecture = loaded.model.config.get_text_config(decoder=True).model_type
        remedy = f"{loaded.model_id} ({architecture}, {loaded.dtype}); use backend='nnsight' or dtype='float32'"
        try:
            logits = self._trial(loaded, lambda ids: self.forward(ids, use_cache=False))
        # OLMo 2's norms leave half precision, for example, and the next multiplication fails.
        except Exception as error:
            if out_of_memory(error):
                raise
            raise UnsupportedError(f"TransformerLens wraps but cannot run {remedy} [{error}]") from error
        if differ(logits, expected, loaded.model.dtype.itemsize):
            raise UnsupportedError(f"TransformerLens gives other logits than transformers for {remedy}")

    @property
    def wrapper(self) -> Any:
        """The TransformerBridge."""
        return self._bridge

    @property
    def root(self) -> torch.nn.Module:
        """The bridge, whose hook points are modules of it."""
        root: torch.nn.Module = self._bridge
        return root

    def forward(self, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return the logits of ids; see `Backend.forward`."""
        logits: torch.Tensor = self._bridge(input_ids, return_type="logits", **inputs)
        return logits

    def forward_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], **inputs: Any
    ) -> torch.Tensor:
        """Return the logits when other embeddings are read; see `Backend.forward_embeddings`."""

        def replace(module: torch.nn.Module, arguments: Any, embedded: torch.Tensor) -> torch.Tensor:
            return substitute(embedded)

        # Not ``embed.hook_out``: for some architectures (Granite) the bridge shows it multiplied by what the model
        # applies later, and other backends do not.
        with self._bridge.embed.original_component.register_forward_hook(replace):
            return self.forward(input_ids, **inputs)

    def forward_attention(
        self, input_ids: torch.Tensor, layers: frozenset[int], visit: Callable[[int, torch.Tensor], None], **inputs: Any
    ) -> torch.Tensor:
        """Show the attention weights of some layers; see `Backend.forward_attention`."""

        def show(pattern: torch.Tensor, hook: Any, layer: int) -> None:
            visit(layer, pattern)

        hooks = [(f"blocks.{layer}.attn.hook_pattern", partial(show, layer=layer)) for layer in sorted(layers)]
        with self._bridge.hooks(fwd_hooks=hooks):
            logits: torch.Tensor = self._bridge(input_ids, return_type="logits", **inputs)
        return logits

    def attention_module(self, layer: int) -> torch.nn.Module:
        """Return the attention module of a layer."""
        module: torch.nn.Module = self._bridge.blocks[layer].attn
        return module

    def output_projection(self, layer: int) -> torch.nn.Module:
        """Return the module that maps a layer's concatenated heads to the residual stream."""
        projection: torch.nn.Module = self._bridge.blocks[layer].attn.o
        return projection

    def forward_cut(self, input_ids: torch.Tensor, cut: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return the logits without some of the attention; see `Backend.forward_cut`."""

        def hide(scores: torch.Tensor, hook: Any) -> torch.Tensor:
            least = torch.finfo(scores.dtype).min
            return scores.masked_fill(spared(scores > least / 2, cut[:, None]), least)

        hooks = [(f"blocks.{layer}.attn.hook_attn_scores", hide) for layer in sorted(self.attention_layers)]
        with self._bridge.hooks(fwd_hooks=hooks):
            return self.forward(input_ids, **inputs)
