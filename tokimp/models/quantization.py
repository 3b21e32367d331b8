"""How a model's weights are quantised when they are loaded: transformers' configurations, by name and options."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tokimp.contracts.specification import parse_specification
from tokimp.errors import PluginError, ScorerError

_HOW_TO_WRITE = (
    "write NAME or NAME:OPTION=VALUE,..., such as bitsandbytes_4bit:bnb_4bit_quant_type=nf4, quanto:weights=int8 or "
    "torchao:quant_type=Int8WeightOnlyConfig"
)
_BITS = {"bitsandbytes_4bit": "load_in_4bit", "bitsandbytes_8bit": "load_in_8bit"}
_TORCHAO_TYPES = "torchao.quantization"


def read_quantization(written: Any) -> Any:
    """Return a quantisation as transformers takes it.

    Parameters
    ----------
    written
        A configuration of transformers, such as ``BitsAndBytesConfig(load_in_4bit=True)``; a mapping, such as
        ``{"quant_method": "quanto", "weights": "int8"}``, or the text of such a JSON object; or the name of one of
        transformers' methods, with options if need be, such as ``quanto:weights=int8``. For ``torchao``, `quant_type`
        may name one of its configurations, and all further options are that one's:
        ``torchao:quant_type=Int4WeightOnlyConfig,group_size=32``.

    Returns
    -------
    transformers.utils.quantization_config.QuantizationConfigMixin

    Raises
    ------
    ScorerError
        If there is no such method, its library is missing, or it does not take the options.
    """
    from transformers.utils.quantization_config import QuantizationConfigMixin  # noqa: PLC0415 - slow to import

    if isinstance(written, QuantizationConfigMixin):
        return written
    if isinstance(written, str) and written.lstrip().startswith("{"):
        try:
            written = json.loads(written)
        except json.JSONDecodeError as error:
            raise ScorerError(f"the quantization {written!r} is not JSON ({error}); {_HOW_TO_WRITE}") from error
    if isinstance(written, str):
        try:
            method, options = parse_specification(written)
        except PluginError as error:
            raise ScorerError(f"the quantization {error}; {_HOW_TO_WRITE}") from error
    elif isinstance(written, Mapping):
        options = dict(written)
        method = str(options.pop("quant_method", "") or next((m for m, key in _BITS.items() if options.get(key)), ""))
    else:
        raise ScorerError(f"a quantization is not a {type(written).__name__}; {_HOW_TO_WRITE}")
    return _configuration(method, options)


def describe_quantization(config: Any) -> dict[str, Any]:
    """Return a configuration as JSON can hold it, as runs store and compare it: its method and all its options."""
    described: dict[str, Any] = json.loads(json.dumps(config.to_dict(), default=str, sort_keys=True))
    return {name: value for name, value in described.items() if not name.startswith("_")}


def passes_gradients(config: Any) -> bool:
    """Return whether gradients pass backward through weights that are quantised so, as far as transformers knows."""
    from transformers.quantizers.auto import AutoHfQuantizer  # noqa: PLC0415 - slow to import

    try:
        return bool(AutoHfQuantizer.from_config(config, pre_quantized=False).is_trainable)
    # A library that is missing, or a method that takes only checkpoints: loading says so.
    except (ImportError, ValueError, TypeError):
        return True


def _configuration(method: str, options: dict[str, Any]) -> Any:
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING as METHODS  # noqa: PLC0415 - as above

    if method == "bitsandbytes":
        method = next((name for name, key in _BITS.items() if options.get(key)), method)
    # GGUF is a format of files: what they hold is converted to plain weights.
    if method not in METHODS or method == "gguf":
        raise ScorerError(
            f"there is no quantization {method!r}; {_HOW_TO_WRITE}; methods are "
            + ", ".join(sorted(set(METHODS) - {"gguf"}))
        )
    options = {**options, **({_BITS[method]: True} if method in _BITS else {})}
    try:
        if method == "torchao":
            options = _with_torchao_type(options)
        _check_options(METHODS[method], options)
        return METHODS[method](**options)
    # Configurations check their options, and the library that they need, each in its own way.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ScorerError(f"the quantization {method!r} cannot be used as asked ({reason}); {_HOW_TO_WRITE}") from error


def _check_options(kind: type, options: dict[str, Any]) -> None:
    """Raise `ValueError` if a configuration has no such option: it would take and ignore it."""
    known = [name for name in inspect.signature(kind).parameters if name != "kwargs"]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"it has no option {unknown[0]!r}; it has {', '.join(known)}")


def _with_torchao_type(options: dict[str, Any]) -> dict[str, Any]:
    """Return options in which a name of one of torchao's configurations is that configuration, with its own options."""
    name = options.get("quant_type")
    if isinstance(name, Mapping):  # as `describe_quantization` gives it
        read = import_module("torchao.core.config").config_from_dict
        return {**options, "quant_type": read(dict(name["default"]))}
    if not isinstance(name, str):
        return options
    kind = getattr(import_module(_TORCHAO_TYPES), name, None)
    if not (isinstance(kind, type) and name.endswith("Config")):
        raise ValueError(f"{_TORCHAO_TYPES} has no configuration {name!r}")
    own: dict[str, Any] = {
        key: options[key] for key in ("modules_to_not_convert", "include_input_output_embeddings") if key in options
    }
    rest = {key: value for key, value in options.items() if key not in {*own, "quant_type"}}
    return {"quant_type": kind(**rest), **own}
