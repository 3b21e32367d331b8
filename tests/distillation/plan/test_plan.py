"""Plans: what may stand in them, and what is said of mistakes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from tokimp.contracts.train_settings import Lora
from tokimp.distillation.ask.evaluate import evaluate
from tokimp.distillation.ask.sample import sample
from tokimp.distillation.plan.grid import cells
from tokimp.distillation.plan.plan import Method, Plan
from tokimp.errors import PlanError

LEAST: dict[str, Any] = {
    "task": "word_problems",
    "teachers": ["tiny"],
    "students": ["tiny"],
    "methods": ["greedy"],
    "keep_ratios": [0.5],
}


def test_the_least_a_plan_needs() -> None:
    """Everything else has a default: each teacher prunes its own chains, splits are train and test."""
    plan = Plan.of(LEAST)
    assert plan.questions.split == "train"
    assert plan.test.split == "test"
    assert plan.pruners_of(plan.teachers[0]) == plan.teachers
    assert [cell.name for cell in cells(plan)] == [
        "tiny/untrained",
        "tiny/tiny/unpruned/seed-0",
        "tiny/tiny/tiny/greedy/0.5/seed-0",
    ]


def test_the_grid_is_the_product(tmp_path: Path) -> None:
    """Teacher x pruner x method x keep ratio x student x seed, and baselines, all with names of their own."""
    path = tmp_path / "plan.yaml"
    path.write_text(
        """
task: word_problems
teachers: [tiny, {name: other, model: tiny}]
pruners: [tiny, {name: weak, model: owner/model, dtype: bfloat16}]
students: [{name: a, model: tiny}, {name: b, model: tiny}]
methods:
  greedy: greedy
  greedy-answer: {estimator: "greedy:strategy=fast", objective: answer}
  uniform: {estimator: uniform}
