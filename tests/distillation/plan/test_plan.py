"""Plans: what may stand in them, and what is said of mistakes."""

from __future__ import annotations

import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from tokimp.contracts.train_settings import Lora
from tokimp.distillation.ask.evaluate import evaluate
from tokimp.distillation.ask.sample import sample
from tokimp.distillation.plan.grid import cells
from tokimp.distillation.plan.inputs import spec_identity
from tokimp.distillation.plan.plan import Method, Plan
from tokimp.errors import PlanError
from tokimp.models.device_map import parse_device_map

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
    """Teacher x pruner x method x keep ratio x student x seed, and references, all with names of their own."""
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
            "plan.yaml: teacher is not a known key (did you mean 'teachers'?); known here: task, teachers",
        ),
        ({"colour": 1}, "colour is not a known key; known here: task, teachers"),
        ({"train": {"epoch": 1}}, "train.epoch is not a known key (did you mean 'epochs'?); known here: epochs"),
        ({"task": None}, "task is None; give the name of a task"),
        ({"task": "gsm9k"}, "task: 'gsm9k' cannot be used: there is no task named 'gsm9k'; known are gsm8k, math"),
        (
            {"methods": {"g": "gredy"}},
            "methods.g.estimator: 'gredy' cannot be used: there is no estimator",
        ),
        (
            {"methods": ["greedy:ratio=2"]},
            "methods[0].estimator: 'greedy:ratio=2' cannot be used: estimator",
        ),
        (
            {"methods": {"g": {"estimator": "greedy", "objectiv": "answer"}}},
            "methods.g.objectiv is not a known key (did you mean 'objective'?); known here: name, estimator, objective",
        ),
        (
            {"methods": {"g": {"estimator": "greedy", "objective": "x"}}},
            "methods.g.objective: 'x' cannot be used: there is no objective named 'x'",
        ),
        ({"methods": ["greedy", "greedy"]}, "methods: two entries are called 'greedy'; give each a name of its own"),
        (
            {"methods": {"a/b": "greedy"}},
            "methods.a/b.name is 'a/b'; give what a folder can be called: letters",
        ),
        ({"methods": []}, "methods must be a list with at least one entry"),
        (
            {"keep_ratios": [0.5, 1.0]},
            "keep_ratios[1] is 1.0; give a number between 0 and 1 (unpruned: true",
        ),
        ({"keep_ratios": 0.5}, "keep_ratios must be a list"),
        ({"keep_ratios": [0.5, 0.50000001]}, "keep_ratios: 0.50000001 and 0.5 would share the folder 0.5"),
        ({"train": {"prompt_format": "chat"}}, "evaluate.prompt_format is 'auto' and train.prompt_format 'chat'"),
        (
            {"train": {"think_tags": ["<a>", "</a>"]}},
            "evaluate.think_tags is None and train.think_tags ('<a>', '</a>'): students would be asked in another form",
        ),
        ({"sample": {"think_tags": "<a>"}}, "sample.think_tags: '<a>' is no pair of texts"),
        ({"seeds": [0.5]}, "seeds[0] is 0.5; give a whole number from 0 to 4294967295"),
        (
            {"teachers": [{"model": "tiny", "device_map": 3}]},
            "teachers[0].device_map is 3; give auto, balanced, ..., a mapping of modules to devices, or a file with",
        ),
        (
            {"teachers": [{"model": "tiny", "device_map": "nowhere.json"}]},
            "teachers[0].device_map: there is no device map 'nowhere.json'",
        ),
        (
            {"pruners": [{"model": "tiny", "device_map": "auto", "device": "cpu"}]},
            "pruners[0]: device is 'cpu' and there is a device_map, which says where everything goes; leave one out",
        ),
        (
            {"teachers": [{"model": "tiny", "device_map": "auto", "engine": "vllm"}]},
            "teachers[0]: the engine vllm spreads a model over GPUs itself",
        ),
        (
            {"students": ["tiny", {"name": "b", "model": "tiny", "quantization": "quanto:weights=int8"}]},
            "students[1].quantization: students are trained, and quantised weights cannot take the small steps",
        ),
        (
            {"students": [{"model": "tiny", "device_map": "auto"}]},
            "students[0].device_map: students are trained, and the training library places them",
        ),
        ({"teachers": [{"name": "x"}]}, "teachers[0].model is missing; needed here: name, model"),
        (
            {"teachers": [{"model": "tiny", "backend": "jax"}]},
            "teachers[0].backend: 'jax' cannot be used: there is no scorer named 'jax'",
        ),
        (
            {"students": ["./no/such/folder"]},
            "students[0].model is './no/such/folder'; give a folder or file that is there, a hub id",
        ),
        ({"students": ["tiny", "tiny"]}, "students: two entries are called 'tiny'"),
        ({"train": {"seed": 3}}, "train: seed is not a key of a plan's trainings; the list 'seeds' says their seeds"),
        ({"train": {"epochs": -1}}, "train.epochs is -1; give a number above 0"),
        ({"train": {"lora": {"merge": False}}}, "train: lora.merge is false"),
        ({"sample": {"number": 3}}, "sample.number is not a known key; known here: n, temperature"),
        ({"evaluate": {"progress": 3}}, "evaluate.progress is not a known key; known here: prompt_format"),
        ({"test": {"limit": 0}}, "test.limit is 0; give a whole number, 1 or more"),
        (
            {"teachers": [{"model": "tiny", "engine": "vlm"}]},
            "teachers[0].engine is 'vlm'; give 'transformers' or",
        ),
        ({"teachers": [{"model": "tiny", "dtype": "bf16"}]}, "teachers[0].dtype is 'bf16'; give 'auto', 'float32'"),
        ({"teachers": [{"model": "tiny", "device": "gpu9"}]}, "teachers[0].device is 'gpu9'; give auto, cpu"),
        ({"sample": {"n": "ten"}}, "sample.n is 'ten'; give a whole number, 1 or more"),
        ({"sample": {"n": 3, "per_round": 4}}, "sample: per_round is 4; give no more than n=3"),
        (
            {"sample": {"longest_percentile": 0}},
            "sample.longest_percentile is 0; give a number above 0 and at most",
        ),
        ({"evaluate": {"interval": "wilson"}}, "evaluate.interval is not a known key"),
        ({"evaluate": {"confidence": "x"}}, "evaluate.confidence is 'x'; give a number between 0 and 1"),
        ({"questions": {"seed": None}}, "questions.seed is None; give a whole number, 0 or more"),
        ({"untrained": "yes please"}, "untrained is 'yes please'; give true or false"),
        ({"unit": "letter"}, "unit: 'letter' cannot be used: there is no unit named 'letter'"),
        ({"trainer": "trl:x=1"}, "trainer: 'trl:x=1' cannot be used"),
        ({"teachers": [3]}, "teachers[0] must hold keys and values, not 3; keys are name, model, backend"),
        ({"methods": {"g": 3}}, "methods.g must hold keys and values, not 3; keys are name, estimator, objective"),
        ({"train": 3}, "train must hold keys and values, not 3; keys are epochs"),
        ({"sample": [3]}, "sample must hold keys and values, not [3]; keys are n, temperature"),
        ({"questions": {"lmit": 3}}, "questions.lmit is not a known key (did you mean 'limit'?)"),
        ({"teachers": [], "teacher": "tiny"}, "teacher is not a known key (did you mean 'teachers'?)"),
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
        ("sample", sample, {"skipped", "origin", "executor", "before_work", "progress"}),
        ("evaluate", evaluate, {"before", "origin", "executor", "before_work", "progress"}),
    ],
)
def test_every_argument_of_a_step_may_stand_in_a_plan(key: str, function: Any, without: set[str]) -> None:
    """A plan takes all named arguments of the function but those of no use in a plan; their defaults are allowed."""
    taken = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    taken = {name: value for name, value in taken.items() if value is not inspect.Parameter.empty}
    defaults = {name: value for name, value in taken.items() if name not in without}
    assert getattr(Plan.of({**LEAST, key: defaults}), key) == defaults
    for name in without:
        with pytest.raises(PlanError, match=f"{key}.{name} is not a known key"):
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
    with pytest.raises(PlanError, match=f"{missing} is missing; needed here: task, teachers, students, "):
        Plan.of({key: value for key, value in LEAST.items() if key != missing})


