"""No command writes over what it reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import tokimp as ti
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


@pytest.fixture
def run_folder(tokimp: Run, chains_file: Path, tmp_path: Path) -> Path:
    """Return the folder of a finished run, in which a link leads to its result."""
    done = tokimp("compare", chains_file, "--estimator", "leave_one_out", "--estimator", "position", "--out", "run")
    assert done.status == 0, done.err
    (tmp_path / "run" / "link.nc").symlink_to("results.nc")
    return tmp_path / "run"


@pytest.mark.parametrize("out", ["run/results.nc", "./run/../run/results.nc", "run/link.nc"])
def test_analyze_leaves_the_run_as_it_is_where_out_is_given(tokimp: Run, run_folder: Path, out: str) -> None:
    """--out that is the run's own result, by any spelling, is refused before anything is computed."""
    before = (run_folder / "results.nc").read_bytes()
    done = tokimp("analyze", "run", "agreement:top_k=3", "--out", out)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert f"{Path(out)} would be written over, and RUN (run/results.nc) is read from it" in done.err
    assert (run_folder / "results.nc").read_bytes() == before


@pytest.mark.slow
def test_analyze_writes_the_result_elsewhere(tokimp: Run, run_folder: Path, tmp_path: Path) -> None:
    """--out gets the run's numbers with the analysis, then one analysis after another; the run keeps its bytes."""
    before = (run_folder / "results.nc").read_bytes()
    for out in ("more.nc", "more.zarr"):
        for analysis in ("agreement:top_k=3", "agreement:top_k=5"):
            done = tokimp("analyze", "run", analysis, "--out", out)
            assert done.status == 0, done.err
        nodes = set(ti.load(tmp_path / out)["analysis"].children)
        assert nodes == {"agreement", "agreement,top_k=3", "agreement,top_k=5"}
    assert (tmp_path / "more-agreement,top_k=3.png").exists()
    assert (run_folder / "results.nc").read_bytes() == before


def test_analyze_adds_to_no_other_result(tokimp: Run, run_folder: Path, chains_file: Path) -> None:
    """--out that holds another run's numbers, an input of the analysis or no result at all is refused, and stays."""
    assert tokimp("compare", chains_file, "--estimator", "position", "--out", "other").status == 0
    before = Path("other/results.nc").read_bytes()
    foreign = tokimp("analyze", "run", "agreement:top_k=3", "--out", "other/results.nc")
    assert (foreign.status, foreign.out) == (2, "")
    assert "holds other numbers than RUN" in foreign.err
    between = tokimp("analyze", "run", "agreement_between:other=other/results.nc", "--out", "other/results.nc")
    assert "would be written over, and 'other' of agreement_between" in between.err
    Path("note.nc").write_text("my notes", encoding="utf-8")
    noted = tokimp("analyze", "run", "agreement:top_k=3", "--out", "note.nc")
    assert (noted.status, noted.err.count("\n")) == (1, 1)
    assert "note.nc is there already, and no result to add to" in noted.err
    assert (Path("note.nc").read_text(encoding="utf-8"), Path("other/results.nc").read_bytes()) == ("my notes", before)


def test_analyze_saves_no_surrogate_over_the_run(tokimp: Run, run_folder: Path) -> None:
    """A file that an analysis writes by a parameter is not the run's result; an earlier surrogate is replaced."""
    before = (run_folder / "results.nc").read_bytes()
    done = tokimp("analyze", "run", "surrogate:save=run/link.nc")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "run/link.nc would be written over, and RUN" in done.err
    assert (run_folder / "results.nc").read_bytes() == before
    Path("fitted.safetensors").write_text("an earlier one", encoding="utf-8")
    again = tokimp("analyze", "run", "surrogate:save=fitted.safetensors,folds=2,permutations=1,epochs=1")
    assert "written over" not in again.err
