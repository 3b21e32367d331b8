"""The journal: torn files are computed again, foreign ones not believed, and no two processes share a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.journal import Journal
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import ResumeError

IDENTITY: dict[str, Any] = {"seed": 0, "model": {"id": "m"}, "chains": [{"id": "é", "text": "0"}]}
CELL = Cell(
    Importance(
        np.array([1.0, 0.1 + 0.2, -0.0]),
        np.array([1, -1, 0]),
        Trajectory(np.array([-1.0, -2.5]), np.array([-0.5, -1.5]), np.array([-0.5, -1.0])),
        {"gap": 1e-300, "missing": float("nan")},
    ),
    seconds=0.25,
    tokens_forwarded=123,
)


def same_cell(a: Cell | None, b: Cell) -> bool:
    """Whether two cells hold the same bits."""
    assert a is not None
    one, other = a.importance, b.importance
    assert one.trajectory is not None
    assert other.trajectory is not None
    pairs = [(one.scores, other.scores), (one.order, other.order)]
    pairs += [(getattr(one.trajectory, name), getattr(other.trajectory, name)) for name in ("joint", "answer")]
    return (
        all(x is not None and y is not None and x.tobytes() == y.tobytes() for x, y in pairs)
        and repr(one.diagnostics) == repr(other.diagnostics)
        and (a.seconds, a.tokens_forwarded) == (b.seconds, b.tokens_forwarded)
    )


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Scores, order, trajectory, diagnostics, cost and log-probabilities come back to the bit, in another journal."""
    unpruned = UnprunedLogprobs(SpanLogprobs(np.array([-1.5], np.float32), np.array([-0.1], np.float32)), 0.5, 7)
    bare = Cell(Importance(np.array([3.0])), 0.0, 0)
    with Journal(tmp_path, IDENTITY) as journal:
        created = journal.created
        journal.store_cell(0, 1, CELL)
        journal.store_cell(0, 2, bare)
        journal.store_unpruned(0, unpruned)
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.created == created
        assert same_cell(journal.cell(0, 1), CELL)
        read_back = journal.cell(0, 2)
        assert read_back is not None
        assert read_back.importance.order is None
        assert read_back.importance.trajectory is None
        again = journal.unpruned(0)
        assert again is not None
        assert again.logprobs.reasoning.tobytes() == unpruned.logprobs.reasoning.tobytes()
        assert again.logprobs.answer.dtype == np.float32
        assert (again.seconds, again.tokens_forwarded) == (0.5, 7)
        assert journal.cell(1, 1) is None
        assert journal.unpruned(1) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one finished cell."""
    folder = tmp_path_factory.mktemp("run")
    with Journal(folder, IDENTITY) as journal:
        journal.store_cell(0, 0, CELL)
    return folder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_cell_is_absent_or_unharmed(folder: Path, data: st.DataObject) -> None:
    """A cell cut short, or with any one byte changed, is computed again unless its numbers are the same."""
    path = folder / "cells" / "000000-000.npz"
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:at]
    else:
        flipped = whole[at] ^ data.draw(st.integers(1, 255))
        damaged = whole[:at] + bytes([flipped]) + whole[at + 1 :]
    try:
        path.write_bytes(damaged)
        with Journal(folder, IDENTITY) as journal:
            stored = journal.cell(0, 0)
            assert stored is None or same_cell(stored, CELL)
            journal.store_cell(0, 0, CELL)
            assert same_cell(journal.cell(0, 0), CELL)
    finally:
        path.write_bytes(whole)


def test_a_cell_that_needs_unpickling_is_not_read(tmp_path: Path) -> None:
    """An archive with pickled objects in it is treated as damaged."""
    with Journal(tmp_path, IDENTITY) as journal:
        np.savez(tmp_path / "cells" / "000000-000.npz", scores=np.array([{}], dtype=object), allow_pickle=True)
        assert journal.cell(0, 0) is None


def test_cells_of_other_runs_and_places_are_not_believed(tmp_path: Path) -> None:
    """A cell copied from another run, or renamed within one, is computed again."""
    with Journal(tmp_path / "other", {**IDENTITY, "seed": 1}) as other:
        other.store_cell(0, 0, CELL)
    with Journal(tmp_path / "mine", IDENTITY) as journal:
        shutil.copy(tmp_path / "other/cells/000000-000.npz", tmp_path / "mine/cells/000000-000.npz")
        assert journal.cell(0, 0) is None
        journal.store_cell(0, 1, CELL)
        shutil.copy(tmp_path / "mine/cells/000000-001.npz", tmp_path / "mine/cells/000000-002.npz")
        assert journal.cell(0, 2) is None
        assert same_cell(journal.cell(0, 1), CELL)


def test_differences_are_named_with_before_and_now(tmp_path: Path) -> None:
    """Every difference between two runs is named with the field, its value before and its value now."""
    with Journal(tmp_path, IDENTITY):
        pass
    changed = {"seed": 1, "model": {"id": "m", "dtype": "bfloat16"}, "chains": [{"id": "é", "text": "1" * 100}, {}]}
    with pytest.raises(ResumeError) as caught, Journal(tmp_path, changed):
        pass
    message = str(caught.value)
    assert "seed: before 0, now 1" in message
    assert 'model.dtype: before nothing, now "bfloat16"' in message
    assert "number of chains: before 1, now 2" in message
    assert 'chains[0].text: before "0", now "111' in message
    assert "use another folder" in message


def test_not_a_number_is_no_difference(tmp_path: Path) -> None:
    """A parameter that is not a number is the same as itself."""
    identity = {"parameter": float("nan"), "pair": (1, 2)}
    for _ in range(2):
        with Journal(tmp_path, identity):
            pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """A file, a folder in a file, cells without a manifest, a manifest damaged or of another tokimp: each its error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ResumeError, match="is a file"), Journal(tmp_path / "file", IDENTITY):
        pass
    with pytest.raises(ResumeError, match="cannot be written to"), Journal(tmp_path / "file" / "run", IDENTITY):
        pass
    with Journal(tmp_path / "run", IDENTITY) as journal:
        journal.store_cell(0, 0, CELL)
    manifest = tmp_path / "run" / "run.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "format": 0}))
    with pytest.raises(ResumeError, match="format 0, here 2"), Journal(tmp_path / "run", IDENTITY):
        pass
    for damaged in ("", "[]", '{"format": 1}'):
        manifest.write_text(damaged)
        with pytest.raises(ResumeError, match="is damaged"), Journal(tmp_path / "run", IDENTITY):
            pass
    manifest.unlink()
    with pytest.raises(ResumeError, match=r"run\.json is missing"), Journal(tmp_path / "run", IDENTITY):
        pass