def test_a_plan_can_be_sent_to_another_process(tmp_path: Path) -> None:
    """Workers get the plan by pickle, and do not check it again: a student's folder may be gone by then."""
    folder = tmp_path / "student"
    folder.mkdir()
    plan = Plan.of({**LEAST, "students": [str(folder)], "train": {"lora": True}, "sample": {"n": 2}})
    sent = pickle.dumps(plan)
    folder.rmdir()
    assert pickle.loads(sent) == plan  # noqa: S301 - made three lines above


def test_what_stands_twice_counts_once() -> None:
    """Ratios and seeds are sets: written twice or in another order, they make the same plan."""
    plan = Plan.of({**LEAST, "keep_ratios": [0.5, 0.9, 0.5], "seeds": [2, 0, 2]})
    assert (plan.keep_ratios, plan.seeds) == ((0.9, 0.5), (0, 2))


@pytest.mark.parametrize("key", ["questions", "test", "pruners", "sample", "train", "evaluate"])
def test_a_key_without_a_value_means_its_default(key: str) -> None:
    """A key with nothing after it, which YAML reads as null, is as good as none."""
    assert Plan.of({**LEAST, key: None}) == Plan.of(LEAST)


def test_a_device_map_and_a_quantization_may_be_mappings() -> None:
    """Both may stand in a plan as on the command line or as mappings, and are options of loading and nothing else's."""
    places, weights = {"model.layers.0": 0, "": "cpu"}, {"quant_method": "quanto", "weights": "int8"}
    teachers = [
        {"name": "a", "model": "tiny", "device_map": places, "offload_folder": "off", "quantization": weights},
        {"name": "b", "model": "tiny", "device_map": json.dumps(places), "quantization": "quanto:weights=int8"},
        "tiny",
    ]
    first, second, plain = Plan.of({**LEAST, "teachers": teachers}).teachers
    assert first.device_map is not None
    assert parse_device_map(first.device_map) == places
    assert first.options() == {
        "device_map": json.dumps(places),
        "offload_folder": "off",
        "quantization": json.dumps(weights),
    }
    assert second.options() == {"device_map": json.dumps(places), "quantization": "quanto:weights=int8"}
    assert plain.options() == {}
    assert len({first, second, plain}) == 3


def test_quantisation_makes_another_model_and_a_device_map_does_not() -> None:
    """What a step is made from names the quantisation, and a plan without one is told apart as it always was."""
    model = {"name": "a", "model": "tiny"}
    plain, spread, quantised = (
        spec_identity(Plan.of({**LEAST, "teachers": [{**model, **more}]}).teachers[0])
        for more in ({}, {"device_map": "auto"}, {"quantization": "quanto:weights=int8"})
    )
    assert set(plain) == {"model", "backend", "engine", "dtype", "trust_remote_code", "files"}
    assert spread == plain
    assert quantised == {**plain, "quantization": "quanto:weights=int8"}
