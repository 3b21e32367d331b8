"""Load a causal language model and its tokenizer from a hub id, a folder, a GGUF file or a model object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tokimp.contracts.registry import load
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe, recipe_of
from tokimp.errors import ScorerError
from tokimp.models.buffers import convert
from tokimp.models.checkpoint import check_complete
from tokimp.models.configuration import check_decoder_config, load_error, read_configuration, read_tokenizer
from tokimp.models.converted_gguf import converted_texts, converted_weights, in_place_of_gguf
from tokimp.models.device import resolve_device, resolve_dtype
from tokimp.models.packs.sharing_copy import detached_copy
from tokimp.models.placement import input_device, is_dispatched, main_device, read_device_map
from tokimp.models.quantization import describe_quantization, read_quantization
from tokimp.models.random_weights import RandomWeights, randomize
from tokimp.models.rotary_switch import RotarySwitch
from tokimp.models.source import locate
from tokimp.models.trial import check_predictions, trial_ids


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A decoder on its device, in its precision, in evaluation mode and with gradients of its weights turned off.

    Attributes
    ----------
    model, tokenizer
        The objects of transformers. They belong to the scorer alone, which may change them.
    model_id
        The name of the model in results.
    device, dtype
        As results store them, such as ``cuda`` and ``float32``.
    rotary
        Lets each sequence be read with the rotary factors of its own length.
    settings
        What else it was loaded with, as results store it: ``device_map``, ``quantization`` and ``random_weights``,
        where they were given.
    """

    model: Any
    tokenizer: Any
    model_id: str
    device: str
    dtype: str
    rotary: RotarySwitch
    settings: Mapping[str, Any] = field(default_factory=dict)


def load_scorer(
    model: Any,
    backend: str = "transformer_lens",
    *,
    device: str = "auto",
    dtype: str = "auto",
    tokenizer: Any = None,
    device_map: str | Path | Mapping[str, Any] | None = None,
    offload_folder: str | Path | None = None,
    quantization: Any = None,
    random_weights: str | RandomWeights | None = None,
    **options: Any,
) -> Scorer:
    """Load a model and return its scorer.

    Parameters
    ----------
    model
        A hub id, a folder, a GGUF file (or a folder with one), a transformers model object, or ``"tiny"``, the model
        that comes with tokimp. The modules of a model object are copied, because a backend changes what it wraps; its
        weights are shared, so that they take no more memory, and changing their numbers in place changes the scorer.
    backend
        Name of a scorer: ``transformer_lens``, ``nnsight``, one from another package, or ``module:Class``.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``. ``auto`` takes the first that is available of CUDA, MPS and CPU, and
        leaves a model object where it is.
    dtype
        ``float32``, ``bfloat16``, ``float16``, ``float64``. ``auto`` means float32 on a CPU, and the precision of the
        checkpoint elsewhere.
    tokenizer
        A tokenizer object, or a name or folder to load one from. By default the model's own; a model object has none.
    device_map
        For a model that one device cannot hold: where its parts go (`tokimp.models.placement.read_device_map`), in
        place of `device`. What is mapped to ``cpu`` beside a GPU, or to ``disk``, is fetched whenever it runs.
    offload_folder
        Where weights on ``disk`` are kept, if they cannot be read from the checkpoint itself.
    quantization
        How weights are quantised as they are loaded (`tokimp.models.quantization.read_quantization`). A checkpoint that
        is quantised already needs none.
    random_weights
        Which weights to replace by random numbers (`tokimp.models.random_weights.randomize`), for a control of methods:
        ``head``, ``head+2`` (the head and the two uppermost blocks) or ``all``, and ``all:seed=1`` for other numbers.
    **options
        Further parameters of the scorer's class.

    Raises
    ------
    PluginError
        If there is no such backend, or it is not a scorer.
    ScorerError
        If the model or its tokenizer cannot be loaded, or the scorer does not take the options.
    UnsupportedError
        If the model is not a decoder, or the backend does not know its architecture or cannot run what a device map
        spreads.
    """
    # Scorers of other packages need not know these four.
    placed = {"device_map": device_map, "offload_folder": offload_folder, "quantization": quantization}
    placed["random_weights"] = None if random_weights is None else str(RandomWeights.read(random_weights))
    options |= {name: value for name, value in placed.items() if value is not None}
    scorer_class = load("scorers", backend)
    try:
        scorer: Scorer = scorer_class(model, device=device, dtype=dtype, tokenizer=tokenizer, **options)
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise ScorerError(f"the scorer {backend!r} does not take these options: {error}") from error
    scorer.recipe = recipe_of(model, backend, device=device, dtype=dtype, tokenizer=tokenizer, options=options)
    return scorer


def load_recipe(recipe: ScorerRecipe) -> Scorer:
    """Load the scorer that a recipe describes; see `load_scorer` for what is raised."""
    return load_scorer(
        recipe.model,
        recipe.backend,
        device=recipe.device,
        dtype=recipe.dtype,
        tokenizer=recipe.tokenizer,
        **recipe.options,
    )


