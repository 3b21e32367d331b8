"""From what a plan's file holds to the parts of a plan; every mistake is named with its key and what is allowed."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.contracts.registry import load, load_estimator, load_objective
from tokimp.contracts.train_settings import TrainSettings
from tokimp.distillation.ask.evaluate import INTERVALS
from tokimp.distillation.ask.sample import sample
from tokimp.distillation.plan.parts import Method, ModelSpec, QuestionSet
from tokimp.errors import PlanError, TokimpError, did_you_mean
from tokimp.models.source import TINY
from tokimp.models.writing.load import ENGINES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*")
_LARGEST_SEED = 2**32 - 1


_DTYPES = ("auto", "float32", "float16", "bfloat16", "float64")
_DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|hpu|npu|mlu|musa)(:\d+)?")
_DEFAULT_N = int(inspect.signature(sample).parameters["n"].default)

Check = Callable[[Any], str]
"""Says what may stand in the place of a value that is not allowed, and nothing of one that is."""


def _whole(least: int, *, null: bool = False) -> Check:
    allowed = f"a whole number, {least} or more" + (", or null" if null else "")
    return lambda value: "" if (value is None and null) or (type(value) is int and value >= least) else allowed


def _number(allowed: str, within: Callable[[float], bool]) -> Check:
    return lambda value: "" if type(value) in (int, float) and within(value) else allowed


def _one_of(names: Sequence[str]) -> Check:
    return lambda value: "" if value in names else f"one of {', '.join(names)}"


_ARGUMENTS: dict[str, dict[str, Check]] = {
    "sample": {
        "n": _whole(1),
        "temperature": _number("a number, 0 or more", lambda value: 0 <= value < math.inf),
        "seed": _whole(0),
        "per_round": _whole(1, null=True),
        "max_new_tokens": _whole(1, null=True),
        "min_characters": _whole(0),
        "longest_percentile": _number("a percentage above 0, up to 100", lambda value: 0 < value <= 100),
        "prompt_format": _one_of(PROMPT_FORMATS),
        "batch_questions": _whole(1),
    },
    "evaluate": {
        "prompt_format": _one_of(PROMPT_FORMATS),
        "max_new_tokens": _whole(1, null=True),
        "interval": _one_of(INTERVALS),
        "confidence": _number("a number between 0 and 1", lambda value: 0 < value < 1),
        "batch_questions": _whole(1),
    },
}


class PlanReader:
    """Turns what YAML holds into parts of a plan, and says of each mistake where it stands."""

    def __init__(self, where: str) -> None:
        self._where = where

    def error(self, key: str, what: str) -> PlanError:
        """Return the error of a key."""
        return PlanError(f"{self._where}: {key} {what}" if key else f"{self._where} {what}")

    def mapping(self, value: Any, key: str, known: list[str]) -> dict[str, Any]:
        """Return what a key holds, which must have known keys only."""
        if not isinstance(value, Mapping):
            raise self.error(key, f"must hold keys and values, not {value!r}; keys are {', '.join(known)}")
        unknown = [name for name in value if name not in known]
        if unknown:
            place = f"{key}.{unknown[0]}" if key else str(unknown[0])
            meant = did_you_mean(unknown[0], known)
            raise self.error(place, f"is not a key of a plan{meant}; allowed here: {', '.join(known)}")
        return dict(value)

    def text(self, value: Any, key: str) -> str:
        """Return a text that is not empty."""
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be text, not {value!r}")
        return value

    def name(self, value: Any, key: str) -> str:
        """Return a text that a folder can be called."""
        name = self.text(value, key)
        if not _NAME.fullmatch(name):
            raise self.error(
                key, f"is {name!r}, which names a folder: give letters, digits, '.', '_', '=' and '-', no others"
            )
        return name

    def one_of(self, value: Any, key: str, allowed: tuple[str, ...]) -> str:
        """Return one of the values allowed."""
        if value not in allowed:
            raise self.error(key, f"is {value!r}; allowed are {', '.join(allowed)}")
        return str(value)

    def truth(self, value: Any, key: str) -> bool:
        """Return true or false."""
        if not isinstance(value, bool):
            raise self.error(key, f"is {value!r}; give true or false")
        return value

    def checked(self, value: Any, key: str, check: Any) -> str:
        """Return the name of a plugin, once it has been loaded and its parameters are allowed."""
        name = self.text(value, key)
        try:
            check(name)
        except TokimpError as error:
            raise self.error(key, f"cannot be used: {error}") from error
        return name

    def items(self, value: Any, key: str) -> list[Any]:
        """Return a list that is not empty."""
        if not isinstance(value, list) or not value:
            raise self.error(key, f"must be a list with at least one entry, not {value!r}")
        return value

    def models(self, value: Any, key: str) -> tuple[ModelSpec, ...]:
        """Return models: each a name for `load_scorer`, or a mapping."""
        made = []
        for place, entry in enumerate(self.items(value, key)):
            where = f"{key}[{place}]"
            given = {"model": entry} if isinstance(entry, str) else entry
            given = self.mapping(given, where, [each.name for each in fields(ModelSpec)])
            model = self.text(given.get("model"), f"{where}.model")
            own_name = re.sub(r"[^A-Za-z0-9._=-]+", "-", Path(model).name).strip("-.") or "model"
            given["name"] = self.name(given.get("name", own_name), f"{where}.name")
            for part in ("backend", "engine", "device", "dtype"):
                if part in given:
                    self.text(given[part], f"{where}.{part}")
            self._check_running(given, where)
            self.checked(given.get("backend", "transformer_lens"), f"{where}.backend", lambda n: load("scorers", n))
            if "trust_remote_code" in given:
                self.truth(given["trust_remote_code"], f"{where}.trust_remote_code")
            self._must_exist(model, f"{where}.model")
            made.append(ModelSpec(**given))
        self._names_differ([each.name for each in made], key)
        return tuple(made)

    def _check_running(self, given: Mapping[str, Any], where: str) -> None:
        """Check engine, dtype and device by name; whether a device is here is asked when it is used."""
        self.one_of(given.get("engine", "transformers"), f"{where}.engine", ENGINES)
        self.one_of(given.get("dtype", "auto"), f"{where}.dtype", _DTYPES)
        device = given.get("device", "auto")
        if not _DEVICE.fullmatch(device):
            raise self.error(f"{where}.device", f"is {device!r}; give auto, cpu, cuda, cuda:1, mps or the like")

    def _must_exist(self, model: str, key: str) -> None:
        """Refuse a path that is not there; of a hub id nothing can be said without asking the hub."""
        path = Path(model).expanduser()
        is_path = path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1
        if model != TINY and is_path and not path.exists():
            raise self.error(key, f"is {model!r}, and there is no such folder or file")

    def methods(self, value: Any) -> tuple[Method, ...]:
        """Return methods: a mapping of names, or a list."""
        if isinstance(value, Mapping):
            entries = [(str(name), entry, f"methods.{name}") for name, entry in value.items()]
        else:
            listed = self.items(value, "methods")
            # Of a specification without a name: what it says, as far as a folder can be called so.
            entries = [(_as_name(entry), entry, f"methods[{place}]") for place, entry in enumerate(listed)]
        made = []
        for name, entry, where in entries:
            given = {"estimator": entry} if isinstance(entry, str) else entry
            given = self.mapping(given, where, ["name", "estimator", "objective"])
            estimator = self.checked(given.get("estimator"), f"{where}.estimator", load_estimator)
            objective = self.checked(given.get("objective", "joint"), f"{where}.objective", load_objective)
            own_name = name or _as_name(estimator if objective == "joint" else f"{estimator}-{objective}")
            made.append(Method(self.name(given.get("name", own_name), where), estimator, objective))
        if not made:
            raise self.error("methods", "names no method; give at least one, such as greedy")
        self._names_differ([each.name for each in made], "methods")
        return tuple(made)

    def _names_differ(self, names: list[str], key: str) -> None:
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise self.error(key, f"has two entries called {twice!r}; give each a name of its own")

    def ratios(self, value: Any) -> tuple[float, ...]:
        """Return keep ratios, the highest first, each once."""
        for ratio in self.items(value, "keep_ratios"):
            if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio < 1:
                raise self.error(
                    "keep_ratios", f"holds {ratio!r}; give shares above 0 and below 1 (unpruned: true is ratio 1)"
                )
        found = tuple(sorted({float(ratio) for ratio in value}, reverse=True))
        for higher, lower in pairwise(found):
            if f"{higher:g}" == f"{lower:g}":
                raise self.error(
                    "keep_ratios",
                    f"holds {higher!r} and {lower!r}, which would share the folder {lower:g}; give ratios that differ "
                    "in their first six digits",
                )
        return found

    def seeds(self, value: Any) -> tuple[int, ...]:
        """Return seeds in order, each once."""
        for seed in self.items(value, "seeds"):
            if type(seed) is not int or not 0 <= seed <= _LARGEST_SEED:
                raise self.error("seeds", f"holds {seed!r}; give whole numbers from 0 to {_LARGEST_SEED}")
        return tuple(sorted(set(value)))

    def questions(self, value: Any, key: str, split: str) -> QuestionSet:
        """Return which questions; `split` where the plan names none."""
        given = self.mapping({} if value is None else value, key, [each.name for each in fields(QuestionSet)])
        for part, kind, least in (("limit", int, 1), ("seed", int, 0)):
            number = given.get(part)
            # A limit may be null, for all of them; a seed may not.
            if (
                part in given
                and (number is not None or part == "seed")
                and (type(number) is not kind or number < least)
            ):
                raise self.error(f"{key}.{part}", f"is {number!r}; give a whole number, {least} or more")
        for part in ("split", "source"):
            if given.get(part) is not None:
                self.text(given[part], f"{key}.{part}")
        return QuestionSet(**{"split": split, **given})

    def train(self, value: Any) -> TrainSettings:
        """Return the settings of the trainings."""
        if value is not None and not isinstance(value, Mapping):
            raise self.error("train", f"must hold keys and values, not {value!r}")
        if value and "seed" in value:
            raise self.error("train.seed", "is not a key of a plan; the list 'seeds' says them")
        try:
            settings = TrainSettings.of(value or {}, "train")
        except TokimpError as error:
            raise PlanError(f"{self._where}: {error}") from error
        if settings.lora is not None and not settings.lora.merge:
            raise self.error("train.lora.merge", "is false, but students are evaluated with their adapters merged")
        return settings

    def one_format(self, train: TrainSettings, evaluate: Mapping[str, Any]) -> None:
        """Refuse a student that is asked in another prompt format than it was trained in."""
        asked = evaluate.get("prompt_format", "auto")
        if asked != train.prompt_format:
            raise self.error(
                "evaluate.prompt_format",
                f"is {asked!r} and train.prompt_format {train.prompt_format!r}: students would be asked in another "
                "form than they were trained in; give both the same",
            )

    def arguments(self, value: Any, key: str) -> dict[str, Any]:
        """Return further arguments of a step, each of the kind and within the bounds that the step itself allows."""
        given = self.mapping({} if value is None else value, key, list(_ARGUMENTS[key]))
        for name, argument in given.items():
            what = _ARGUMENTS[key][name](argument)
            if what:
                raise self.error(f"{key}.{name}", f"is {argument!r}; give {what}")
        if given.get("per_round") is not None and given["per_round"] > given.get("n", _DEFAULT_N):
            raise self.error(
                f"{key}.per_round", f"is {given['per_round']}; give no more than n={given.get('n', _DEFAULT_N)}"
            )
        return given


def _as_name(entry: Any) -> str:
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", entry).strip("-.") if isinstance(entry, str) else ""
