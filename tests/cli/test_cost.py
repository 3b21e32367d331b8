"""What a run will cost is said on request, and asked for at a terminal where it would take long."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

import tokimp as ti
from tests.cli.conftest import Run
from tests.compare.test_compare import script
from tokimp.cli import cost
from tokimp.contracts.registry import load_executor

COMMAND = ("--estimator", "leave_one_out", "--estimator", "position", "--out", "run")


def test_an_estimate_is_printed_and_nothing_is_written(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """Each estimator has a line with cells, positions, time and disk; the folder of the run is not made."""
    done = tokimp("compare", chains_file, *COMMAND, "--estimate")
    assert done.status == 0, done.err
    for named in ("leave_one_out", "position", "unpruned chains", "all, with results.nc", "memory: "):
        assert named in done.out
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_worker_makes_the_trial(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """Where workers load the model one of them tries it, and the time is that of all together."""
    done = tokimp("compare", chains_file, *COMMAND, "--estimate", "--executor", "processes", "--workers", "2")
    assert done.status == 0, done.err
    assert "What the run will cost, by 2 workers at once on cpu" in done.out
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_analysis_is_tried_on_its_shortest_chains(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """The positions are about those that it then takes; nothing is written, and what is known already costs nothing."""
    assert tokimp("compare", chains_file, *COMMAND).status == 0
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    command = ("analyze", "run", "faithfulness:n_uniform=1")
    done = tokimp(*command, "--estimate")
    assert done.status == 0, done.err
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
    (row,) = [line.split() for line in done.out.splitlines() if "faithfulness of a chain" in line]
    assert row[4] == "3"
    assert tokimp(*command).status == 0
    (node,) = (
        node for name, node in ti.load("run/results.nc")["analysis"].children.items() if name.startswith("faith")
    )
    assert float(row[5].replace(",", "")) == pytest.approx(node.attrs["tokens_forwarded"], rel=0.3)
    assert "nothing is left to do" in tokimp(*command, "--estimate").out
    assert "leave out --estimate" in tokimp("analyze", "run", "agreement", "--estimate").err


@pytest.mark.parametrize("command", [("sample", "--n", "2"), ("evaluate",)])
def test_questions_are_tried_with_short_responses(tokimp: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    """What all responses cost at most is said, and no folder is made."""
    done = tokimp(command[0], "word_problems", "--limit", "4", *command[1:], "--estimate", "--out", "asked")
    assert done.status == 0, done.err
    assert " of 160 tokens" in done.out
    assert not (tmp_path / "asked").exists()


def compare() -> None:
    """Compare, with the question that a terminal would be asked."""
    check = cost.cost_check(None, estimate=False, yes=False)
    ti.compare(script.CHAINS[:2], script.ByteScorer(), ["position"], before_work=check)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let this be a terminal at which everything is asked for; return the questions, which are answered with no."""
    asked = list[str]()

    def confirm(question: str, *, err: bool) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr(cost, "_at_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    return asked


def test_what_takes_long_is_asked_for(
    terminal: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a terminal, a run that takes longer than ten minutes is shown and asked for, and a no ends it."""
    compare()
    assert terminal == []
    monkeypatch.setattr(cost, "_LONG", 0.0)
    with pytest.raises(click.exceptions.Exit) as ended:
        compare()
    assert ended.value.exit_code == 1
    assert len(terminal) == 1
    assert terminal[0].startswith("This takes about 0.")
    said = capsys.readouterr().err
    assert "What the run will cost" in said
    assert "not started; --limit takes fewer chains" in said


@pytest.mark.usefixtures("terminal")
def test_nobody_is_asked_who_said_yes_or_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --yes or without a terminal a run starts at once; with workers it is asked for as any other."""
    assert cost.cost_check(None, estimate=False, yes=True) is None
    assert cost.cost_check(load_executor("processes:workers=2"), estimate=False, yes=False) is not None
    monkeypatch.setattr(cost, "_at_terminal", lambda: False)
    assert cost.cost_check(None, estimate=False, yes=False) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (42, "42 s"), (130, "2 min"), (7200, "2.0 h"), (3600 * 60, "2.5 days")],
)
def test_times_are_said_as_a_person_would(seconds: float, text: str) -> None:
    """A time has the unit that fits it."""
    assert cost._duration(seconds) == text
