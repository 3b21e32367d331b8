"""What several commands do before they load a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "CHAINS", "--model", "nofolder"],
        ["prune", "CHAINS", "--model", "nofolder", "--out", "short.jsonl"],
        ["bench", "CHAINS", "--model", "nofolder"],
        ["sample", "word_problems", "--limit", "2", "--model", "nofolder", "--out", "s"],
        ["evaluate", "word_problems", "--limit", "2", "--model", "nofolder", "--out", "e"],
        ["train", "CHAINS", "--student", "nofolder", "--out", "t"],
    ],
    ids=lambda command: command[0],
)
def test_a_search_on_the_hub_is_announced(
    tokimp: Run, chains_file: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Before a name is looked for on the hub that is so said; then the error begins with what is not here."""
    monkeypatch.setattr("tokimp.models.source.is_offline_mode", lambda: False)
    done = tokimp(*[str(chains_file) if word == "CHAINS" else word for word in command])
    assert done.status == 1
    first, second = done.err.splitlines()
    assert first.startswith("no folder or file 'nofolder' is here: looking for it on the hub")
    assert second.startswith("tokimp: there is no model folder or GGUF file 'nofolder' here")
