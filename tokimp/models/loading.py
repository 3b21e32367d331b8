"""From a name, a folder, a file or an object to a causal language model and its tokenizer; `load_scorer`."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tokimp.contracts.registry import load
from tokimp.contracts.scorer import Scorer
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.source import check_weights, line, locate, not_loaded


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A decoder on its device, in its precision, with nothing to be trained.

    Attributes
    ----------
    model, tokenizer
        Transformers' objects; they belong to the scorer alone, which may change them.
    model_id
        What the model is called in results.
    device, dtype
        As stored in results: ``cuda``, ``float32``.
    """

    model: Any
    tokenizer: Any
    model_id: str
    device: str
    dtype: str


def load_scorer(
    model: Any,
    backend: str = "transformer_lens",
    *,
    device: str = "auto",
    dtype: str = "auto",
    tokenizer: Any = None,
    **options: Any,
) -> Scorer:
    """Load a model and return its scorer.

    Parameters
    ----------
    model
        A hub id, a folder, a GGUF file (or a folder with one), a transformers model object, or ``"tiny"``, the model
        that comes with tokimp. An object is copied, memory included, since a backend changes the model it wraps.
    backend
        Name of a scorer: ``transformer_lens``, ``nnsight``, another package's, or ``module:Class``.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` takes the first there is of CUDA, MPS and CPU, and leaves a
        model object where it is.
    dtype
        ``float32``, ``bfloat16``, ``float16``; ``auto`` means float32 on a CPU and the checkpoint's own elsewhere.
    tokenizer
        A tokenizer object, or where to load one from; needed with a model object, else the model's own by default.
    **options
        Further parameters of the scorer's class.

    Raises
    ------
    PluginError
        If there is no such backend, or it is no scorer.
    ScorerError
        If the model or its tokenizer cannot be loaded.
    UnsupportedError
        If the model is not a decoder, or the backend does not know its architecture.
    """
    scorer_class = load("scorers", backend)
    try:
        scorer: Scorer = scorer_class(model, device=device, dtype=dtype, tokenizer=tokenizer, **options)
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise ScorerError(f"the scorer {backend!r} does not take these options: {error}") from error
    return scorer


