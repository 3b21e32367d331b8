"""What a scorer was loaded from, as data: another process can load the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ScorerRecipe:
    """The arguments of `tokimp.load_scorer` that JSON can hold.

    Attributes
    ----------
    model, backend, device, dtype, tokenizer, options
        As of `tokimp.load_scorer`; the backend of a model that only writes is its engine.
    only_writes
        Whether it is loaded with `tokimp.models.writing.load.load_engine`.
    """

    model: str
    backend: str
    device: str = "auto"
    dtype: str = "auto"
    tokenizer: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    only_writes: bool = False


def recipe_of(
    model: Any,
    backend: str,
    *,
    device: str,
    dtype: str,
    tokenizer: Any,
    options: Mapping[str, Any],
    only_writes: bool = False,
) -> ScorerRecipe | None:
    """Return the recipe that arguments of `tokimp.load_scorer` make; ``None`` if one of them is an object in memory.

    With `only_writes` they are those of `tokimp.models.writing.load.load_engine`.

    >>> recipe_of("tiny", "nnsight", device="cpu", dtype="auto", tokenizer=None, options={}).backend
    'nnsight'
    >>> recipe_of(object(), "nnsight", device="cpu", dtype="auto", tokenizer=None, options={}) is None
    True
    """
    names = [name for name in (model, tokenizer) if name is not None]
    if not all(isinstance(name, str | Path) for name in names):
        return None
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
    try:
        json.dumps(plain)
    except (TypeError, ValueError):
        return None
    name = None if tokenizer is None else str(tokenizer)
    return ScorerRecipe(str(model), backend, device, dtype, name, plain, only_writes)
