"""The models that the person at this machine has asked for: only these are loaded because a file names them.

A result names its model. A result from somebody else can name any path or hub id, and loading one reads files or
downloads. So a model that a file names is loaded without being named again only if it was asked for here before.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from tokimp.storage.cache_folder import cache_folder
from tokimp.storage.json_file import parse_json

_asked_in_this_process: set[str] = set()


def remember_model(name: str) -> None:
    """Remember that a model was asked for, in this process and for later ones.

    Parameters
    ----------
    name
        A hub id, a path, or the name of a model object.
    """
    place = _place(name)
    if place in _asked_in_this_process or place in _asked_before():
        return
    _asked_in_this_process.add(place)
    # Where nothing can be kept, the model is asked for again next time.
    with suppress(OSError):
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(place) + "\n")


def was_asked_for(name: str) -> bool:
    """Whether a model of this name, or the same path in another spelling, was asked for on this machine."""
    place = _place(name)
    return place in _asked_in_this_process or place in _asked_before()


def _file() -> Path:
    return cache_folder() / "models_asked_for.jsonl"


def _asked_before() -> set[str]:
    names = set()
    with suppress(OSError, UnicodeDecodeError):
        for line in _file().read_text(encoding="utf-8").splitlines():
            # A line that a kill has torn names nothing.
            with suppress(ValueError):
                names.add(str(parse_json(line)))
    return names


def _place(name: str) -> str:
    """Return a path in one spelling, and any other name as it is."""
    with suppress(OSError, ValueError, RuntimeError):
        path = Path(name).expanduser()
        if path.exists():
            return str(path.resolve())
    return name
