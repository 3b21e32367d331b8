"""The models of a plan: what says which model it is, and how it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic.dataclasses import dataclass

from tokimp.contracts.checked_fields import KNOWN_FIELDS_ONLY, Allowed, raises
from tokimp.contracts.constraints import Constraint, Optional, Text, TrueOrFalse
from tokimp.contracts.registry import load
from tokimp.errors import PlanError, TokimpError
from tokimp.models.device_map import parse_device_map
from tokimp.models.source import TINY
from tokimp.models.writing.load import Engine

Dtype = Literal["auto", "float32", "float16", "bfloat16", "float64"]
PLACEMENT = ("device_map", "offload_folder", "quantization")
"""The keys that spread a model over devices or quantise it."""


class NameOfAFolder(Constraint):
    """Allows texts that a folder can be called on every system."""

    def allows(self, value: Any) -> bool:
        """Return whether a folder can be called so."""
        return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=-]*", value) is not None

    def __str__(self) -> str:
        """Return which signs are allowed."""
        return "what a folder can be called: letters, digits, '.', '_', '=' and '-', no others"


class _Device(Constraint):
    """Allows names of devices; whether a device is here shows when it is used."""

    def allows(self, value: Any) -> bool:
        """Return whether the value is ``auto``, or a kind of device with or without a number."""
        pattern = r"auto|(cpu|cuda|mps|xpu|hpu|npu|mlu|musa)(:\d+)?"
        return isinstance(value, str) and re.fullmatch(pattern, value) is not None

    def __str__(self) -> str:
        """Return some of the names."""
        return "auto, cpu, cuda, cuda:1, mps or the like"


class _Model(Constraint):
    """Allows hub ids, and paths that exist; whether the hub has a model is not asked here."""

    def allows(self, value: Any) -> bool:
        """Return whether the value can be a model, as far as that shows on this machine."""
        if not isinstance(value, str) or not value:
            return False
        path = Path(value).expanduser()
        is_path = path.is_absolute() or value.startswith((".", "~")) or value.count("/") > 1
        return value == TINY or not is_path or path.exists()

    def __str__(self) -> str:
        """Return what a model can be."""
        return f"a folder or file that is there, a hub id, or {TINY!r}"


def folder_name(text: str) -> str:
    """Return a text as a folder can be called: with ``-`` in the place of all other signs."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-.")


def usable(load: Callable[[str], object]) -> AfterValidator:
    """Return a check of a plugin's name: the plugin can be loaded with its parameters."""

    def check(name: str) -> str:
        try:
            load(name)
        except TokimpError as error:
            raise ValueError(f"{name!r} cannot be used: {error}") from error
        return name

    return AfterValidator(check)


def _load_scorer_class(name: str) -> None:
    load("scorers", name)


def _as_json_text(value: Any) -> Any:
    """Return a mapping as the JSON text that stands for it, so that a model of a plan can be a key."""
    return json.dumps(value, default=str) if isinstance(value, Mapping) else value


def _written_device_map(written: str | None) -> str | None:
    if written is not None:
        try:
            parse_device_map(written)
        except TokimpError as error:
            raise ValueError(str(error)) from error
    return written


@raises(PlanError)
@dataclass(frozen=True, slots=True, config=KNOWN_FIELDS_ONLY)
class ModelSpec:
    """A model of a plan.

    Attributes
    ----------
    name
        What it is called in folders and tables; in a plan's file the end of `model`, if there is no other name.
    model
        What `tokimp.load_scorer` takes.
    backend
        The scorer with which a pruner is asked.
    engine
        The engine with which a teacher or student writes.
    device, dtype, trust_remote_code, device_map, offload_folder, quantization
        As for `tokimp.load_scorer`. A device map or a quantisation that is a mapping is kept as its JSON text.
    """

    name: Annotated[str, Allowed(NameOfAFolder())]
    model: Annotated[str, Allowed(_Model())]
    backend: Annotated[str, Allowed(Text("the name of a scorer")), usable(_load_scorer_class)] = "transformer_lens"
    engine: Engine = "transformers"
    device: Annotated[str, Allowed(_Device())] = "auto"
    dtype: Dtype = "auto"
    trust_remote_code: Annotated[bool, Allowed(TrueOrFalse())] = False
    device_map: Annotated[
        str | None,
        Allowed(Optional(Text("auto, balanced, ..., a mapping of modules to devices, or a file with one"))),
        AfterValidator(_written_device_map),
        BeforeValidator(_as_json_text),
    ] = None
    offload_folder: Annotated[str | None, Allowed(Optional(Text("a folder")))] = None
    quantization: Annotated[
        str | None, Allowed(Optional(Text("NAME:OPTION=VALUE,... or a mapping"))), BeforeValidator(_as_json_text)
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, values: Any) -> Any:
        """Read a text as a model, and name a model that has no name after the end of its path or hub id."""
        if isinstance(values, str):
            values = {"model": values}
        if isinstance(values, Mapping) and "name" not in values and isinstance(values.get("model"), str):
            return {"name": folder_name(Path(values["model"]).name) or "model", **values}
        return values

    @model_validator(mode="after")
    def _refuse_two_places(self) -> Self:
        """Refuse a device map beside what it contradicts."""
        if self.device_map is not None and self.device != "auto":
            raise ValueError(
                f"device is {self.device!r} and there is a device_map, which says where everything goes; leave one out"
            )
        if self.device_map is not None and self.engine == "vllm":
            raise ValueError(
                "the engine vllm spreads a model over GPUs itself and takes no device_map; leave it out, or give "
                "engine transformers (a pruner of its own, under pruners, may have one)"
            )
        return self

    def described(self) -> dict[str, Any]:
        """Return the model as JSON holds it; what is not given of `PLACEMENT` is left out."""
        return {key: value for key, value in asdict(self).items() if value is not None or key not in PLACEMENT}

    def options(self) -> dict[str, Any]:
        """Return the further options with which it is loaded; scorers of other packages need not know the others."""
        trusted = {"trust_remote_code": True} if self.trust_remote_code else {}
        placed = {key: getattr(self, key) for key in PLACEMENT if getattr(self, key) is not None}
        return {**trusted, **placed}
