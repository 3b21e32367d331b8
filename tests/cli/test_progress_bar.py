"""The bar that shows how far a run has come."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tokimp.cli.progress_bar import progress_bar
from tokimp.contracts.progress import Progress


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("chain_id", ["[/]", "[red]x", "\x1b]0;owned\x07", "[/bold"])
def test_any_id_can_be_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, chain_id: str) -> None:
    """An id is neither markup nor a control sequence: the bar shows it, and sets no title."""
    monkeypatch.setenv("TERM", "xterm")
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("comparing") as show:
        show(Progress(1, 2, chain_id, "greedy", kept=False, tokens_forwarded=1, seconds_left=1.0))
    written = terminal.getvalue()
    assert "comparing" in written
    assert "\x1b]0;" not in written
    # rich itself drops the bell.
    assert chain_id.replace("\x1b", "\\x1b").replace("\x07", "") in written


def test_an_id_that_looks_like_markup_is_compared(tokimp: Run, tmp_path: Path) -> None:
    """A chain called [/] gets its result, its tables and its line among those left out."""
    records = [
        {"id": name, "question": "How many?", "reasoning": "She has 3+4=7 cups.", "answer": "#### 7"}
        for name in ("[/]", "\x1b[31mred")
    ]
    records.append({"id": "[red]\x1b]0;t\x07", "question": "How many?", "reasoning": "", "answer": "#### 7"})
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    done = tokimp("compare", "c.jsonl", "--estimator", "position", "--skip-bad", "--out", "run")
    assert done.status == 0, done.err
    assert (tmp_path / "run" / "results.nc").is_file()
    assert "\x1b" not in done.out + done.err
    assert "left out: c.jsonl:3: the reasoning is empty" in done.out
