"""Digests of files and of plain data: a later call sees by them whether its input has changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tokimp.errors import TokimpError

# The files that make a model's folder that model: weights, configuration, tokenizer.
_MODEL_FILES = ("*.json", "*.safetensors", "*.bin", "*.gguf", "*.model", "*.jinja")
_BYTES_AT_ONCE = 2**22


def json_digest(content: Any) -> str:
    """Return the SHA-256 of something JSON can hold, in hexadecimal.

    The order of an object's keys does not matter, and a tuple counts as a list.

    Examples
    --------
    >>> json_digest({"a": 1, "b": (2,)}) == json_digest({"b": [2], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises
    ------
    TokimpError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while content := stream.read(_BYTES_AT_ONCE):
                digest.update(content)
    except OSError as error:
        raise TokimpError(f"{path} cannot be read ({error}); is it there, and may it be read?") from error
    return digest.hexdigest()


def model_digest(model: str) -> str:
    """Return a digest of the files of a model that is kept in a local folder or file.

    Parameters
    ----------
    model
        A model as the user names it: a folder, a file, or anything else that a loader knows.

    Returns
    -------
    str
        In hexadecimal; empty where there is no such folder or file (a hub id, ``tiny``).

    Raises
    ------
    TokimpError
        If one of the files cannot be read.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        return ""
    files = sorted({file for pattern in _MODEL_FILES for file in path.glob(pattern)})
    lines = "".join(f"{file.name} {file_digest(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
