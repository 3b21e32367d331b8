"""A plan followed: every cell once, nothing finished done again, and what failed stops nothing else."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tokimp as ti
from tests.distillation.students import save_word_student
from tokimp.distillation.ask.evaluate import evaluate
from tokimp.distillation.plan.grid import cells
from tokimp.distillation.plan.plan import Method, Plan
from tokimp.distillation.steps import cell_steps, chain_steps
from tokimp.distillation.steps import distill as distill_module
from tokimp.distillation.steps.distill import Distillation, distill, gather
from tokimp.errors import DistillationError, PlanError, ResumeError
from tokimp.models.writing.transformers_engine import TransformersEngine
from tokimp.storage.atomic import write_object

pytestmark = pytest.mark.slow  # whole plans are carried out


def plan_of(student: Path, **changes: Any) -> Plan:
    """Return a small plan: the embedded model teaches a random student."""
    return Plan.of(
        {
            "task": "word_problems",
            "questions": {"limit": 5, "seed": 1},
            "test": {"limit": 6},
            "teachers": ["tiny"],
            "students": [{"name": "small", "model": str(student)}],
            "methods": {"uniform": "uniform", "loo": {"estimator": "leave_one_out", "objective": "answer"}},
            "keep_ratios": [0.8, 0.5],
            "seeds": [0, 1],
            "sample": {"n": 2, "min_characters": 10, "max_new_tokens": 90},
            "evaluate": {"max_new_tokens": 6},
            "train": {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3, "device": "cpu", "checkpoint_steps": 0},
            **changes,
        }
    )


def told(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of cells without what a clock says."""
    return table.drop(columns=["train_seconds", "evaluate_seconds"])


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random student."""
    return save_word_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def folder(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a plan that was followed to its end."""
    out = tmp_path_factory.mktemp("run")
    distill(plan_of(student), out)
    return out


@pytest.fixture(scope="module")
def found(student: Path, folder: Path) -> Distillation:
    """Return what that plan found."""
    return gather(plan_of(student), folder)