keep_ratios: [0.5, 0.9]
seeds: [3, 1]
train: {learning_rate: 1e-4, lora: {r: 4}}
sample: {n: 2, temperature: 0.5}
evaluate: {max_new_tokens: 10}
""",
        encoding="utf-8",
    )
    plan = Plan.load(path)
    assert plan.methods[1] == Method("greedy-answer", "greedy:strategy=fast", "answer")
    assert plan.keep_ratios == (0.9, 0.5)
    # YAML itself reads 1e-4 as text.
    assert plan.train.learning_rate == 1e-4
    assert plan.train.lora == Lora(r=4)
    names = [cell.name for cell in cells(plan)]
    assert len(names) == len(set(names)) == 2 + 2 * 2 * 2 + 2 * 2 * 3 * 2 * 2 * 2
    assert "a/other/weak/greedy-answer/0.5/seed-3" in names


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"teacher": ["tiny"]},
            "plan.yaml: teacher is not a key of a plan (did you mean 'teachers'?); allowed here: task, questions",
        ),
        ({"colour": 1}, "colour is not a key of a plan; allowed here: task, questions"),
        ({"train": {"epoch": 1}}, "train has no setting 'epoch' (did you mean 'epochs'?); it has epochs"),
        ({"task": None}, "task must be text"),
        ({"task": "gsm9k"}, "task cannot be used: there is no task named 'gsm9k'; known are gsm8k, math"),
        ({"methods": {"g": "gredy"}}, "methods.g.estimator cannot be used: there is no estimator named 'gredy'"),
        ({"methods": ["greedy:ratio=2"]}, "methods[0].estimator cannot be used: estimator 'greedy' has no parameter"),
        ({"methods": {"g": {"estimator": "greedy", "objectiv": "answer"}}}, "methods.g.objectiv is not a key"),
        ({"methods": {"g": {"estimator": "greedy", "objective": "x"}}}, "methods.g.objective cannot be used"),
        ({"methods": ["greedy", "greedy"]}, "methods has two entries called 'greedy'"),
        ({"methods": {"a/b": "greedy"}}, "which names a folder"),
        ({"methods": []}, "methods must be a list with at least one entry"),
        ({"keep_ratios": [0.5, 1.0]}, "keep_ratios holds 1.0; give shares above 0 and below 1 (unpruned: true"),
        ({"keep_ratios": 0.5}, "keep_ratios must be a list"),
        ({"keep_ratios": [0.5, 0.50000001]}, "keep_ratios holds 0.50000001 and 0.5, which would share the folder 0.5"),
        ({"train": {"prompt_format": "chat"}}, "evaluate.prompt_format is 'auto' and train.prompt_format 'chat'"),
        ({"seeds": [0.5]}, "seeds holds 0.5"),
        ({"teachers": [{"name": "x"}]}, "teachers[0].model must be text"),
        ({"teachers": [{"model": "tiny", "backend": "jax"}]}, "teachers[0].backend cannot be used"),
        ({"students": ["./no/such/folder"]}, "students[0].model is './no/such/folder', and there is no such folder"),
        ({"students": ["tiny", "tiny"]}, "students has two entries called 'tiny'"),
        ({"train": {"seed": 3}}, "train.seed is not a key of a plan; the list 'seeds' says them"),
        ({"train": {"epochs": -1}}, "train: epochs=-1 is not allowed"),
        ({"train": {"lora": {"merge": False}}}, "train.lora.merge is false"),
        ({"sample": {"number": 3}}, "sample.number is not a key of a plan; allowed here: n, temperature"),
        ({"evaluate": {"progress": 3}}, "evaluate.progress is not a key"),
        ({"test": {"limit": 0}}, "test.limit is 0; give a whole number, 1 or more"),
        ({"teachers": [{"model": "tiny", "engine": "vlm"}]}, "teachers[0].engine is 'vlm'; allowed are transformers"),
        ({"teachers": [{"model": "tiny", "dtype": "bf16"}]}, "teachers[0].dtype is 'bf16'; allowed are auto, float32"),
        ({"teachers": [{"model": "tiny", "device": "gpu9"}]}, "teachers[0].device is 'gpu9'; give auto, cpu"),
        ({"sample": {"n": "ten"}}, "sample.n is 'ten'; give a whole number, 1 or more"),
        ({"sample": {"n": 3, "per_round": 4}}, "sample.per_round is 4; give no more than n=3"),
        ({"sample": {"longest_percentile": 0}}, "sample.longest_percentile is 0; give a percentage above 0"),
        ({"evaluate": {"interval": "wilso"}}, "evaluate.interval is 'wilso'; give one of wilson, bootstrap"),
        ({"evaluate": {"confidence": "x"}}, "evaluate.confidence is 'x'; give a number between 0 and 1"),
        ({"questions": {"seed": None}}, "questions.seed is None; give a whole number, 0 or more"),
        ({"untrained": "yes please"}, "untrained is 'yes please'; give true or false"),
        ({"unit": "letter"}, "unit is 'letter'; allowed are token, word, sentence"),
        ({"trainer": "trl:x=1"}, "trainer cannot be used"),
    ],
)
def test_each_mistake_is_named_with_its_key_and_what_is_allowed(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """The message begins with the file and says which key, and what may stand there."""
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**LEAST, **changes}), encoding="utf-8")
    with pytest.raises(PlanError) as raised:
        Plan.load(path)
    assert str(raised.value).startswith(str(path))
    assert said.removeprefix("plan.yaml: ") in str(raised.value)


@pytest.mark.parametrize(
    ("key", "function", "without"),
    [
        ("sample", sample, {"skipped", "origin", "progress"}),
        ("evaluate", evaluate, {"before", "origin", "progress"}),
    ],
)
def test_every_argument_of_a_step_may_stand_in_a_plan(key: str, function: Any, without: set[str]) -> None:
    """A plan takes all that the function takes by name, but what is no matter of a plan; its defaults are allowed."""
    taken = {name: each.default for name, each in inspect.signature(function).parameters.items()}
    taken = {name: value for name, value in taken.items() if value is not inspect.Parameter.empty}
    defaults = {name: value for name, value in taken.items() if name not in without}
    assert getattr(Plan.of({**LEAST, key: defaults}), key) == defaults
    for name in without:
        with pytest.raises(PlanError, match=f"{key}.{name} is not a key"):
            Plan.of({**LEAST, key: {name: None}})


def test_values_are_checked_before_a_run_and_not_for_a_forecast() -> None:
    """A plan can be read where LLMLingua-2's weights are not; whoever runs it is told of a wrong value first."""
    Plan.of({**LEAST, "methods": ["llmlingua"]})
    with pytest.raises(
        PlanError, match=r"methods\.greedy-keep_ratio=2\.estimator cannot be used: greedy: keep_ratio=2"
    ):
        Plan.of({**LEAST, "methods": ["greedy:keep_ratio=2"]}).check_methods()


@pytest.mark.parametrize("missing", list(LEAST))
def test_what_a_plan_needs_is_named(missing: str) -> None:
    """A key that is missing is named."""
    with pytest.raises(PlanError, match=f"{missing} is missing"):
        Plan.of({key: value for key, value in LEAST.items() if key != missing})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: a\nteachers: [b\n", "plan.yaml:3"),
        ("task: a\nseeds: [1]\ntask: b\n", "plan.yaml:3: not a plan in YAML: the key 'task' stands twice"),
        ("- a\n", "must hold keys and values"),
        ("task: a\n? [a, b]\n: c\n", "plan.yaml:2: not a plan in YAML: a key must be a word"),
        ("task: a\ntest: {limit: 2020-13-45}\n", "plan.yaml: not a plan in YAML: month must be in 1..12"),
        ("task: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Broken YAML, a key that stands twice, and YAML that would run code are errors with file and line."""
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError) as raised:
        Plan.load(path)
    assert said in str(raised.value)


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(PlanError, match=r"nowhere\.yaml"):
        Plan.load(tmp_path / "nowhere.yaml")
