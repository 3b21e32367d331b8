"""``tokimp audit`` and ``tokimp leaderboard``: what they will cost is said before, and asked for where it is long."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.cli.conftest import Run
from tokimp.cli import cost

AUDIT = ("audit", "position", "--quick", "--limit", "2", "--changed-chains", "1", "--unit", "sentence", "--out", "run")


def test_an_estimate_is_printed_and_nothing_is_written(tokimp: Run, tmp_path: Path) -> None:
    """Estimators, analyses and changed models have a line each; the folder of the audit is not made."""
    done = tokimp(*AUDIT, "--estimate")
    assert done.status == 0, done.err
    named = ("position", "uniform", "unpruned chains", "faithfulness", "loading of changed models")
    for said in (*named, "all, with results.nc", "memory: "):
        assert said in done.out
    assert not (tmp_path / "run").exists()


def test_an_audit_that_takes_long_is_asked_for(tokimp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal a no ends it before anything is written."""
    asked = list[str]()

    def confirm(question: str, *, err: bool) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr(cost, "_at_terminal", lambda: True)
    monkeypatch.setattr(cost, "_LONG", 0.0)
    monkeypatch.setattr(click, "confirm", confirm)
    done = tokimp(*AUDIT)
    assert done.status == 1
    assert len(asked) == 1
    assert asked[0].startswith("This takes about ")
    assert "not started; --limit takes fewer chains" in done.err
    assert not (tmp_path / "run").exists()


def test_an_estimate_of_a_leaderboard_is_one_table(tokimp: Run, tmp_path: Path) -> None:
    """All units are in it, and no audit is begun; where none would be made there is nothing to estimate."""
    configuration = tmp_path / "small.yaml"
    configuration.write_text(
        "estimators: [position]\nunits: [sentence, word]\n"
        "audit: {backend: nnsight, limit: 2, cuts: 2, changed_chains: 1, seeds: 0, metrics: ['faithfulness']}\n",
        encoding="utf-8",
    )
    done = tokimp("leaderboard", configuration, "--estimate", "--out", "run")
    assert done.status == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    for unit in ("sentence", "word"):
        for what in (["position"], ["faithfulness"], ["loading", "of", "the", "model"]):
            assert any(row[: len(what) + 1] == [*what, unit] for row in rows), (what, unit, done.out)
    assert "all, with results.nc" in done.out
    assert "of a chain" not in done.out
    assert not (tmp_path / "run").exists()
    assert tokimp("leaderboard", configuration, "--estimate", "--page-only").status == 2