def test_every_cell_is_there_with_its_numbers(student: Path, folder: Path, found: Distillation) -> None:
    """Tables have a row a cell, a point and a pair; accuracy is the share of right answers on disk."""
    assert found.missing == ()
    assert found.cells["cell"].tolist() == [cell.name for cell in cells(plan_of(student))]
    for cell, accuracy in zip(found.cells["cell"], found.cells["accuracy"], strict=True):
        lines = (folder / "train" / cell / "test" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
        assert accuracy == pytest.approx(sum(json.loads(line)["right"] for line in lines) / 6)
    assert len(found.curves) == 2 + 2 * 2
    assert found.curves["seeds"].tolist() == [1, 2, 2, 2, 2, 2]
    assert len(found.differences) == 2
    assert set(found.differences["p_holm"]) == {1.0}


def test_it_is_the_trained_student_that_is_evaluated(folder: Path, found: Distillation) -> None:
    """Every evaluation's model is that of the cell's own training, and another one than the student as it was."""
    untrained = json.loads((folder / "train/small/untrained/test/evaluation.json").read_text("utf-8"))["fingerprint"]
    for name in found.cells["cell"][found.cells["kind"] != "untrained"]:
        cell = folder / "train" / name
        asked = json.loads((cell / "test" / "evaluation.json").read_text("utf-8"))["fingerprint"]
        assert asked == TransformersEngine(str(cell / "training" / "model"), device="cpu").fingerprint() != untrained


def test_each_seed_is_a_training_of_its_own(folder: Path, found: Distillation) -> None:
    """Cells that differ in the seed alone end with another loss each, and their reports say which seed."""
    trained = found.cells[found.cells["kind"] != "untrained"]
    for _, cells_of in trained.groupby(["kind", "method", "keep_ratio"], dropna=False):
        assert sorted(cells_of["seed"]) == [0, 1]
        assert cells_of["loss"].nunique() == 2
    for name, seed in zip(trained["cell"], trained["seed"], strict=True):
        report = json.loads((folder / "train" / name / "training" / "report.json").read_text(encoding="utf-8"))
        assert report["settings"]["seed"] == seed


def test_students_are_trained_on_the_chains_as_they_were_cut(folder: Path, found: Distillation) -> None:
    """Each ratio's file holds int(n * ratio) tokens of each chain, and lengths are matched between methods."""
    sampled = {chain.id: chain for chain in ti.load_chains(folder / "sample" / "tiny" / "chains.jsonl")}
    tokenizer = ti.load_scorer("tiny").tokenizer
    for method in ("uniform", "loo"):
        for ratio in ("0.8", "0.5"):
            path = folder / "prune" / "tiny" / "tiny" / method / f"{ratio}.jsonl"
            for line in path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                whole = ti.tokenize_chain(sampled[record["id"]], tokenizer).reasoning_ids
                assert len(record["kept_token_ids"]) == int(len(whole) * float(ratio))
    pruned = found.cells[found.cells["kind"] == "pruned"]
    assert (pruned["chains"] == len(sampled)).all()
    assert found.curves["matched"].all()
    assert (pruned["loss"] > 0).all()


def test_results_are_written_for_people_and_programs(folder: Path, found: Distillation) -> None:
    """CSV, JSON and both figures stand in the folder, and say what the tables say."""
    for name in ("curves.png", "curves.svg", "curves.csv", "differences.csv"):
        assert (folder / name).stat().st_size > 0
    assert pd.read_csv(folder / "cells.csv")["accuracy"].tolist() == found.cells["accuracy"].tolist()
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["missing"] == []
    assert [row["cell"] for row in results["cells"]] == found.cells["cell"].tolist()


def test_nothing_finished_is_done_again(student: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call touches no model, and returns the same."""
    for name in ("train", "evaluate"):
        monkeypatch.setattr(cell_steps, name, None)
    before = gather(plan_of(student), folder)
    after = distill(plan_of(student), folder)
    pd.testing.assert_frame_equal(before.cells, after.cells)


def test_a_run_that_was_stopped_goes_on(
    student: Path, tmp_path: Path, found: Distillation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the third evaluation, it does the rest and ends with the same numbers."""
    calls: list[Any] = []

    def stop(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    plan = plan_of(student, keep_ratios=[0.5], seeds=[1])
    monkeypatch.setattr(cell_steps, "evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        distill(plan, tmp_path)
    assert len(gather(plan, tmp_path).cells) == 2
    after = distill(plan, tmp_path)
    assert len(calls) == 3 + 2
    assert_same_cells(after, found)


def assert_same_cells(after: Distillation, found: Distillation) -> None:
    """Fail unless cells have the numbers that cells of the same names have in another run."""
    alone = told(found.cells).set_index("cell").loc[after.cells["cell"]].reset_index()
    pd.testing.assert_frame_equal(told(after.cells), alone[told(after.cells).columns], check_dtype=False)


def test_a_plan_may_be_given_more(student: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another method and ratio are added; the cells that were there are not done again."""
    done: list[Any] = []

    def count(*arguments: Any, **options: Any) -> Any:
        done.append(arguments[3])
        return evaluate(*arguments, **options)

    monkeypatch.setattr(cell_steps, "evaluate", count)
    plan = plan_of(student, keep_ratios=[0.8, 0.7, 0.5], seeds=[0])
    plan = replace(plan, methods=(*plan.methods, Method("position", "position")))
    after = distill(plan, folder)
    assert after.missing == ()
    # Ratio 0.7 for the two methods there were, and all three ratios for the new one.
    assert len(done) == 2 + 3


def test_another_plan_is_refused_before_any_work(student: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings of the training, or other test questions, are named; nothing is run or lost."""
    monkeypatch.setattr(cell_steps, "train", None)
    settings = {"epochs": 2, "batch_size": 2, "learning_rate": 1e-3, "device": "cpu", "checkpoint_steps": 0}
    with pytest.raises(ResumeError, match=r"train\.epochs: before 1, now 2"):
        distill(plan_of(student, train=settings), folder)
    with pytest.raises(ResumeError, match="test"):
        distill(plan_of(student, test={"limit": 7}), folder)
    with pytest.raises(ResumeError, match="questions"):
        distill(plan_of(student, questions={"limit": 6}), folder)


def test_a_cell_is_compared_though_its_ranking_is_given_more(
    student: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new keep ratio leaves rankings unfinished; another learning rate is refused all the same, before any work."""
    monkeypatch.setattr(chain_steps, "compare", None)
    settings = {"epochs": 1, "batch_size": 2, "learning_rate": 2e-3, "device": "cpu", "checkpoint_steps": 0}
    with pytest.raises(ResumeError, match=r"train\.learning_rate: before 0\.001, now 0\.002"):
        distill(plan_of(student, train=settings, keep_ratios=[0.9, 0.8, 0.5], unpruned=False), folder)


def test_a_cell_of_other_chains_is_refused_once_they_are_made(student: Path, folder: Path, tmp_path: Path) -> None:
    """Chains that were deleted come out otherwise: a finished cell trained on the old ones is not taken for theirs."""
    shutil.copytree(folder, tmp_path / "run")
    ranking = tmp_path / "run" / "prune" / "tiny" / "tiny" / "uniform"
    shutil.rmtree(ranking)
    name = "small/tiny/tiny/uniform/0.5/seed-0"
    plan = plan_of(student)
    plan = replace(plan, methods=(Method("uniform", "position"), *plan.methods[1:]))
    with pytest.raises(DistillationError, match="chains: before"):
        distill(plan, tmp_path / "run", only=name)
    assert name in gather(plan, tmp_path / "run").missing


def test_questions_that_are_trained_on_are_not_tested_on(student: Path, tmp_path: Path) -> None:
    """One split as both is refused before any work: how many are shared, the first, and what to do."""
    plan = plan_of(student, questions={"split": "test", "limit": 5})
    with pytest.raises(PlanError, match=r"share 5 questions.*'word_problems-test-0-00000'.*another split or source"):
        distill(plan, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cell_to_be_done_again_is_not_deleted_where_the_plan_is_refused(student: Path, folder: Path) -> None:
    """Other questions for the teacher are refused; the finished cell that was named stays."""
    name = "small/tiny/tiny/loo/0.5/seed-1"
    with pytest.raises(ResumeError, match="questions"):
        distill(plan_of(student, questions={"limit": 6}), folder, only=name, redo=True)
    assert (folder / "train" / name / "cell.json").is_file()


def test_a_ranking_knows_the_files_of_its_method(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file that a parameter names has changed, a ranking by the old one is refused."""
    plan = plan_of(student)
    ranking = next(step for step in cell_steps.steps(plan, tmp_path) if isinstance(step, chain_steps.Ranking))
    for digest in ("old", "new"):
        monkeypatch.setattr(type(ti.load_estimator("uniform")), "input_digests", lambda _, digest=digest: {"p": digest})
        if digest == "old":
            ranking.folder.mkdir(parents=True)
            write_object(ranking.folder / "step.json", ranking.own_identity())
            ranking.check()
    with pytest.raises(ResumeError, match=r"inputs\.p: before .old., now .new."):
        ranking.check()


def test_the_first_error_is_the_one_that_is_raised(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tables cannot be written either, what stopped the run is not hidden by it."""

    def fail(*_: Any) -> Any:
        raise OSError("the disk is full")

    monkeypatch.setattr(distill_module, "gather", fail)
    plan = plan_of(student, teachers=[{"name": "random", "model": str(student)}], untrained=False)
    said: list[str] = []
    with pytest.raises(DistillationError, match="is right"):
        distill(plan, tmp_path, say=said.append)
    assert "the tables were not written: the disk is full" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train/small/tiny/tiny/uniform/0.5/seed-0/cell.json", "delete the folder"),
        ("prune/tiny/tiny/uniform/report.json", "delete it, and the chains are cut anew"),
    ],
)
@pytest.mark.parametrize("damage", ["{", '{"keep_ratios": [{}]}'])
def test_a_damaged_file_is_named(
    student: Path, folder: Path, tmp_path: Path, name: str, *, said: str, damage: str
) -> None:
    """A record that is torn or lacks something is an error with its path and what to do."""
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / name).write_text(damage, encoding="utf-8")
    with pytest.raises(DistillationError, match=rf"{name} is damaged .*{said}"):
        distill(plan_of(student), tmp_path / "run")


def test_a_command_is_given_where_there_is_a_file_to_name(student: Path, tmp_path: Path) -> None:
    """Paths are quoted for a shell; of a plan that is an object, the cells name no command."""
    out, only = tmp_path / "my run", "small/untrained"
    distill(plan_of(student), out, only=only)
    path = out / "train" / only / "cell.json"
    assert json.loads(path.read_text(encoding="utf-8"))["again"] is None
    (out / "plan.yaml").write_text("", encoding="utf-8")
    distill(plan_of(student), out, only=only, redo=True)
    words = shlex.split(json.loads(path.read_text(encoding="utf-8"))["again"])
    assert words == ["tokimp", "distill", f"{out}/plan.yaml", "--out", str(out), "--cell", only, "--redo"]


def test_one_cell_can_be_done_again(student: Path, folder: Path) -> None:
    """With redo a cell is done anew and comes out the same; the command for it stands in its folder."""
    name = "small/tiny/tiny/loo/0.5/seed-1"
    path = folder / "train" / name / "cell.json"
    before, old = json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime_ns
    distill(plan_of(student), folder, only=name, redo=True)
    after = json.loads(path.read_text(encoding="utf-8"))
    assert path.stat().st_mtime_ns > old
    assert after["evaluation"] == before["evaluation"]
    assert after["training"]["loss"] == before["training"]["loss"]
    with pytest.raises(PlanError, match="no cell 'nowhere'"):
        distill(plan_of(student), folder, only="nowhere")


def test_what_fails_stops_nothing_else(student: Path, tmp_path: Path) -> None:
    """A method that cannot rank these chains fails; the others are finished, written, and the reason is told."""
    methods = {"uniform": "uniform", "broken": {"estimator": "leave_one_out", "objective": "contrast"}}
    plan = plan_of(student, methods=methods, keep_ratios=[0.5], seeds=[0])
    said: list[str] = []
    with pytest.raises(
        DistillationError, match=r"2 of 7 steps failed, 5 are done.*prune/tiny/tiny/broken.*wrong_answer"
    ):
        distill(plan, tmp_path, say=said.append)
    assert any(line.startswith("prune/tiny/tiny/broken failed") for line in said)
    after = gather(plan, tmp_path)
    assert after.missing == ("small/tiny/tiny/broken/0.5/seed-0",)
    assert pd.read_csv(tmp_path / "cells.csv")["kind"].tolist() == ["untrained", "unpruned", "pruned"]


def test_a_teacher_without_a_right_chain_is_an_error(student: Path, tmp_path: Path) -> None:
    """A random teacher solves nothing: the message says so, and the untrained student is evaluated all the same."""
    plan = plan_of(student, teachers=[{"name": "random", "model": str(student)}])
    with pytest.raises(DistillationError, match="is right"):
        distill(plan, tmp_path)
    assert gather(plan, tmp_path).cells["kind"].tolist() == ["untrained"]


def test_models_need_not_be_kept(student: Path, tmp_path: Path) -> None:
    """keep_models: false leaves answers and reports, and no weights."""
    plan = plan_of(student, keep_models=False, keep_ratios=[0.5], seeds=[0], untrained=False, unpruned=False)
    distill(plan, tmp_path)
    assert not list((tmp_path / "train").rglob("*.safetensors"))
    assert len(list((tmp_path / "train").rglob("answers.jsonl"))) == 2


@pytest.mark.slow
def test_several_processes_find_the_same(student: Path, tmp_path: Path, found: Distillation) -> None:
    """Two worker processes come to the numbers of this one."""
    after = distill(plan_of(student, keep_ratios=[0.5], seeds=[0]), tmp_path, executor="processes:workers=2")
    assert after.missing == ()
    assert_same_cells(after, found)
