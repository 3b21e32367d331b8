"""Models of a plan that cannot be loaded: named by their key before anything is sampled."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import tokimp as ti
from tests.distillation.students import save_word_student
from tokimp.contracts import discovery
from tokimp.contracts.registry import load_executor
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps import check_models as model_checks
from tokimp.distillation.steps.cell_steps import steps
from tokimp.distillation.steps.check_models import check_models
from tokimp.distillation.steps.distill import distill
from tokimp.distillation.steps.schedule import run_steps
from tokimp.distillation.train.train import train
from tokimp.errors import PlanError, ResumeError, TrainingError
from tokimp.models import causal_lm, loading
from tokimp.models.configuration import check_loadable
from tokimp.models.writing import transformers_engine
from tokimp.storage.atomic import write_object
from tokimp.storage.run_folder import RunFolder
from tokimp.testing.toy_scorer import AdditiveScorer


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random student."""
    return save_word_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be looked for on the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def plan_of(student: Path, **changes: Any) -> Plan:
    """Return a small plan: the embedded model teaches and prunes for a random student."""
    values: dict[str, Any] = {
        "task": "word_problems",
        "questions": {"limit": 2, "seed": 1},
        "test": {"limit": 2},
        "teachers": ["tiny"],
        "pruners": [{"name": "pruner", "model": "tiny"}],
        "students": [{"name": "small", "model": str(student)}],
        "methods": ["uniform"],
        "keep_ratios": [0.5],
    }
    return Plan.of({**values, **changes})


def checked(plan: Plan, out: Path) -> None:
    """Check the models of all steps of a plan."""
    check_models(plan, steps(plan, out), lambda _: None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"students": ["tiny", "nobody/nothing"]}, r"students\[1\]\.model cannot be used: there is no model folder"),
        ({"teachers": ["nowhere"]}, r"teachers\[0\]\.model cannot be used: there is no model folder.*'nowhere'"),
        ({"pruners": ["nowhere"]}, r"pruners\[0\]\.model cannot be used: there is no model folder.*'nowhere'"),
        # One model in two places, and in a place that has no key of its own: pruners, which are the teachers.
        (
            {"teachers": ["nowhere"], "students": ["tiny", {"name": "other", "model": "nowhere", "device": "cpu"}]},
            r"^teachers\[0\]\.model and students\[1\]\.model cannot be used: there is no model folder",
        ),
        ({"teachers": ["nowhere"], "pruners": []}, r"^teachers\[0\]\.model cannot be used"),
        (
            {"pruners": [{"model": "tiny", "quantization": "nothing_known"}]},
            r"^pruners\[0\]\.quantization cannot be used: there is no quantization 'nothing_known'",
        ),
        ({"students": ["tinny"]}, r"students\[0\]\.model.*did you mean 'tiny'"),
    ],
)
def test_a_model_that_is_not_there_is_named_before_any_work(
    student: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """The error says which keys of the plan, and the run's folder holds nothing but what says whose it is."""
    with pytest.raises(PlanError, match=said):
        distill(plan_of(student, **changes), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"run.json", ".lock"}


def test_a_missing_model_is_said_of_the_plans_file(student: Path, tmp_path: Path) -> None:
    """Where a plan is a file, errors about its models and methods begin with it, as those about its keys do."""
    values = {
        "task": "word_problems",
        "questions": {"limit": 2, "seed": 1},
        "test": {"limit": 2},
        "teachers": ["nowhere"],
        "students": [str(student)],
        "methods": ["uniform"],
        "keep_ratios": [0.5],
    }
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(PlanError, match=rf"^{re.escape(str(path))}: teachers\[0\]\.model cannot be used"):
        distill(path, tmp_path / "run")
    path.write_text(yaml.safe_dump({**values, "methods": {"g": "greedy:keep_ratio=2"}}), encoding="utf-8")
    with pytest.raises(PlanError, match=rf"^{re.escape(str(path))}: methods\.g\.estimator cannot be used"):
        distill(path, tmp_path / "run")


def test_models_are_looked_for_after_what_the_folder_says(student: Path, tmp_path: Path) -> None:
    """That another process is at work in the folder, or that it is another plan's, is not left for the hub to delay."""
    plan = plan_of(student, students=["nowhere"])
    with RunFolder(tmp_path, {"what": "distillation"}, work="sample"), pytest.raises(ResumeError, match="at work"):
        distill(plan, tmp_path)
    (tmp_path / "sample" / "tiny").mkdir(parents=True)
    write_object(tmp_path / "sample" / "tiny" / "step.json", {"another": "plan"})
    with pytest.raises(ResumeError, match="was made for another plan"):
        distill(plan, tmp_path)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("config.json", "cannot load a causal language model"),
        ("model.safetensors", r"holds no weights \(\*\.safetensors"),
        # What transformers' trainer leaves beside a checkpoint's weights, and a GGUF file that is not asked for.
        ("model.safetensors with training_args.bin", "holds no weights"),
        ("model.safetensors with other.gguf", "holds no weights"),
        ("tokenizer*", r"has no tokenizer.*; put its tokenizer's files into that folder \(in Python, pass tok"),
    ],
)
def test_a_folder_that_lacks_something_is_named(student: Path, tmp_path: Path, lost: str, said: str) -> None:
    """A student's folder needs configuration, weights and tokenizer."""
    torn = tmp_path / "torn"
    shutil.copytree(student, torn)
    gone, _, left = lost.partition(" with ")
    for path in torn.glob(gone):
        path.unlink()
    if left:
        (torn / left).write_bytes(b"")
    with pytest.raises(PlanError, match=rf"students\[0\]\.model cannot be used: .*{said}"):
        checked(plan_of(torn), tmp_path / "run")


