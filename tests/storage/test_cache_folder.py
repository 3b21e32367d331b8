"""The cache folder: where the user says, else where the system has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tokimp.storage.cache_folder import cache_folder


def test_the_users_choice_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``TOKIMP_CACHE`` names the folder itself; a tilde stands for the home folder."""
    monkeypatch.setenv("TOKIMP_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("TOKIMP_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems keep caches elsewhere")
def test_on_linux_it_lies_where_it_always_lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of earlier versions are found: in ``$XDG_CACHE_HOME``, or in ``~/.cache``."""
    monkeypatch.delenv("TOKIMP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tokimp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "tokimp"
