"""Where the parts of a model lie: accelerate's device maps, and models that are on several devices or partly on disk.

Transformers hands a device map to accelerate, which gives modules hooks: they move what a module reads to its device,
and fetch the weights of an offloaded module for as long as it runs. Between calls an offloaded weight is on torch's
device ``meta``, which holds no numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import align_module_device, has_offloaded_params

from tokimp.models.device import resolve_device
from tokimp.models.device_map import DeviceMap, is_number, parse_device_map

_OFFLOADED = ("cpu", "disk")


def read_device_map(written: str | Path | Mapping[str, Any]) -> DeviceMap:
    """Return a device map as transformers takes it.

    Parameters
    ----------
    written
        One of `tokimp.models.device_map.STRATEGIES`; a mapping from the names of modules (``""``: all others) to
        ``cpu``, ``disk``, another device, or the number of a GPU; the same as the text of a JSON object; or a JSON file
        with it.

    Raises
    ------
    ScorerError
        If it is none of these, or names a device that is not here.

    Examples
    --------
    >>> read_device_map('{"model.layers.0": "cpu", "": "disk"}')
    {'model.layers.0': 'cpu', '': 'disk'}
    """
    read = parse_device_map(written)
    if isinstance(read, str):
        return read
    for place in set(read.values()) - {"disk"}:
        resolve_device(_name_of(place))
    return read


def main_device(device_map: DeviceMap) -> str:
    """Return the device that a model's inputs go to: the first GPU of the map, else the CPU."""
    if isinstance(device_map, str):
        found = resolve_device("auto")
        return "cuda:0" if found == "cuda" else found
    places = [_name_of(place) for place in device_map.values() if place not in _OFFLOADED]
    return places[0] if places else "cpu"


def is_dispatched(model: torch.nn.Module) -> bool:
    """Return whether accelerate moves what a model reads, or its weights, from place to place."""
    return hasattr(model, "_hf_hook")


def input_device(model: Any) -> torch.device:
    """Return the device that ids have to be on."""
    device = getattr(getattr(model, "_hf_hook", None), "execution_device", None)
    if device is None:
        own: torch.device = model.get_input_embeddings().weight.device
        return own
    return torch.device(_name_of(device)) if is_number(device) else torch.device(device)


def computing_devices(model: torch.nn.Module) -> set[str]:
    """Return the devices on which a model's layers compute; weights that are offloaded do not count."""
    hooks = [module._hf_hook for module in model.modules() if hasattr(module, "_hf_hook")]
    devices = {getattr(hook, "execution_device", None) for hook in hooks} - {None}
    if not devices:
        return {str(parameter.device) for parameter in model.parameters()}
    return {_name_of(device) if is_number(device) else str(device) for device in devices}


def is_offloaded(module: torch.nn.Module) -> bool:
    """Return whether a module's own weights are fetched whenever it runs, as other tensors each time."""
    return bool(has_offloaded_params(module))


@contextmanager
def weights_fetched(module: torch.nn.Module) -> Iterator[None]:
    """Have a module's own weights on the CPU while the block runs, if they are offloaded."""
    if not is_offloaded(module):
        yield
        return
    with align_module_device(module, torch.device("cpu")):
        yield


def _name_of(place: Any) -> str:
    """Return the name of a device that may be written as the number of a GPU."""
    return f"cuda:{place}" if is_number(place) else str(place)