def test_models_that_can_be_loaded_are_each_read_once(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders and the embedded model pass; a model's cells and its places in the plan are one question."""
    read: list[str] = []
    own = check_loadable

    def count(model: str, **options: Any) -> None:
        read.append(model)
        own(model, **options)

    monkeypatch.setattr(model_checks, "check_loadable", count)
    checked(plan_of(student, seeds=[0, 1, 2]), tmp_path)
    assert sorted(read) == sorted([str(student), "tiny"])


def test_what_is_made_needs_no_model(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished cell is given its tables though its model can no longer be loaded; done again, it needs it."""
    settings = {"evaluate": {"max_new_tokens": 4}}
    plan, only = plan_of(student, **settings), "small/untrained"
    distill(plan, tmp_path, only=only)

    def refuse(model: str, **_: Any) -> None:
        raise PlanError(f"{model} is gone")

    monkeypatch.setattr(model_checks, "check_loadable", refuse)
    assert distill(plan, tmp_path, only=only).cells["cell"].tolist() == [only]
    with pytest.raises(PlanError, match=r"students\[0\]\.model cannot be used: .* is gone"):
        distill(plan, tmp_path, only=only, redo=True)
    assert (tmp_path / "train" / only / "cell.json").is_file()


class OwnModels(AdditiveScorer):
    """A scorer whose models are none of transformers'."""


def test_models_of_other_programs_are_left_to_them(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that vLLM loads is not looked for here, and of another package's pruner the tokenizer alone is read."""
    monkeypatch.setitem(discovery.registered, "scorers", {"own_models_for_tests": OwnModels})
    tokenizer = tmp_path / "tokenizer"
    ti.load_scorer("tiny").tokenizer.save_pretrained(tokenizer)
    teachers = [{"name": "served", "model": "owner/served", "engine": "vllm"}]
    pruner = {"name": "own", "model": str(tokenizer), "backend": "own_models_for_tests"}
    checked(plan_of(student, teachers=teachers, pruners=[pruner]), tmp_path)
    with pytest.raises(PlanError, match=r"pruners\[0\]\.model cannot be used: cannot load a causal .*config\.json"):
        checked(plan_of(student, teachers=teachers, pruners=[{**pruner, "backend": "nnsight"}]), tmp_path)


def test_a_student_that_is_stored_quantised_is_named_unless_it_is_not_trained(student: Path, tmp_path: Path) -> None:
    """Quantised weights cannot be trained, which is said before a teacher writes; a student as it is may have them."""
    quantised = tmp_path / "quantised"
    shutil.copytree(student, quantised)
    config = json.loads((quantised / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (quantised / "config.json").write_text(json.dumps(config), encoding="utf-8")
    plan = plan_of(quantised)
    with pytest.raises(PlanError, match=r"students\[0\]\.model .* is quantised \(bitsandbytes\), and quantised"):
        checked(plan, tmp_path / "run")
    check_models(plan, steps(plan, tmp_path / "run", "small/untrained"), lambda _: None)
    with pytest.raises(TrainingError, match="give the checkpoint that it was made from"):
        train(quantised, [ti.Chain("a", "1+1?", "one and one", "= 2")], tmp_path / "trained")


def test_teachers_and_pruners_are_loaded_as_the_plan_says(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device map reaches the model that writes chains, and the scorer that ranks them."""
    loaded: list[Any] = []
    own = loading.load_model

    def watched(model: Any, **options: Any) -> Any:
        loaded.append((options["device_map"], options["offload_folder"]))
        return own(model, **options)

    for module in (causal_lm, transformers_engine):
        monkeypatch.setattr(module, "load_model", watched)
    places = {"name": "placed", "model": "tiny", "device_map": {"": "cpu"}}
    settings = {"questions": {"limit": 4, "seed": 1}, "sample": {"min_characters": 1, "max_new_tokens": 60}}
    plan = plan_of(student, teachers=[places], pruners=[{**places, "offload_folder": "off"}], **settings)
    run_steps(steps(plan, tmp_path)[:2], executor=load_executor("local"), say=lambda _: None, quiet=True)
    assert loaded == [('{"": "cpu"}', None), ('{"": "cpu"}', "off")]
    ranking = next(tmp_path.glob("prune/placed/placed/uniform/ranking-*/results.nc"))
    assert json.loads(ti.load(ranking).attrs["loading"]) == {"device_map": {"": "cpu"}}
