"""No command writes over what it reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return a folder that looks like a model's, in the folder of a training."""
    folder = tmp_path / "X" / "model"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "mine.txt"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("spelling", ["chains.jsonl", "./chains.jsonl", "link.jsonl", "hard.jsonl"])
def test_prune_keeps_its_input(tokimp: Run, chains_file: Path, spelling: str) -> None:
    """--out that is the file of chains is refused, whatever it is called, and the file stays as it was."""
    content = chains_file.read_bytes()
    Path("link.jsonl").symlink_to(chains_file)
    os.link(chains_file, "hard.jsonl")
    done = tokimp("prune", chains_file, "--estimator", "position", "--out", spelling)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "would be written over, and CHAINS" in done.err
    assert chains_file.read_bytes() == content


def test_prune_keeps_the_input_that_is_the_file_of_a_ratio(tokimp: Run, chains_file: Path) -> None:
    """With several ratios, the files are named after them; one of these may be the input."""
    shutil.copy(chains_file, "short-0.5.jsonl")
    ratios = ("--keep-ratio", "0.5", "--keep-ratio", "0.8")
    done = tokimp("prune", "short-0.5.jsonl", "--estimator", "position", *ratios, "--out", "short.jsonl")
    assert "short-0.5.jsonl would be written over" in done.err


def test_prune_keeps_the_run_that_it_reads(tokimp: Run, chains_file: Path) -> None:
    """The result of --run is not replaced by a file of chains."""
    assert tokimp("compare", chains_file, "--estimator", "position", "--out", "run").status == 0
    done = tokimp("prune", "--run", "run", "--out", "run/results.nc")
    assert "run/results.nc would be written over" in done.err
    assert tokimp("prune", "--run", "run", "--out", "run/short.jsonl").status == 0
    assert tokimp("prune", "--run", "run", "--out", "run/short.jsonl").status == 0


def test_train_keeps_its_student(tokimp: Run, chains_file: Path, tiny: Path) -> None:
    """A student in the folder that the training would replace is refused before it is loaded; nothing is deleted."""
    done = tokimp("train", chains_file, "--student", "X/../X/model", "--out", "X")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "would be written over, and --student" in done.err
    assert (tiny / "mine.txt").is_file()


@pytest.mark.usefixtures("tiny")
def test_train_keeps_a_folder_that_no_training_made(tokimp: Run, chains_file: Path) -> None:
    """A folder named model that lies where the training would write its own is not replaced."""
    done = tokimp("train", chains_file, "--student", "tiny", "--out", "X")
    assert done.status == 1
    assert "X/model is there already" in done.err


def test_compare_keeps_another_result(tokimp: Run, chains_file: Path) -> None:
    """A folder with the result of another run is refused, with and without a run of its own."""
    for name in ("one", "two"):
        assert tokimp("compare", chains_file, "--estimator", "position", "--out", name).status == 0
    Path("three").mkdir()
    shutil.copy("one/results.nc", "three")
    done = tokimp("compare", chains_file, "--estimator", "position", "--out", "three")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "three/results.nc is there already" in done.err
    manifest = Path("two/run.json")
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"created": "2', '"created": "1'), "utf-8")
    done = tokimp("compare", chains_file, "--estimator", "position", "--out", "two")
    assert "two/results.nc is of another run" in done.err
    assert tokimp("compare", chains_file, "--estimator", "position", "--out", "one").status == 0


def test_compare_takes_no_name_of_a_result_file(tokimp: Run, chains_file: Path) -> None:
    """--out names a folder: with the ending of a result file it is refused, and says how Zarr is written."""
    for suffix in ("zarr", "nc"):
        done = tokimp("compare", chains_file, "--estimator", "position", "--out", f"x.{suffix}")
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert "tokimp.save(result, 'x.zarr')" in done.err
        assert not Path(f"x.{suffix}").exists()


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_what_asks_a_model_keeps_its_questions(tokimp: Run, chains_file: Path, command: str) -> None:
    """A source that has the name of what the command writes is refused; so is a folder with such a file of no run."""
    made = {"sample": "chains.jsonl", "evaluate": "answers.jsonl"}[command]
    Path("out").mkdir()
    shutil.copy(chains_file, f"out/{made}")
    done = tokimp(command, "gsm8k", f"out/../out/{made}", "--out", "out")
    assert "would be written over, and SOURCE" in done.err
    done = tokimp(command, "gsm8k", chains_file, "--out", "out")
    assert f"out/{made} is there already" in done.err


def test_evaluate_keeps_the_evaluation_of_before(tokimp: Run, chains_file: Path) -> None:
    """The folder of --before is not the folder of the new evaluation."""
    Path("out").mkdir()
    for name in ("answers.jsonl", "evaluation.json", "run.json"):
        Path("out", name).touch()
    done = tokimp("evaluate", "gsm8k", chains_file, "--before", "./out", "--out", "out")
    assert "out/evaluation.json would be written over" in done.err or "out/answers.jsonl" in done.err


def test_bench_keeps_its_input(tokimp: Run, chains_file: Path) -> None:
    """The file of chains is not replaced by the figures of the measurement."""
    Path("out").mkdir()
    shutil.copy(chains_file, "out/bench.json")
    assert "out/bench.json would be written over" in tokimp("bench", "out/bench.json", "--out", "out").err


def test_distill_keeps_its_questions(tokimp: Run, chains_file: Path) -> None:
    """A source of questions that has the name of a table of the plan is refused."""
    shutil.copy(chains_file, "results.json")
    Path("plan.yaml").write_text(
        "task: gsm8k\nquestions: {source: results.json}\ntest: {source: chains.jsonl}\n"
        "teachers: [tiny]\nstudents: [tiny]\nmethods: [position]\nkeep_ratios: [0.5]\n",
        encoding="utf-8",
    )
    done = tokimp("distill", "plan.yaml", "--out", ".")
    assert "results.json would be written over, and questions of the plan" in done.err
