"""What is known of a loaded decoder by itself, read before a backend wraps it and may rename its parts."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Self

from tokimp.models.configuration import context_length
from tokimp.models.deletion.key_value_pool import can_share_prefix
from tokimp.models.fingerprint import model_fingerprint
from tokimp.models.forward_work import ModelSize, model_size
from tokimp.models.generation import take_end_tokens
from tokimp.models.loading import LoadedModel
from tokimp.models.trial import trial_ids
from tokimp.models.writing_manner import WritingManner, writing_manner


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a decoder's numbers depend on and what it can do, whatever runs it.

    Attributes
    ----------
    architecture
        Transformers' ``model_type``.
    context_length
        The longest sequence the model reads, in tokens; ``None`` where it names no limit.
    layers, parameters, vocabulary
        Numbers of layers, of weights (embeddings included), and of ids.
    end_tokens
        Ids that end a generated text.
    writing
        How it may write: with padding and a cache, or only without.
    takes_logits_to_keep
        Whether the model can be told to form the logits of the last positions only.
    shares_prefix
        Whether keys and values can be cut back to a prefix and continued from there.
    skips_queries
        Whether layers compute no other queries than those of the positions whose logits are asked for, as those that
        share keys and values with earlier layers do (Gemma 3n, Gemma 4).
    fingerprint
        Digest of configuration, weights and precision.
    size
        What decides how much the model computes for a position.
    """

    architecture: str
    context_length: int | None
    layers: int
    parameters: int
    vocabulary: int
    end_tokens: list[int]
    writing: WritingManner
    takes_logits_to_keep: bool
    shares_prefix: bool
    skips_queries: bool
    fingerprint: str
    size: ModelSize

    @classmethod
    def read(cls, loaded: LoadedModel) -> Self:
        """Return the facts of a model, and clear its own settings for generation, which nothing here uses."""
        model = loaded.model
        config, ids = model.config.get_text_config(decoder=True), trial_ids(model)
        end_tokens = take_end_tokens(model, loaded.tokenizer)
        with loaded.rotary.sequences_of(ids.shape[1]):
            shares_prefix = can_share_prefix(model, ids)
        return cls(
            architecture=config.model_type,
            context_length=context_length(config),
            layers=config.num_hidden_layers,
            parameters=model.num_parameters(),
            vocabulary=_vocabulary(model),
            end_tokens=end_tokens,
            writing=writing_manner(model, ids),
            takes_logits_to_keep="logits_to_keep" in inspect.signature(model.forward).parameters,
            shares_prefix=shares_prefix,
            skips_queries=bool(getattr(config, "num_kv_shared_layers", 0)),
            fingerprint=model_fingerprint(model),
            size=model_size(model),
        )


def _vocabulary(model: Any) -> int:
    """Return how many ids a model predicts; the shape of a quantised weight does not say it."""
    head = model.get_output_embeddings()
    return int(getattr(head, "out_features", None) or head.weight.shape[0])
