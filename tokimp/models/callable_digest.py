"""A description of a function that is the same in every process: its code, and the values that it holds."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

_DEEPEST = 8


def describe(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one answer a kind of value
    """Return a description, made of lists, strings and numbers, of a function or of a value that a function holds.

    A function is described by its name, its code, its defaults and its closure; a partial function and a method also
    by what they are bound to. Arrays and tensors are described by a digest of their numbers. What a function looks up
    in its module when it is called is not a part of it. Modules and unknown objects are described by their type alone.

    Parameters
    ----------
    value
        What is described.
    depth
        How deep it lies in the whole; what lies too deep is described by its type.

    Examples
    --------
    >>> def scale(factor):
    ...     return lambda value: value * factor
    >>> describe(scale(2)) == describe(scale(2)), describe(scale(2)) == describe(scale(3))
    (True, False)
    """
    if value is None or isinstance(value, bool | int | float | str | bytes | complex):
        return repr(value)
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return _describe_numbers(value)
    if depth >= _DEEPEST:
        return _type_name(value)
    inner = functools.partial(describe, depth=depth + 1)
    if isinstance(value, types.CodeType):
        return [value.co_code.hex(), list(value.co_names), [inner(constant) for constant in value.co_consts]]
    if isinstance(value, types.FunctionType):
        return [value.__qualname__, inner(value.__code__), inner(_held_by(value))]
    if isinstance(value, types.MethodType):
        return [inner(value.__func__), inner(value.__self__)]
    if isinstance(value, functools.partial):
        return [inner(value.func), inner(value.args), inner(value.keywords)]
    return _describe_collection(value, inner)


def _describe_numbers(value: torch.Tensor | np.ndarray[Any, Any] | np.generic) -> list[Any]:
    if isinstance(value, torch.Tensor):
        array = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    else:
        array = np.ascontiguousarray(value)
    return [str(value.dtype), list(value.shape), hashlib.sha256(array.tobytes()).hexdigest()]


def _describe_collection(value: Any, inner: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return [[inner(key), inner(entry)] for key, entry in value.items()]
    if isinstance(value, list | tuple):
        return [inner(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(str(inner(entry)) for entry in value)
    return _type_name(value)


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _held_by(function: types.FunctionType) -> list[Any]:
    """Return a function's defaults and the values in its closure."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if not _is_empty(cell)]
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *cells]


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - a cell without contents raises
    except ValueError:
        return True
    return False
