"""What the tests of the command line share: a way to run it, and a small model to run it on."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tokimp.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """Exit status and output of one run of the command line."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def tokimp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs ``tokimp`` in this process, in an empty folder, as a shell would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    # A model that is not there is said to be missing at once, not after the hub has been tried again and again.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    # The command changes these for its whole process, which here is that of the tests.
    for variable in ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    on_interrupt = signal.getsignal(signal.SIGINT)

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tokimp", *map(str, arguments)])
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as stopped:
                main()
        finally:
            signal.signal(signal.SIGINT, on_interrupt)
        written = capsys.readouterr()
        code = stopped.value.code
        return Outcome(code if isinstance(code, int) else 0, written.out, written.err)

    return run


@pytest.fixture
def chains_file(tmp_path: Path) -> Path:
    """Return a JSONL file with three short chains in the manner of the embedded ones."""
    path = tmp_path / "chains.jsonl"
    texts = [
        ("Ann has 3 cups. She buys 4 cups. How many cups?", "She has 3+4=7 cups.", "#### 7"),
        ("Bob has 9 pens. He loses 2 pens. How many pens?", "He has 9-2=7 pens left.", "#### 7"),
        ("Eve has 2 hats. She gets 5 hats. How many hats?", "Now 2+5=7. So 7 hats.", "#### 7"),
    ]
    records = [
        {"id": f"c{index}", "question": question, "reasoning": reasoning, "answer": answer, "wrong_answer": "#### 8"}
        for index, (question, reasoning, answer) in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture
def broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package whose estimator cannot be imported."""
    metadata = tmp_path / "site" / "broken_method-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-method\nVersion: 1.0\n", encoding="utf-8")
    entry = "[tokimp.estimators]\nbroken = broken_method_module:Method\n"
    (metadata / "entry_points.txt").write_text(entry, encoding="utf-8")
    monkeypatch.syspath_prepend(str(metadata.parent))
