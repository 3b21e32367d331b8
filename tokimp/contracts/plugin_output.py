"""The border to a plugin's code: whatever it raises or returns becomes its result, or one sentence that names it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tokimp.errors import TokimpError

_TOKIMP = Path(__file__).parents[1]


@contextmanager
def plugin_code(plugin: str, error: type[TokimpError], *, passed_on: type[TokimpError] | None = None) -> Iterator[None]:
    """Run a plugin's code; whatever it raises, ``SystemExit`` included, is raised as `error` with the plugin's name.

    Parameters
    ----------
    plugin
        What the message calls it, with the chain if there is one: ``chain 'c0': the estimator 'mine'``.
    error
        The error to raise.
    passed_on
        Errors that are raised as they are.
    """
    try:
        yield
    except (Exception, SystemExit) as raised:
        if passed_on is not None and isinstance(raised, passed_on):
            raise
        reason = " ".join(f"{type(raised).__name__}: {raised}".split())
        raise error(f"{plugin} failed with {reason}{_place(raised)}") from raised


def _place(raised: BaseException) -> str:
    """Return the file and line of the plugin's code that led to an error; empty if it was raised in tokimp itself."""
    for frame in traceback.extract_tb(raised.__traceback__):
        if not Path(frame.filename).is_relative_to(_TOKIMP):
            return f" ({Path(frame.filename).name}:{frame.lineno})"
    return ""


def described(value: Any) -> str:
    """Return what a value is, in the words of a message.

    >>> described(None), described([1, 2]), described(np.zeros((2, 3))), described(int)
    ('None', 'a list of 2', 'an array of shape (2, 3)', 'the class int (not an instance of it)')
    """
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__} (not an instance of it)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    if hasattr(value, "shape"):
        return f"{article} {name} of shape {tuple(np.shape(value))}"
    if isinstance(value, Sized) and not isinstance(value, str | bytes):
        return f"{article} {name} of {len(value)}"
    return f"{article} {name}"


def array_problem(value: Any, shape: Sequence[int | None], entries: str, *, whole: bool = False) -> str:
    """Return what is wrong with a value that is to be an array of real numbers; empty if nothing is.

    Parameters
    ----------
    value
        The value.
    shape
        The expected length of each dimension; ``None`` for any length.
    entries
        What the array has to hold: ``one score a unit``.
    whole
        Whether the numbers have to be of an integer type.
    """
    lengths = ", ".join("any" if length is None else str(length) for length in shape)
    expected = f"a numpy array of shape ({lengths}{',' if len(shape) == 1 else ''}) was expected, {entries}"
    if not isinstance(value, np.ndarray):
        return f"{described(value)}; {expected}"
    kinds = "iu" if whole else "iuf"
    if value.dtype.kind not in kinds:
        return f"an array of dtype {value.dtype}; {'whole' if whole else 'real'} numbers were expected, {entries}"
    fits = len(value.shape) == len(shape) and all(
        wanted is None or length == wanted for length, wanted in zip(value.shape, shape, strict=True)
    )
    return "" if fits else f"{described(value)}; {expected}"
