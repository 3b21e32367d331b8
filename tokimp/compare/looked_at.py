"""Look at what some work would do, and stop it before it starts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class _SeenError(Exception):
    """Ends work before it starts, once what it would do is known."""


def looked_at(begin: Callable[[Callable[[Any], None]], object], see: Callable[[Any], T]) -> T | None:
    """Begin some work, look at what it has to do, and stop it; nothing is computed or written.

    Parameters
    ----------
    begin
        Begins the work with what is given to it as ``before_work``.
    see
        Returns what is to be known of what the work hands to ``before_work``; what it uses is still at hand then.

    Returns
    -------
    object or None
        What `see` returned; ``None`` if the work never got there, having nothing to do.

    Examples
    --------
    >>> def work(before_work):
    ...     before_work(["a cell", "another"])
    ...     print("computed")
    >>> looked_at(work, len)
    2
    """
    seen = list[T]()

    def look(pending: Any) -> None:
        seen.append(see(pending))
        raise _SeenError

    with suppress(_SeenError):
        begin(look)
    return seen[0] if seen else None