def load_model(
    model: Any,
    *,
    device: str = "auto",
    dtype: str = "auto",
    tokenizer: Any = None,
    trust_remote_code: bool = False,
    device_map: str | Path | Mapping[str, Any] | None = None,
    offload_folder: str | Path | None = None,
    quantization: Any = None,
    random_weights: str | RandomWeights | None = None,
) -> LoadedModel:
    """Load a decoder and its tokenizer.

    Parameters
    ----------
    model, device, dtype, tokenizer, device_map, offload_folder, quantization, random_weights
        As for `load_scorer`.
    trust_remote_code
        Whether a hub repository may run its own Python code here. tokimp never turns this on by itself.

    Raises
    ------
    ScorerError
        If the model or its tokenizer cannot be loaded, or the device or precision is not available.
    UnsupportedError
        If the model is not a decoder.
    """
    replaced = None if random_weights is None else RandomWeights.read(random_weights)
    if isinstance(model, torch.nn.Module):
        if device_map is not None or quantization is not None:
            raise ScorerError(
                "a model object is loaded already, so neither device_map nor quantization changes it; give its name or "
                "folder, or hand both to transformers' from_pretrained, which made the object"
            )
        return _from_object(model, device, dtype, tokenizer, replaced)
    if not isinstance(model, str | Path):
        raise ScorerError(f"a model is a name, a path or a transformers model object, not a {type(model).__name__}")
    place, placed, settings = _placed(device, device_map, offload_folder)
    if quantization is not None:
        placed["quantization_config"] = read_quantization(quantization)
        settings["quantization"] = describe_quantization(placed["quantization_config"])
    name, source, extra = str(model), *locate(str(model))
    loading = {"trust_remote_code": trust_remote_code, **extra}
    precision = resolve_dtype(dtype, place)
    weights = in_place_of_gguf(name, source, loading, partial(converted_weights, precision=precision))
    loaded = _load_pretrained(name, *weights, precision, placed)
    loaded_tokenizer = read_tokenizer(name, tokenizer, *in_place_of_gguf(name, source, loading, converted_texts))
    return _finished(loaded, loaded_tokenizer, name, place, settings, replaced=replaced)


def _placed(
    device: str, device_map: str | Path | Mapping[str, Any] | None, offload_folder: str | Path | None
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return where ids go, what puts a model there (arguments of ``from_pretrained``), and what results store of it."""
    if device_map is None:
        place = resolve_device(device)
        # Weights go from the file to the device, and not through the memory of the CPU.
        return place, {} if torch.device(place).type == "cpu" else {"device_map": {"": place}}, {}
    if device != "auto":
        raise ScorerError(
            f"device={device!r} and a device map were given, and the map says where everything goes; leave one out"
        )
    read = read_device_map(device_map)
    folder = {} if offload_folder is None else {"offload_folder": str(Path(offload_folder).expanduser())}
    return main_device(read), {"device_map": read, **folder}, {"device_map": read}


def _load_pretrained(
    name: str, source: str, loading: dict[str, Any], precision: torch.dtype | None, placed: dict[str, Any]
) -> Any:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - slow to import

    config = read_configuration(name, source, loading)
    if "quantization_config" in placed and getattr(config, "quantization_config", None) is not None:
        raise ScorerError(f"the checkpoint {name!r} is quantised already; leave the quantization out")
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype="auto" if precision is None else precision,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # the report names them; the error would not
            **loading,
            **placed,
        )
    # As for the configuration.
    except Exception as error:
        raise load_error(name, source, loading, error) from error
    model, report = loaded  # a pair, with output_loading_info
    check_complete(name, model.config, report)
    return model


def _from_object(model: Any, device: str, dtype: str, tokenizer: Any, replaced: RandomWeights | None) -> LoadedModel:
    name = getattr(getattr(model, "config", None), "_name_or_path", "") or type(model).__name__
    if not hasattr(model, "config") or not hasattr(model, "generate"):
        raise ScorerError(f"{type(model).__name__} is not a transformers model; pass an AutoModelForCausalLM")
    if tokenizer is None:
        raise ScorerError(f"a model object ({name}) comes without a tokenizer; pass tokenizer=")
    check_decoder_config(name, model.config)
    place = str(input_device(model)) if device == "auto" else resolve_device(device)
    own = detached_copy(model)
    if is_dispatched(model) or getattr(model, "is_quantized", False):
        if device != "auto" or dtype != "auto":
            raise ScorerError(
                f"the model object {name} is spread over devices, or quantised, and stays as it is; leave device and "
                "dtype at 'auto'"
            )
    else:
        own = own.to(place)
        convert(own, resolve_dtype(dtype, place))
    return _finished(own, read_tokenizer(name, tokenizer, name, {}), name, place, {}, replaced=replaced)


def _finished(
    model: Any, tokenizer: Any, name: str, device: str, settings: Mapping[str, Any], *, replaced: RandomWeights | None
) -> LoadedModel:
    model.eval().requires_grad_(requires_grad=False)
    if replaced is not None:
        randomize(model, replaced, name)
        settings = {**settings, "random_weights": str(replaced)}
    rotary = RotarySwitch(model, name)
    with rotary.sequences_of(trial_ids(model).shape[1]):
        check_predictions(name, model)
    dtype = str(model.dtype).removeprefix("torch.")
    return LoadedModel(model, tokenizer, name, device, dtype, rotary, settings)
