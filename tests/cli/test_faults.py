"""Every command, killed or out of disk space at its writing system calls: the same call goes on to the same numbers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

import tokimp as ti
from tests.cli.faulty_process import call_numbers, run_faulty
from tests.distillation.students import save_word_student

# Imported before the processes are forked, so that none of them imports these anew.
for _module in (
    "trl",
    "peft",
    "tokimp_trl.fitting",
    "matplotlib.pyplot",
    "h5netcdf",
    "tokimp.distillation.steps.distill",
):
    pytest.importorskip(_module)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
MOST = int(os.environ.get("TOKIMP_FAULTS", "10"))
"""How many of a command's calls are tried; raise it for a thorough trial."""
CHAINS = [
    {
        "id": "a",
        "question": "Ann has 3 cups. How many?",
        "reasoning": "She has 3 cups.",
        "answer": "#### 3",
        "gold": "3",
    },
    {
        "id": "b",
        "question": "Bob has 2 pens. How many?",
        "reasoning": "He has 2 pens.",
        "answer": "#### 2",
        "gold": "2",
    },
]
# What differs between two runs of one thing: times, and how often it was begun.
_TIMES = {"seconds", "created", "train_seconds", "evaluate_seconds", "continued", "again", "full_seconds", "digest"}
PLAN = """
task: word_problems
teachers: [tiny]
students: [{name: small, model: student}]
methods: [position]
keep_ratios: [0.5]
questions: {limit: 4}
test: {limit: 2}
sample: {n: 1, temperature: 0, min_characters: 1}
evaluate: {max_new_tokens: 8}
train: {epochs: 2, batch_size: 2, device: cpu}
untrained: false
unpruned: false
"""


@dataclass(frozen=True)
class Command:
    """A command, what it reads, and what it makes."""

    arguments: tuple[str, ...]
    made: Callable[[Path], Any]
    prepare: tuple[tuple[str, ...], ...] = ()


def without_times(content: Any) -> Any:
    """Return something JSON holds without times, at any depth."""
    if isinstance(content, dict):
        return {name: without_times(value) for name, value in content.items() if name not in _TIMES}
    return [without_times(value) for value in content] if isinstance(content, list) else content


def texts(*names: str) -> Callable[[Path], Any]:
    """Return what reads files of JSON or JSONL, without times."""

    def read(folder: Path) -> Any:
        contents = {}
        for name in names:
            text = (folder / name).read_text(encoding="utf-8")
            whole = json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]
            contents[name] = without_times(whole)
        return contents

    return read


def result(folder: Path) -> Mapping[str, Any]:
    """Return every number and text of a result and its analyses, without times."""
    tree = ti.load(folder / "run" / "results.nc")
    return {
        f"{node.path}/{name}": variable.to_numpy().tolist()
        if variable.dtype.kind == "O"
        else variable.to_numpy().tobytes()
        for node in tree.subtree
        for name, variable in node.to_dataset(inherit=False).variables.items()
        if name not in _TIMES
    }


def student(folder: Path) -> Any:
    """Return the weights of a trained student, and its report without times."""
    weights = load_file(folder / "out" / "model" / "model.safetensors")
    return {name: array.tobytes() for name, array in weights.items()}, texts("out/report.json")(folder)


