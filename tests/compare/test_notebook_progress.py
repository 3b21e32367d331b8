"""Progress in a notebook."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

import tokimp as ti
from tests.compare.executors.byte_scorer import ByteScorer
from tokimp.compare.notebook_progress import in_notebook, notebook_progress
from tokimp.contracts.progress import Progress

CELL = Progress(done=1, total=4, chain_id="a", estimator="position", kept=False, tokens_forwarded=9, seconds_left=None)


def pretend(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    """Let IPython seem to run this process with a shell."""
    module = ModuleType("IPython")
    module.get_ipython = lambda: shell  # type: ignore[attr-defined] # a module has any attribute
    monkeypatch.setitem(sys.modules, "IPython", module)


def test_only_a_kernel_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without IPython, and its shell on a terminal, are no notebooks."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    pretend(monkeypatch, None)
    assert not in_notebook()
    pretend(monkeypatch, SimpleNamespace())
    assert not in_notebook()
    pretend(monkeypatch, SimpleNamespace(kernel=object()))
    assert in_notebook()


def test_nothing_is_shown_outside_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script gets no bar, and what the caller gives is called everywhere."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with notebook_progress("comparing", None) as report:
        assert report is None
    pretend(monkeypatch, SimpleNamespace(kernel=object()))
    seen: list[Progress] = []
    with notebook_progress("comparing", seen.append) as report:
        assert report is not None
        report(CELL)
    assert seen == [CELL]


def test_compare_shows_a_bar_in_a_notebook(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without being asked, `compare` tells how many cells are done, by which estimator, and cleans up at the end."""
    chains, scorer = ti.demo_chains(2), ByteScorer("bytes", device="cpu", dtype="float32")
    ti.compare(chains, scorer, ["position"])
    assert capsys.readouterr().err == ""
    pretend(monkeypatch, SimpleNamespace(kernel=object()))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    ti.compare(chains, scorer, ["position"])
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("TQDM_DISABLE")
    ti.compare(chains, scorer, ["position"])
    shown = capsys.readouterr().err
    assert "comparing: demo-01 by position" in shown
    assert shown.rstrip(" ").endswith("\r")
