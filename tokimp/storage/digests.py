"""Digests of files, by which a later call knows that what it was to read has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tokimp.errors import TokimpError

# What makes a model's folder that model: weights, configuration, tokenizer.
_MODEL_FILES = ("*.json", "*.safetensors", "*.bin", "*.gguf", "*.model", "*.jinja")
_PIECE = 2**22


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises
    ------
    TokimpError
        If it cannot be read.
    """
    found = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                found.update(piece)
    except OSError as error:
        raise TokimpError(f"{path} cannot be read ({error}); is it there, and may it be read?") from error
    return found.hexdigest()


def model_digest(model: str) -> str:
    """Return a digest of a model's files where it lies in a folder or file; empty for a hub id and ``tiny``."""
    path = Path(model).expanduser()
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        return ""
    files = sorted({file for pattern in _MODEL_FILES for file in path.glob(pattern)})
    listed = "".join(f"{file.name} {file_digest(file)}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()
