"""Count the arithmetic of forward passes, from the sizes of a decoder and from what passed through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Sizes of a decoder that decide how much it computes for a token position.

    Attributes
    ----------
    parameters
        Parameters that are used at every position: all but the embeddings and the projection onto the vocabulary. In
        a mixture of experts, only the share of the experts that a position is sent to counts.
    projection
        Parameters of the projection onto the vocabulary, which is computed for scored positions only.
    attention_width
        Number of heads times their dimension, summed over layers.
    cache_bytes
        Bytes of keys and values for each position that is kept.
    hidden, intermediate
        Width of the residual stream, and of the inner layer of the MLP.
    """

    parameters: int
    projection: int
    attention_width: int
    cache_bytes: int
    hidden: int
    intermediate: int


def model_size(model: Any) -> ModelSize:
    """Return the sizes of a transformers decoder."""
    config = model.config.get_text_config(decoder=True)
    layers = _layer_configs(config)
    widths = [_widths(layer) for layer in layers]
    output = model.get_output_embeddings().weight
    not_counted = {id(output)} | {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    share = config.num_experts_per_tok / experts if experts else 1.0
    used = sum(
        parameter.numel() * (share if ".experts." in name else 1.0)
        for name, parameter in model.named_parameters()
        if id(parameter) not in not_counted
    )
    inner = getattr(layers[0], "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * config.hidden_size
    return ModelSize(
        parameters=round(used),
        projection=output.numel(),
        attention_width=sum(queries for queries, _ in widths),
        cache_bytes=2 * sum(keys for _, keys in widths) * model.dtype.itemsize,
        hidden=config.hidden_size,
        intermediate=int(inner[0] if isinstance(inner, list | tuple) else inner),
    )


def _layer_configs(config: Any) -> list[Any]:
    """Return the configuration of each layer; in some models (Gemma 4) sizes vary from layer to layer."""
    count: int = config.num_hidden_layers
    return [config.per_layer_config[layer] for layer in range(count)] if _varies(config) else [config] * count


def _varies(config: Any) -> bool:
    return bool(getattr(config, "is_heterogeneous", False))


def _widths(config: Any) -> tuple[int, int]:
    """Return the widths of a layer's queries and of its keys, over all heads; a recurrent model has no heads."""
    heads: int = getattr(config, "num_attention_heads", 0) or 0
    head_width = getattr(config, "head_dim", None) or (config.hidden_size // heads if heads else 0)
    return heads * head_width, (getattr(config, "num_key_value_heads", None) or heads) * head_width


@dataclass(slots=True)
class ForwardWork:
    """Counts of what passed through a decoder in forward passes.

    Attributes
    ----------
    calls
        Calls of the model.
    positions
        Token positions that were read.
    scored
        Positions whose prediction was computed over the whole vocabulary.
    pairs
        Pairs of a position that was read and a position that it attends to, itself included. These are the pairs that
        causal attention needs; an implementation that forms whole matrices computes more.
    """

    calls: int = 0
    positions: int = 0
    scored: int = 0
    pairs: int = 0

    def add(self, rows: int, length: int, past: int, scored: int) -> None:
        """Count one call.

        Parameters
        ----------
        rows, length
            Shape of the batch: rows, and token positions of each.
        past
            Stored positions before each row.
        scored
            How many of the last positions of each row are projected onto the vocabulary.
        """
        self.calls += 1
        self.positions += rows * length
        self.scored += rows * scored
        self.pairs += rows * (length * past + length * (length + 1) // 2)

    def add_pack(self, positions: int, pairs: int, scored: int) -> None:
        """Count one call that read a pack."""
        self.calls += 1
        self.positions += positions
        self.scored += scored
        self.pairs += pairs

    def operations(self, size: ModelSize) -> int:
        """Return the number of additions and multiplications (FLOP).

        They are two for each parameter at each position, and four for each pair and unit of attention width.

        Examples
        --------
        >>> work = ForwardWork()
        >>> work.add(rows=2, length=3, past=1, scored=1)
        >>> size = ModelSize(10, 100, attention_width=5, cache_bytes=0, hidden=0, intermediate=0)
        >>> work.pairs, work.operations(size) == 2 * 10 * 6 + 2 * 100 * 2 + 4 * 5 * 18
        (18, True)
        """
        dense = size.parameters * self.positions + size.projection * self.scored
        return 2 * dense + 4 * size.attention_width * self.pairs
