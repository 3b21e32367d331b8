"""The files of a model's weights that are here: how large they are, and how many numbers they hold, without loading."""

from __future__ import annotations

import math
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open

from tokimp.models.source import locate
from tokimp.storage.json_file import read_json


def bytes_of_weights(name: str) -> int | None:
    """Return how large the weights of a model are on this disk; ``None`` if they are not here.

    Parameters
    ----------
    name
        As of `tokimp.models.source.locate`.

    Raises
    ------
    ScorerError
        As for `tokimp.models.source.locate`.
    """
    files = _files(name)
    return sum(file.stat().st_size for file in files) if files else None


def numbers_in_weights(name: str) -> int | None:
    """Return how many numbers the weights of a model are; ``None`` if they are not here, or not safetensors.

    Weights that two layers share count once.

    Raises
    ------
    ScorerError
        As for `tokimp.models.source.locate`.
    """
    files = _files(name)
    if not files or any(file.suffix != ".safetensors" for file in files):
        return None
    count = 0
    try:
        for file in files:
            with safe_open(file, framework="numpy") as weights:
                count += sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return count


def _files(name: str) -> list[Path]:
    """Return the files that hold a model's weights, as transformers would load them: none unless all are here."""
    source, arguments = locate(name)
    folder = Path(source)
    if "gguf_file" in arguments:
        return [folder / arguments["gguf_file"]]
    if not folder.is_dir():
        try:
            fetched = try_to_load_from_cache(source, "config.json")
        except HFValidationError:
            return []
        if not isinstance(fetched, str):
            return []
        folder = Path(fetched).parent
    for whole in ("model.safetensors", "pytorch_model.bin"):
        if (folder / whole).is_file():
            return [folder / whole]
        if (index := folder / f"{whole}.index.json").is_file():
            return _parts(index)
    return []


def _parts(index: Path) -> list[Path]:
    """Return the files among which weights are divided; none if one of them is not here, or the index is damaged."""
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    files = [index.parent / str(name) for name in names]
    return files if all(file.is_file() for file in files) else []