HOLD = """
import sys, time
from pathlib import Path
from tokimp.compare.journal import Journal
with Journal(Path(sys.argv[1]), {}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    """A folder in use is refused until the process that uses it ends, be it by a kill."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(ResumeError, match="another process is at work in this folder"), Journal(tmp_path, {}):
                pass
        finally:
            holder.kill()
            holder.wait()
    with Journal(tmp_path, {}):
        pass


def test_a_refused_folder_is_let_go(tmp_path: Path) -> None:
    """After a refusal the folder can be opened for what it holds."""
    with Journal(tmp_path, IDENTITY):
        pass
    with pytest.raises(ResumeError), Journal(tmp_path, {}):
        pass
    with Journal(tmp_path, IDENTITY), pytest.raises(ResumeError, match="at work"), Journal(tmp_path, IDENTITY):
        pass


def test_leftovers_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    """Half-written files of an earlier process are gone after the journal is opened, and nothing else is."""
    with Journal(tmp_path, IDENTITY):
        pass
    (tmp_path / "cells" / ".000000-000.npz.0123abcd.partial").write_bytes(b"half")
    for name in (
        ".run.json.0123abcd.partial",
        ".results.nc.0123abcd.partial",
        ".agreement.png.0123abcd-1-0123abcd.partial",
    ):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "results.nc").write_bytes(b"whole")
    with Journal(tmp_path, IDENTITY):
        pass
    assert not list((tmp_path / "cells").iterdir())
    assert {path.name for path in tmp_path.iterdir()} - {".lock"} == {"cells", "run.json", "results.nc"}


@pytest.mark.parametrize("key", ["scores", "seconds", "names", "values", "answer", "run", "name"])
def test_a_cell_that_lacks_an_array_is_computed_again(tmp_path: Path, key: str) -> None:
    """A cell whose archive is whole, and lacks something or holds it in another shape, counts as missing."""
    with Journal(tmp_path, IDENTITY) as journal:
        path = tmp_path / "cells" / "000000-000.npz"
        for replacement in ({}, {key: np.zeros((2, 2))}):
            journal.store_cell(0, 0, CELL)
            with np.load(path) as archive:
                arrays = {name: archive[name] for name in archive.files if name != key}
            np.savez(path, **{**arrays, **replacement})
            assert journal.cell(0, 0) is None
