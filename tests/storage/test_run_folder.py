"""A folder of a run: what is said where it holds another one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tokimp.errors import ResumeError, TokimpWarning
from tokimp.storage.run_folder import RunFolder


def entered(folder: Path, identity: dict[str, Any], origin: dict[str, Any] | None) -> None:
    """Enter a folder as a run."""
    with RunFolder(folder, identity, "work", origin=origin):
        pass


def test_where_things_come_from_is_named_instead_of_what_came_of_it(tmp_path: Path) -> None:
    """Of other questions the seed is named, and beside it whatever differs on its own account."""
    entered(tmp_path, {"questions": ["a", "b"], "model": "m"}, {"seed": 1, "limit": 2})
    with pytest.raises(ResumeError, match=re.escape("run (seed: before 1, now 2): repeat")):
        entered(tmp_path, {"questions": ["c", "d"], "model": "m"}, {"seed": 2, "limit": 2})
    with pytest.raises(ResumeError, match=re.escape('(limit: before 2, now 1; model: before "m", now "n"): repeat')):
        entered(tmp_path, {"questions": ["a"], "model": "n"}, {"seed": 1, "limit": 1})


def test_another_origin_of_the_same_is_the_same_run(tmp_path: Path) -> None:
    """A copied file, or a limit that leaves nothing out, changes nothing; nor is it blamed for what it is not."""
    entered(tmp_path, {"questions": ["a"], "model": "m"}, {"source": "x", "limit": None})
    entered(tmp_path, {"questions": ["a"], "model": "m"}, {"source": "copy/x", "limit": 9})
    with pytest.raises(ResumeError, match=re.escape('run (model: before "m", now "n"): repeat')):
        entered(tmp_path, {"questions": ["a"], "model": "n"}, {"source": "copy/x", "limit": 9})


@pytest.mark.parametrize(("before", "now"), [(None, {"seed": 2}), ({"seed": 1}, None), ({"seed": 1}, {"seed": 1})])
def test_an_origin_that_does_not_explain_it_leaves_the_questions_named(
    tmp_path: Path, before: dict[str, Any] | None, now: dict[str, Any] | None
) -> None:
    """Where it was not recorded, or is the same (a file that was changed), what differs is said itself."""
    entered(tmp_path, {"questions": ["a"]}, before)
    with pytest.raises(ResumeError, match=re.escape('run (questions[0]: before "a", now "b"): repeat')):
        entered(tmp_path, {"questions": ["b"]}, now)


def test_a_run_of_another_command_is_said_to_be_one(tmp_path: Path) -> None:
    """Two runs that have nothing in common but versions are not compared part by part."""
    entered(tmp_path, {"model": "a", "estimators": [1], "versions": {"torch": "2"}}, None)
    with pytest.raises(ResumeError, match=r"of another command, which has model, estimators, versions: use"):
        entered(tmp_path, {"student": "b", "versions": {"torch": "2"}}, None)


def test_numbers_of_threads_are_recorded_and_another_one_is_said(tmp_path: Path) -> None:
    """The first number is kept in silence; another one is said once, and the run stays the same run."""
    run = RunFolder(tmp_path, {"seed": 1}, "work", origin={"seed": 1})
    with run:
        run.note_threads(2)
        run.note_threads(2)
    with RunFolder(tmp_path, {"seed": 1}, "work", origin={"seed": 1}) as again:
        assert (again.threads, again.run, again.created) == ([2], run.run, run.created)
        with pytest.warns(TokimpWarning, match="computed with 2 threads, and the rest with 1.*OMP_NUM_THREADS=2"):
            again.note_threads(1)
        again.note_threads(1)
        again.note_threads(2)
    with RunFolder(tmp_path, {"seed": 1}, "work") as third:
        assert (third.threads, third.run) == ([2, 1], run.run)


def test_a_growing_run_keeps_its_numbers_of_threads(tmp_path: Path) -> None:
    """What is recorded anew, because the run has more of it now, still says what the earlier cells were made with."""

    class Growing(RunFolder):
        def _start_or_continue(self) -> None:
            super()._start_or_continue()
            self._record_growth()

    with Growing(tmp_path, {"chains": ["a"]}, "work", growing=("chains",)) as run:
        run.note_threads(3)
    with Growing(tmp_path, {"chains": ["a", "b"]}, "work", growing=("chains",)):
        pass
    with Growing(tmp_path, {"chains": ["a", "b"]}, "work", growing=("chains",)) as again:
        assert again.threads == [3]


def test_work_of_an_unknown_number_of_threads(tmp_path: Path) -> None:
    """A folder of a version that recorded none is continued, and the message does not make a number up."""
    entered(tmp_path, {"seed": 1}, None)
    manifest = tmp_path / "run.json"
    content = {
        key: value for key, value in json.loads(manifest.read_text()).items() if key not in {"threads", "digest"}
    }
    manifest.write_text(json.dumps(content))
    with RunFolder(tmp_path, {"seed": 1}, "work") as run:
        assert run.threads == [None]
        with pytest.warns(TokimpWarning, match="with an unknown number of threads, and the rest with 4: last bits"):
            run.note_threads(4)


@pytest.mark.parametrize("field", ["format", "created", "run", "origin", "threads", "digest"])
def test_a_record_that_was_changed_is_damaged(tmp_path: Path, field: str) -> None:
    """Whatever field of run.json is changed, its digest shows it, and the folder is not touched."""
    with RunFolder(tmp_path, {"seed": 1}, "work", origin={"seed": 1}) as run:
        run.note_threads(1)
    manifest = tmp_path / "run.json"
    content = json.loads(manifest.read_text())
    changed: dict[str, Any] = {
        "format": 1,
        "created": "2020-01-01T00:00:00+00:00",
        "run": {"seed": 2},
        "origin": {"seed": 2},
        "threads": [9],
        "digest": "0" * 64,
    }
    manifest.write_text(json.dumps({**content, field: changed[field]}))
    before = manifest.read_bytes()
    with pytest.raises(
        ResumeError, match=r"run\.json is damaged \(it does not have the digest that it was written with"
    ):
        entered(tmp_path, {"seed": 1}, {"seed": 1})
    assert manifest.read_bytes() == before