def load_model(
    model: Any,
    *,
    device: str = "auto",
    dtype: str = "auto",
    tokenizer: Any = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load a decoder and its tokenizer; parameters and errors as for `load_scorer`.

    `trust_remote_code` allows a hub repository to run its own Python code here; tokimp never turns it on by itself.
    """
    if isinstance(model, torch.nn.Module):
        return _from_object(model, device, dtype, tokenizer)
    if not isinstance(model, str | Path):
        raise ScorerError(f"a model is a name, a path or a transformers model object, not a {type(model).__name__}")
    place = resolve_device(device)
    name, source, extra = str(model), *locate(str(model))
    loading = {"trust_remote_code": trust_remote_code, **extra}
    loaded = _load_pretrained(name, source, place, dtype, loading)
    loaded_tokenizer = _tokenizer(name, tokenizer, source, loading)
    return _finished(loaded.to(place), loaded_tokenizer, name, place)


def check_model(model: str, *, trust_remote_code: bool = False) -> None:
    """Raise what `load_model` would raise of a model, as far as that shows before its weights are read.

    It must be there, be a decoder by its configuration, and have weights and a tokenizer. Of a hub id, configuration
    and tokenizer are fetched, and kept where the hub's client keeps them; of weights it is asked only whether there
    are any. That some of their files are missing or damaged shows only when they are read.

    Raises
    ------
    ScorerError, UnsupportedError
        As of `load_model`.
    """
    source, extra = locate(model)
    loading = {"trust_remote_code": trust_remote_code, **extra}
    _configuration(model, source, loading)
    # A GGUF file is the weights.
    if "gguf_file" not in extra:
        check_weights(model, source)
    _tokenizer(model, None, source, loading)


def load_tokenizer(model: str, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer of a model that `load_scorer` would load, without the model.

    Raises
    ------
    ScorerError
        If it cannot be loaded.
    """
    source, extra = locate(model)
    return _tokenizer(model, None, source, {"trust_remote_code": trust_remote_code, **extra})


def resolve_device(device: str) -> str:
    """Return `device`, or for ``auto`` the first there is of CUDA, MPS and CPU."""
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ScorerError(f"there is no device {device!r}; use auto, cpu, cuda, cuda:1 or mps") from error
    missing = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if missing.get(kind, False):
        raise ScorerError(f"the device {device!r} was asked for, but torch finds none here; use device='auto' or 'cpu'")
    return device


def resolve_dtype(dtype: str, device: str) -> torch.dtype | None:
    """Return the precision; ``None`` where ``auto`` leaves it to the checkpoint (on anything but a CPU)."""
    if dtype == "auto":
        return torch.float32 if torch.device(device).type == "cpu" else None
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
    if dtype not in known:
        raise ScorerError(f"there is no dtype {dtype!r}; use auto, {', '.join(known)}")
    return known[dtype]


def context_length(config: Any) -> int | None:
    """Return the longest sequence that a model takes, in tokens, by its configuration; ``None`` where it names none."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _configuration(name: str, source: str, loading: dict[str, Any]) -> Any:
    """Return the configuration of a decoder."""
    from transformers import AutoConfig  # noqa: PLC0415 - slow to import

    try:
        config = AutoConfig.from_pretrained(source, **loading)
    # A missing, broken or unreachable model shows in whatever the reader of its format, or the hub's client, raises.
    except Exception as error:
        raise not_loaded(name, source, error) from error
    _check_decoder_config(name, config)
    return config


def _load_pretrained(name: str, source: str, device: str, dtype: str, loading: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - slow to import

    precision = resolve_dtype(dtype, device)
    _configuration(name, source, loading)
    try:
        return AutoModelForCausalLM.from_pretrained(source, dtype="auto" if precision is None else precision, **loading)
    # As with its configuration.
    except Exception as error:
        raise not_loaded(name, source, error) from error


def _tokenizer(name: str, given: Any, source: str, loading: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer  # noqa: PLC0415 - slow to import

    if given is not None and not isinstance(given, str | Path):
        return copy.deepcopy(given)
    place, arguments = (source, loading) if given is None else (str(given), {})
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **arguments)
    # As with a model: every kind of tokenizer file fails in its own way.
    except Exception as error:
        raise ScorerError(
            f"the model {name!r} has no tokenizer that can be loaded from {place!r}: {line(error)}; "
            + _tokenizer_advice(given, place)
        ) from error
    # For a folder without one, transformers makes an empty tokenizer of the model's kind.
    if len(tokenizer) < 2:
        raise ScorerError(f"the model {name!r} has no tokenizer in {place!r}; {_tokenizer_advice(given, place)}")
    return tokenizer


def _tokenizer_advice(given: Any, place: str) -> str:
    """Return what to do where no tokenizer can be loaded; plans and commands take none beside a model."""
    if given is not None:
        return "pass another one as tokenizer="
    if Path(place).is_dir():
        return "put its tokenizer's files into that folder (in Python, pass tokenizer=)"
    return "use a model that has one (in Python, pass tokenizer=)"


def _from_object(model: Any, device: str, dtype: str, tokenizer: Any) -> LoadedModel:
    name = getattr(getattr(model, "config", None), "_name_or_path", "") or type(model).__name__
    if not hasattr(model, "config") or not hasattr(model, "generate"):
        raise ScorerError(f"{type(model).__name__} is not a transformers model; pass an AutoModelForCausalLM")
    if tokenizer is None:
        raise ScorerError(f"a model object ({name}) comes without a tokenizer; pass tokenizer=")
    _check_decoder_config(name, model.config)
    place = str(model.device) if device == "auto" else resolve_device(device)
    own = copy.deepcopy(model).to(place)
    precision = resolve_dtype(dtype, place)
    if precision is not None:
        # Weights alone: rotary frequencies and the like stay as precise as transformers keeps them.
        for parameter in own.parameters():
            parameter.data = parameter.data.to(precision)
    return _finished(own, _tokenizer(name, tokenizer, name, {}), name, place)


def _finished(model: Any, tokenizer: Any, name: str, device: str) -> LoadedModel:
    model.eval().requires_grad_(requires_grad=False)
    with torch.no_grad():
        _check_causal(name, model, device)
    return LoadedModel(model, tokenizer, name, device, str(model.dtype).removeprefix("torch."))


def _check_decoder_config(name: str, config: Any) -> None:
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedError(
            f"{name} ({config.model_type}) is an encoder-decoder model; tokimp scores decoders, which read question, "
            "reasoning and answer as one sequence: use a causal language model"
        )


def _check_causal(name: str, model: Any, device: str) -> None:
    """Refuse a model whose earlier predictions depend on later tokens: an encoder behind a language-model head."""
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(5, 9, device=device).remainder(size)[None]
    other = ids.clone()
    other[0, -1] = (ids[0, -1] + 1) % size
    first, second = (model(version, use_cache=False).logits[0, :-1].float() for version in (ids, other))
    if not torch.allclose(first, second, rtol=1e-2, atol=1e-2):
        raise UnsupportedError(
            f"{name} ({model.config.model_type}) is not causal: what it predicts depends on later tokens, as in an "
            "encoder; use a causal language model"
        )
