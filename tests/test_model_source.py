"""Where a model's name points, and what is said if nothing is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tokimp.errors import ScorerError
from tokimp.model_source import asks_the_hub, not_loaded


def test_the_hub_is_asked_for_what_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub id that was never fetched is looked for; a folder, the embedded model and what is no id are not."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    names = ("nobody/nothing-at-all", "nofolder-of-this-name", "here", "tiny", "no id")
    assert [asks_the_hub(name) for name in names] == [True, True, False, False, False]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert not asks_the_hub("nobody/nothing-at-all")
    with pytest.raises(ScorerError, match="there is no model folder"):
        asks_the_hub("./nowhere")


def test_a_model_that_was_fetched_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hub's client has its configuration, nothing is said of a search."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert asks_the_hub("owner/model")
    commit = "a" * 40
    kept = tmp_path / "models--owner--model"
    (kept / "snapshots" / commit).mkdir(parents=True)
    (kept / "snapshots" / commit / "config.json").write_text("{}", encoding="utf-8")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit, encoding="utf-8")
    assert not asks_the_hub("owner/model")


@pytest.mark.parametrize("offline", [False, True])
def test_that_nothing_is_here_is_said_first(offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder is not blamed on the network: that it is missing stands first, and the hub comes after."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    error = OSError("We couldn't connect, see 'docs#offline-mode'.")
    error.__cause__ = LocalEntryNotFoundError("no connection")
    said = str(not_loaded("nofolder", "nofolder", error))
    assert said.startswith("there is no model folder or GGUF file 'nofolder' here; if it is meant as a hub id: ")
    assert ("is not asked" in said) == offline
    assert ("could not be reached" in said) != offline


def test_what_the_hub_has_said_is_told() -> None:
    """An id that the hub refuses is told with the reason, without a full stop of its own."""
    said = str(not_loaded("owner/model", "owner/model", OSError("it is gated.")))
    assert said.endswith("'owner/model' here, and as a hub id it cannot be loaded: OSError: it is gated")
