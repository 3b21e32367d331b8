"""What the tests of categorizers share: a server to ask, and a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.categorizers.llm_server import Server, running_server


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a server on a free port of this machine."""
    with running_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _away_from_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep answers in the test's own folder, and take keys from the environment away."""
    monkeypatch.setenv("TOKIMP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TOKIMP_LLM_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
