"""A device map as it is written: in which form, whether or not its devices are here. It needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokimp.errors import ScorerError

STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways in which accelerate itself decides what goes where."""

DeviceMap = str | dict[str, int | str]
_HOW_TO_WRITE = (
    f"write {', '.join(STRATEGIES)}, or an object that maps modules to devices, such as "
    '{"model.layers.0": 0, "model.layers.1": "cpu", "": "disk"}'
)


def parse_device_map(written: str | Path | Mapping[str, Any]) -> DeviceMap:
    """Return a device map as transformers takes it, without looking whether its devices are here.

    Parameters
    ----------
    written
        As of `tokimp.models.placement.read_device_map`.

    Raises
    ------
    ScorerError
        If it is no device map.
    """
    if written in STRATEGIES:
        return str(written)
    places = written if isinstance(written, Mapping) else _from_json(str(written))
    if not isinstance(places, Mapping) or not places or not all(isinstance(name, str) for name in places):
        raise ScorerError(f"the device map {written!r} maps no modules to devices; {_HOW_TO_WRITE}")
    return {name: place if is_number(place) else str(place) for name, place in places.items()}


def is_number(place: Any) -> bool:
    """Return whether a place of a device map is the number of a GPU."""
    return isinstance(place, int) and not isinstance(place, bool)


def _from_json(written: str) -> Any:
    """Return what a JSON text says, or a file that holds one."""
    text = written
    if not written.lstrip().startswith("{"):
        try:
            text = Path(written).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScorerError(f"there is no device map {written!r} ({error}); {_HOW_TO_WRITE}") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ScorerError(f"the device map {written!r} is not JSON ({error}); {_HOW_TO_WRITE}") from error
