"""The configuration and the tokenizer of a model: what is known of it before its weights are read."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.checkpoint import check_layers
from tokimp.models.converted_gguf import converted_texts, in_place_of_gguf
from tokimp.models.source import check_hub_reach, check_weights, gguf_not_loaded, line, locate, not_loaded


def check_loadable(model: str, *, trust_remote_code: bool = False) -> None:
    """Check that a model can be loaded, as far as that shows before its weights are read.

    The model must exist, have the configuration of a decoder, and have weights and a tokenizer. For a hub id,
    configuration and tokenizer are downloaded into the hub's cache; for the weights, the hub is only asked whether
    there are any. Missing or damaged files of weights show only when they are loaded.

    Raises
    ------
    ScorerError
        If the model, its weights or its tokenizer are missing or cannot be read.
    UnsupportedError
        If the model is not a decoder.
    """
    source, extra = locate(model)
    source, loading = in_place_of_gguf(
        model, source, {"trust_remote_code": trust_remote_code, **extra}, converted_texts
    )
    read_configuration(model, source, loading)
    # A GGUF file is the weights.
    if "gguf_file" not in extra:
        check_weights(model, source)
    read_tokenizer(model, None, source, loading)


def load_tokenizer(model: str, *, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer of a model, without the model.

    Raises
    ------
    ScorerError
        If there is no such model, or its tokenizer cannot be loaded.
    """
    source, extra = locate(model)
    check_hub_reach(model)
    loading = {"trust_remote_code": trust_remote_code, **extra}
    return read_tokenizer(model, None, *in_place_of_gguf(model, source, loading, converted_texts))


def recorded_context_length(model: str, *, trust_remote_code: bool = False) -> int | None:
    """Return the longest sequence that a model takes, in tokens, as its configuration says; weights are not read.

    Raises
    ------
    ScorerError
        If there is no such model, or its configuration cannot be read.
    UnsupportedError
        If the model is not a decoder.
    """
    config = _recorded(model, trust_remote_code=trust_remote_code)
    return context_length(config.get_text_config(decoder=True))


def recorded_quantization(model: str, *, trust_remote_code: bool = False) -> str:
    """Return by which method the stored weights of a model are quantised; empty if they are plain.

    Raises
    ------
    ScorerError, UnsupportedError
        As of `recorded_context_length`.
    """
    stored = getattr(_recorded(model, trust_remote_code=trust_remote_code), "quantization_config", None)
    if not stored:
        return ""
    described = stored if isinstance(stored, dict) else stored.to_dict()
    # Only the first files of bitsandbytes name no method.
    method = described.get("quant_method", "bitsandbytes")
    return str(getattr(method, "value", method))


def _recorded(model: str, *, trust_remote_code: bool) -> Any:
    """Return the configuration of a model, of whatever kind it is."""
    source, extra = locate(model)
    loading = {"trust_remote_code": trust_remote_code, **extra}
    return read_configuration(model, *in_place_of_gguf(model, source, loading, converted_texts))


def context_length(config: Any) -> int | None:
    """Return the longest sequence that a model takes, in tokens; ``None`` if its configuration does not say."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            # Attention to the `index_topk` best positions lets later ones count among them, in transformers' own code.
            # As long as there are no more positions than that, attention is whole and causal.
            return min(value, getattr(config, "index_topk", None) or value)
    return None


def read_configuration(name: str, source: str, loading: dict[str, Any]) -> Any:
    """Return a model's configuration; raise as `recorded_context_length` does.

    Parameters
    ----------
    name
        The model as the user names it.
    source, loading
        Where it lies, and further arguments of ``from_pretrained``.
    """
    from transformers import AutoConfig  # noqa: PLC0415 - slow to import

    check_hub_reach(name)
    try:
        config = AutoConfig.from_pretrained(source, **loading)
    # Readers of model files and the hub's client raise errors of many kinds for a missing, broken or unreachable model.
    except Exception as error:
        raise load_error(name, source, loading, error) from error
    check_decoder_config(name, config)
    return config


def load_error(name: str, source: str, loading: dict[str, Any], error: Exception) -> ScorerError:
    """Return what a failure to read a model is told as.

    Parameters
    ----------
    name, source, loading
        As of `read_configuration`.
    error
        What the library raised.
    """
    return gguf_not_loaded(name, error) if "gguf_file" in loading else not_loaded(name, source, error)


def read_tokenizer(name: str, own_choice: Any, source: str, loading: dict[str, Any]) -> Any:
    """Return a model's tokenizer; raise `ScorerError` if it has none, or none that can be read.

    Parameters
    ----------
    name, source, loading
        As of `read_configuration`.
    own_choice
        Another tokenizer, or a name or folder to read one from, in place of the model's own.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415 - slow to import

    if own_choice is not None and not isinstance(own_choice, str | Path):
        return copy.deepcopy(own_choice)
    place, arguments = (source, loading) if own_choice is None else (str(own_choice), {})
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **arguments)
    # As for the configuration: each kind of tokenizer file raises errors of its own.
    except Exception as error:
        raise ScorerError(
            f"the model {name!r} has no tokenizer that can be loaded from {place!r}: {line(error)}; "
            + _tokenizer_advice(own_choice, place)
        ) from error
    # Where a folder has no tokenizer, transformers returns an empty one of the model's kind.
    if len(tokenizer) < 2:
        raise ScorerError(f"the model {name!r} has no tokenizer in {place!r}; {_tokenizer_advice(own_choice, place)}")
    return tokenizer


def _tokenizer_advice(own_choice: Any, place: str) -> str:
    """Return what to do where no tokenizer can be loaded; only Python, not a plan or command, takes another one."""
    if own_choice is not None:
        return "pass another one as tokenizer="
    if Path(place).is_dir():
        return "put its tokenizer's files into that folder (in Python, pass tokenizer=)"
    return "use a model that has one (in Python, pass tokenizer=)"


def check_decoder_config(name: str, config: Any) -> None:
    """Raise `UnsupportedError` if a configuration is not that of a decoder."""
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedError(
            f"{name} ({config.model_type}) is an encoder-decoder model; tokimp scores decoders, which read question, "
            "reasoning and answer as one sequence: use a causal language model"
        )
    check_layers(name, config)
