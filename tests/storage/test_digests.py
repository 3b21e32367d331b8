"""Digests of files: they follow the content, and say what cannot be read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tokimp.errors import TokimpError
from tokimp.storage.digests import file_digest, json_digest, model_digest


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    """SHA-256 of the whole file, however it is read; one that is not there is named."""
    path = tmp_path / "file"
    content = bytes(range(256)) * 2**15
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(TokimpError, match="nowhere cannot be read"):
        file_digest(tmp_path / "nowhere")


def test_the_digest_of_plain_data_is_that_of_its_content() -> None:
    """The order of keys, and tuples for lists, change nothing; a value does."""
    assert json_digest({"a": 1, "b": (2, 3)}) == json_digest({"b": [2, 3], "a": 1})
    assert json_digest({"a": 1}) != json_digest({"a": 2})
    assert json_digest([1, 2]) != json_digest([2, 1])


def test_the_digest_of_a_model_follows_its_files(tmp_path: Path) -> None:
    """Weights, configuration and tokenizer count, other files do not; a hub id has no digest."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = model_digest(str(tmp_path))
    (tmp_path / "README.md").write_text("notes")
    assert model_digest(str(tmp_path)) == first
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert model_digest(str(tmp_path)) != first
    assert model_digest(str(tmp_path / "config.json")) == file_digest(tmp_path / "config.json")
    assert model_digest("owner/name") == ""