COMPARE = ("compare", "chains.jsonl", "--out", "run", "--estimator", "leave_one_out", "--estimator", "position")
ASK = ("word_problems", "--model", "tiny", "--limit", "4", "--batch-questions", "2", "--out", "out")
COMMANDS = {
    "compare": Command(COMPARE, result),
    "analyze": Command(("analyze", "run", "faithfulness:n_uniform=1,keep_ratios=[0.5,1.0]"), result, (COMPARE,)),
    "prune": Command(
        ("prune", "chains.jsonl", "--estimator", "position", "--unit", "word", "--out", "pruned.jsonl"),
        texts("pruned.jsonl"),
    ),
    "sample": Command(
        ("sample", *ASK, "--n", "1", "--temperature", "0", "--min-characters", "1"),
        texts("out/chains.jsonl", "out/report.json"),
    ),
    "evaluate": Command(("evaluate", *ASK), texts("out/answers.jsonl", "out/evaluation.json")),
    "train": Command(
        ("train", "chains.jsonl", "--student", "student", "--epochs", "2", "--batch-size", "1", "--out", "out"), student
    ),
    "distill": Command(("distill", "plan.yaml", "--out", "out"), texts("out/results.json")),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives a folder in which everything is ready for a command."""
    folders: dict[str, Path] = {}

    def prepare(name: str) -> Path:
        if name not in folders:
            folder = tmp_path_factory.mktemp(name) / "work"
            folder.mkdir()
            lines = "".join(json.dumps(chain) + "\n" for chain in CHAINS)
            (folder / "chains.jsonl").write_text(lines, encoding="utf-8")
            (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
            save_word_student(folder / "student")
            for arguments in COMMANDS[name].prepare:
                ended = run_faulty(list(arguments), folder)
                assert ended.status == 0, ended.err
            folders[name] = folder
        return folders[name]

    return prepare


@pytest.fixture(scope="module")
def undisturbed(
    prepared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Any, int]]:
    """Return a function that gives what a command makes if nothing happens, and how many calls it takes."""
    outcomes: dict[str, tuple[Any, int]] = {}

    def run(name: str) -> tuple[Any, int]:
        if name not in outcomes:
            folder = Path(shutil.copytree(prepared(name), tmp_path_factory.mktemp(name) / "work"))
            ended = run_faulty(list(COMMANDS[name].arguments), folder)
            assert ended.status == 0, ended.err
            outcomes[name] = COMMANDS[name].made(folder), ended.calls
        return outcomes[name]

    return run


def leftovers(folder: Path) -> list[str]:
    """Return the half-written files in a folder, at any depth."""
    return [path.name for path in folder.rglob("*") if path.name.endswith(".partial")]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_goes_on(
    name: str, prepared: Callable[[str], Path], undisturbed: Callable[[str], tuple[Any, int]], tmp_path: Path
) -> None:
    """Killed at a writing call, the same command ends with the same numbers, and nothing half written is left."""
    expected, calls = undisturbed(name)
    for number in call_numbers(calls, MOST):
        folder = Path(shutil.copytree(prepared(name), tmp_path / str(number) / "work"))
        killed = run_faulty(list(COMMANDS[name].arguments), folder, "kill", number)
        assert killed.status == -9
        again = run_faulty(list(COMMANDS[name].arguments), folder)
        assert again.status == 0, (number, again.err)
        assert COMMANDS[name].made(folder) == expected, number
        assert leftovers(folder) == [], number
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_loses_nothing(
    name: str, prepared: Callable[[str], Path], undisturbed: Callable[[str], tuple[Any, int]], tmp_path: Path
) -> None:
    """With the disk full from a call on, one line says path and remedy; with space again the command ends as ever."""
    expected, calls = undisturbed(name)
    for number in call_numbers(calls, MOST):
        folder = Path(shutil.copytree(prepared(name), tmp_path / str(number) / "work"))
        full = run_faulty(list(COMMANDS[name].arguments), folder, "full", number)
        if full.status == 0:
            # Nothing was left to be written but the removal of files.
            continue
        assert full.status == 1, (number, full.err)
        # Before it, standard error has how far the command had come.
        (line,) = [line for line in full.err.splitlines() if line.startswith("tokimp: ")]
        assert "cannot be written" in line, (number, full.err)
        assert "Traceback" not in full.err, (number, full.err)
        assert "unexpected" not in full.err, (number, full.err)
        again = run_faulty(list(COMMANDS[name].arguments), folder)
        assert again.status == 0, (number, again.err)
        assert COMMANDS[name].made(folder) == expected, number
        assert leftovers(folder) == [], number
        shutil.rmtree(folder)


def test_a_comparison_that_is_killed_goes_on(
    prepared: Callable[[str], Path], undisturbed: Callable[[str], tuple[Any, int]], tmp_path: Path
) -> None:
    """A few of the calls at every trial: the slow tests above try the rest, and the other commands."""
    expected, calls = undisturbed("compare")
    folder = Path(shutil.copytree(prepared("compare"), tmp_path / "work"))
    for number in (calls // 3, calls // 2):
        assert run_faulty(list(COMPARE), folder, "kill", number).status in {-9, 0}
    assert run_faulty(list(COMPARE), folder).status == 0
    assert result(folder) == expected
    assert leftovers(folder) == []
