"""GGUF files, converted once: their weights, configuration and tokenizer are kept in the cache folder.

Transformers unpacks a GGUF file anew each time it is loaded, which takes a minute for 100 MB. What it makes of the file
is kept in a folder named by the file's content, transformers' version and the precision. Such folders can be deleted at
any time. One that is damaged is made anew.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tokimp.errors import ResumeError, StorageError, TokimpError
from tokimp.models.checkpoint import check_complete
from tokimp.models.source import gguf_not_loaded
from tokimp.storage.atomic import replacing
from tokimp.storage.cache_folder import cache_folder
from tokimp.storage.digests import file_digest
from tokimp.storage.folder_lock import locked
from tokimp.storage.json_file import read_json

FOLDER = "gguf"
_CHECKS = "checks.json"
_LONGEST_CONVERSION = 3600.0  # seconds for which another process is waited for


def in_place_of_gguf(
    name: str, source: str, loading: dict[str, Any], convert: Callable[[Path], Path]
) -> tuple[str, dict[str, Any]]:
    """Return what to load in the place of a GGUF file: what is kept of it in the cache folder. Else the same again.

    Parameters
    ----------
    name
        The model's name, for errors.
    source, loading
        What transformers would load, and the arguments with which it would.
    convert
        `converted_texts`, or `converted_weights` with a precision.

    Returns
    -------
    source, loading
        As above.

    Raises
    ------
    ScorerError
        If the file cannot be read.

    Warns
    -----
    RuntimeWarning
        If nothing can be kept in the cache folder.
    """
    if "gguf_file" not in loading:
        return source, loading
    try:
        folder = convert(Path(source) / loading["gguf_file"])
    except (StorageError, ResumeError, OSError) as error:
        warnings.warn(
            f"what the GGUF file of {name!r} is converted to cannot be kept, and is made anew each time: {error} (the "
            "environment variable TOKIMP_CACHE names another folder)",
            RuntimeWarning,
            stacklevel=3,
        )
        return source, loading
    except TokimpError:
        raise
    # As for the configuration.
    except Exception as error:
        raise gguf_not_loaded(name, error) from error
    return str(folder), {"trust_remote_code": False, "local_files_only": True}


def converted_texts(file: Path) -> Path:
    """Return a folder with the configuration and the tokenizer of a GGUF file, in transformers' own files.

    Raises
    ------
    StorageError, ResumeError
        If nothing can be kept in the cache folder.
    Exception
        What transformers raises if it cannot read the file.
    """

    def make(folder: Path) -> None:
        from transformers import AutoConfig, AutoTokenizer  # noqa: PLC0415 - slow to import

        AutoConfig.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)

    return _kept(_place(file) / "texts", make)


def converted_weights(file: Path, precision: torch.dtype | None) -> Path:
    """Return a folder with the model of a GGUF file, its weights unpacked.

    Parameters
    ----------
    file
        The file.
    precision
        The precision of the weights; ``None`` for the one that transformers chooses.

    Raises
    ------
    ScorerError
        If the weights do not fit the configuration.
    StorageError, ResumeError, Exception
        As for `converted_texts`.
    """

    def make(folder: Path) -> None:
        _unpacked(file, precision).save_pretrained(folder)

    name = "as-stored" if precision is None else str(precision).removeprefix("torch.")
    return _kept(_place(file) / name, make)


def is_converted(file: Path) -> bool:
    """Return whether something of a GGUF file's content is kept already, whole or not."""
    return _place(file).is_dir()


def kept_bytes() -> int:
    """Return how much all converted GGUF files take in the cache folder, in bytes."""
    return sum(path.stat().st_size for path in (cache_folder() / FOLDER).rglob("*") if path.is_file())


def _unpacked(file: Path, precision: torch.dtype | None) -> Any:
    """Load a GGUF file with plain weights."""
    from transformers import AutoModelForCausalLM, GgufConfig  # noqa: PLC0415 - slow to import

    loaded: Any = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype="auto" if precision is None else precision,
        # Otherwise it would depend on the libraries that are installed whether weights stay packed.
        quantization_config=GgufConfig(dequantize=True),
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # the report names them; the error would not
    )
    model, report = loaded
    check_complete(file.name, model.config, report)
    return model


def _place(file: Path) -> Path:
    state = file.stat()
    content = _content(file.resolve(), state.st_size, state.st_mtime_ns)
    return cache_folder() / FOLDER / f"{content[:32]}-transformers-{version('transformers')}"


@lru_cache(maxsize=16)
def _content(file: Path, size: int, changed: int) -> str:
    """Return the digest of a file, computed once in a process as long as its size and time stay the same."""
    return file_digest(file)


def _kept(place: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills, made once by one process at a time, and again if its files are damaged."""
    if _is_whole(place):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.parent, wait=_LONGEST_CONVERSION):
        # Another process may have made it meanwhile.
        if not _is_whole(place):
            with replacing(place) as partial:
                partial.mkdir()
                make(partial)
                checks = {file.name: _check(file) for file in partial.iterdir()}
                (partial / _CHECKS).write_text(json.dumps(checks, indent=1), encoding="utf-8")
    return place


def _is_whole(place: Path) -> bool:
    """Return whether a folder holds exactly the files that were written, byte for byte."""
    try:
        checks = read_json(place / _CHECKS)
        found = {file.name: _check(file) for file in place.iterdir() if file.name != _CHECKS}
    except (OSError, ValueError, TokimpError):
        return False
    return bool(found == checks)


def _check(file: Path) -> list[Any]:
    return [file.stat().st_size, file_digest(file)]
