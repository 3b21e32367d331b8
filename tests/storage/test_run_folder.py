"""A folder of a run: what is said where it holds another one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tokimp.errors import ResumeError
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
