"""The journal: what is stored comes back wherever it stands, and no two processes share a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.journal import Journal, finished_cells
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import ResumeError

IDENTITY: dict[str, Any] = {
    "seed": 0,
    "model": {"id": "m"},
    "estimators": [{"label": "a"}, {"label": "b", "parameters": {"p": float("nan")}}, {"label": "c"}],
    "chains": [{"id": "é", "text": "0"}, {"id": "2", "text": "1"}],
}
EMPTY: dict[str, Any] = {"chains": [], "estimators": []}
UNPRUNED = UnprunedLogprobs(SpanLogprobs(np.array([-1.5], np.float32), np.array([-0.1], np.float32)), 0.5, 7)
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
    bare = Cell(Importance(np.array([3.0])), 0.0, 0)
    with Journal(tmp_path, IDENTITY) as journal:
        created = journal.created
        journal.store_cell(0, 1, CELL)
        journal.store_cell(0, 2, bare)
        journal.store_unpruned(0, UNPRUNED)
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.created == created
        assert same_cell(journal.cell(0, 1), CELL)
        read_back = journal.cell(0, 2)
        assert read_back is not None
        assert read_back.importance.order is None
        assert read_back.importance.trajectory is None
        again = journal.unpruned(0)
        assert again is not None
        assert again.logprobs.reasoning.tobytes() == UNPRUNED.logprobs.reasoning.tobytes()
        assert again.logprobs.answer.dtype == np.float32
        assert (again.seconds, again.tokens_forwarded) == (0.5, 7)
        assert journal.cell(1, 1) is None
        assert journal.unpruned(1) is None


def test_cells_of_another_run_are_not_believed(tmp_path: Path) -> None:
    """A file of records copied from the run of another seed is passed over."""
    with Journal(tmp_path / "other", {**IDENTITY, "seed": 1}) as other:
        other.store_cell(0, 0, CELL)
    with Journal(tmp_path / "mine", IDENTITY):
        pass
    shutil.copy(tmp_path / "other/cells/0.records", tmp_path / "mine/cells/1.records")
    with Journal(tmp_path / "mine", IDENTITY) as journal:
        assert journal.cell(0, 0) is None


def test_a_run_that_grows_keeps_its_cells(tmp_path: Path) -> None:
    """With more chains and estimators, in any order, each cell is found where it stands now; then less is refused."""
    with Journal(tmp_path, IDENTITY) as journal:
        created = journal.created
        journal.store_cell(1, 0, CELL)
        journal.store_wrong_answer(1, "#### 9")
    grown = {
        **IDENTITY,
        "estimators": [{"label": "new"}, *reversed(IDENTITY["estimators"])],
        "chains": [{"id": "new", "text": "2"}, *reversed(IDENTITY["chains"])],
    }
    with Journal(tmp_path, grown) as journal:
        assert journal.created == created
        assert same_cell(journal.cell(1, 3), CELL)
        assert journal.wrong_answer(1) == "#### 9"
        assert [journal.cell(chain, 3) for chain in (0, 2)] == [None, None]
    with pytest.raises(ResumeError, match="number of chains: before 3, now 2"), Journal(tmp_path, IDENTITY):
        pass
    assert finished_cells(tmp_path) == (1, 12)


def test_only_lists_of_chains_and_estimators_grow(tmp_path: Path) -> None:
    """Another chain in the place of one, or a difference beside what was added, is refused and named."""
    with Journal(tmp_path, IDENTITY):
        pass
    more = [*IDENTITY["chains"], {"id": "3", "text": "2"}]
    with (
        pytest.raises(ResumeError, match=r"run \(seed: before 0, now 1\)"),
        Journal(tmp_path, {**IDENTITY, "chains": more, "seed": 1}),
    ):
        pass
    changed = [{"id": "é", "text": "9"}, *more[1:]]
    with (
        pytest.raises(ResumeError, match=r'before 2, now 3; chains\[0\].text: before "0", now "9"'),
        Journal(tmp_path, {**IDENTITY, "chains": changed}),
    ):
        pass


def test_a_group_that_gained_a_chain_is_computed_again(tmp_path: Path) -> None:
    """Of five chains in groups of two, the last one is alone; beside a sixth it is asked about again, and only it."""
    chains = [{"id": str(number)} for number in range(6)]
    run = {**IDENTITY, "chains_at_once": 2}
    with Journal(tmp_path, {**run, "chains": chains[:5]}) as journal:
        for chain in range(5):
            journal.store_cell(chain, 0, CELL)
            journal.store_unpruned(chain, UNPRUNED)
    with Journal(tmp_path, {**run, "chains": chains}) as journal:
        assert [journal.cell(chain, 0) is None for chain in range(6)] == [False] * 4 + [True] * 2
        # The whole chain is always asked about alone.
        assert [journal.unpruned(chain) is None for chain in range(6)] == [False] * 5 + [True]


def test_the_path_of_a_model_may_change(tmp_path: Path) -> None:
    """The same fingerprint is the same model, and its cells are kept."""
    with Journal(tmp_path, {**IDENTITY, "model": {"model_id": "here", "fingerprint": "f"}}) as journal:
        journal.store_cell(0, 0, CELL)
    with Journal(tmp_path, {**IDENTITY, "model": {"model_id": "there", "fingerprint": "f"}}) as journal:
        assert same_cell(journal.cell(0, 0), CELL)


def test_a_cell_that_failed_is_remembered(tmp_path: Path) -> None:
    """What was recorded of a failure comes back, and is no cell."""
    with Journal(tmp_path, IDENTITY) as journal:
        journal.store_failure(0, 0, {"type": "ValueError", "message": "no\nuse"})
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.failure(0, 0) == {"type": "ValueError", "message": "no\nuse"}
        assert (journal.failure(0, 1), journal.cell(0, 0)) == (None, None)
    assert finished_cells(tmp_path) == (0, 6)


def earlier_file(folder: Path, place: str, digest: str, **changed: Any) -> Path:
    """Write a cell as 0.1.0 did: a file of its own, named by the indices of chain and estimator."""
    arrays = {
        "scores": CELL.importance.scores,
        "names": np.array(["gap"]),
        "values": np.array([0.5]),
        "seconds": np.array(0.25),
        "tokens_forwarded": np.array(123),
        "run": np.array(digest),
        "name": np.array(place),
        **changed,
    }
    path = folder / "cells" / f"{place}.npz"
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


def test_cells_of_earlier_versions_are_taken_over(tmp_path: Path) -> None:
    """Files of one cell each become records, also where the run grows at once; their folder can be opened again."""
    with Journal(tmp_path, IDENTITY) as journal:
        run = journal.run
    earlier_file(tmp_path, "000001-002", run)
    np.savez(tmp_path / "cells" / "000000-wrong-answer.npz", text=np.array("9"), run=run, name="000000-wrong-answer")
    assert finished_cells(tmp_path) == (1, 6)
    grown = {**IDENTITY, "chains": [{"id": "new"}, *IDENTITY["chains"]]}
    for _ in range(2):
        with Journal(tmp_path, grown) as journal:
            cell = journal.cell(2, 2)
            assert cell is not None
            assert cell.importance.scores.tobytes() == CELL.importance.scores.tobytes()
            assert (cell.importance.diagnostics, cell.seconds, cell.tokens_forwarded) == ({"gap": 0.5}, 0.25, 123)
            assert journal.wrong_answer(1) == "9"
        assert not list(tmp_path.glob("cells/*.npz"))
    assert finished_cells(tmp_path) == (1, 9)


@pytest.mark.parametrize(
    "changed",
    [
        {"run": np.array("other")},
        {"name": np.array("000000-001")},
        {"run": None},
        {"scores": np.zeros((2, 2))},
        {"scores": None},
        {"seconds": np.zeros((2, 2))},
        {"names": None},
        {"values": np.zeros((2, 2))},
        {"values": np.zeros(2)},
        {"joint": np.zeros(3)},
        {"scores": np.array([{}], dtype=object)},
    ],
)
def test_earlier_cells_that_are_damaged_or_foreign_are_computed_again(tmp_path: Path, changed: dict[str, Any]) -> None:
    """A file of another run or place, or whose arrays are missing, of another shape or pickled, counts as missing."""
    with Journal(tmp_path, IDENTITY) as journal:
        run = journal.run
    earlier_file(tmp_path, "000000-000", run, **changed)
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.cell(0, 0) is None


def test_an_earlier_cell_cut_short_is_computed_again(tmp_path: Path) -> None:
    """Half of a file is no cell."""
    with Journal(tmp_path, IDENTITY) as journal:
        run = journal.run
    path = earlier_file(tmp_path, "000000-000", run)
    path.write_bytes(path.read_bytes()[:300])
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.cell(0, 0) is None


def test_differences_are_named_with_before_and_now(tmp_path: Path) -> None:
    """Every difference between two runs is named with the field, its value before and its value now."""
    with Journal(tmp_path, IDENTITY):
        pass
    changed = {
        **IDENTITY,
        "seed": 1,
        "model": {"id": "m", "dtype": "bfloat16"},
        "chains": [{"id": "é", "text": "1" * 100}],
    }
    with pytest.raises(ResumeError) as caught, Journal(tmp_path, changed):
        pass
    message = str(caught.value)
    assert "seed: before 0, now 1" in message
    assert 'model.dtype: before nothing, now "bfloat16"' in message
    assert "number of chains: before 2, now 1" in message
    assert 'chains[0].text: before "0", now "111' in message
    assert "use another folder" in message


def test_not_a_number_is_no_difference(tmp_path: Path) -> None:
    """A parameter that is not a number is the same as itself."""
    identity = {**EMPTY, "parameter": float("nan"), "pair": (1, 2)}
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
with Journal(Path(sys.argv[1]), {"chains": [], "estimators": []}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    """A folder in use is refused until the process that uses it ends, be it by a kill."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with (
                pytest.raises(ResumeError, match="another process is at work in this folder"),
                Journal(tmp_path, EMPTY),
            ):
                pass
        finally:
            holder.kill()
            holder.wait()
    with Journal(tmp_path, EMPTY):
        pass


def test_a_refused_folder_is_let_go(tmp_path: Path) -> None:
    """After a refusal the folder can be opened for what it holds."""
    with Journal(tmp_path, IDENTITY):
        pass
    with pytest.raises(ResumeError), Journal(tmp_path, EMPTY):
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
