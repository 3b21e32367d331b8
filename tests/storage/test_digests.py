"""Digests of files: they follow the content, and say what cannot be read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tokimp.errors import TokimpError
from tokimp.storage.digests import file_digest


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    """SHA-256 of the whole file, however it is read; one that is not there is named."""
    path = tmp_path / "file"
    content = bytes(range(256)) * 2**15
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(TokimpError, match="nowhere cannot be read"):
        file_digest(tmp_path / "nowhere")
