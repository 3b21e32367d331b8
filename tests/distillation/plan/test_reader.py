"""The file of a plan: which YAML is read, and what is said of YAML that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.plan.reader import naming, read_plan_file
from tokimp.errors import PlanError


def read(text: str, folder: Path) -> object:
    """Write a file and read it."""
    path = folder / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return read_plan_file(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e-4", 1e-4),
        ("a: 2.5E+3", 2500.0),
        ("a: -1e2", -100.0),
        ("a: 3", 3),
        ("a: 1e-4x", "1e-4x"),
        ("a: {b: [1, x, null]}", {"b": [1, "x", None]}),
    ],
)
def test_numbers_read_as_numbers(text: str, value: object, tmp_path: Path) -> None:
    """An exponent needs no dot, unlike in YAML 1.1, and a whole number stays one."""
    content = read(text, tmp_path)
    assert content == {"a": value}
    assert isinstance(content, dict)
    assert type(content["a"]) is type(value)


def test_a_key_may_stand_twice_in_different_mappings(tmp_path: Path) -> None:
    """Only within one mapping would the second one silently take the place of the first."""
    assert read("a: {k: 1}\nb: {k: 2}\n", tmp_path) == {"a": {"k": 1}, "b": {"k": 2}}
    with pytest.raises(PlanError, match=r"plan\.yaml:2: not a plan in YAML: the key 'k' stands twice"):
        read("a:\n  {k: 1, k: 2}\n", tmp_path)


def test_an_error_begins_with_the_file_it_is_about() -> None:
    """Errors about a plan's content name the file; those about a plan made in Python stay as they are."""
    with pytest.raises(PlanError, match=r"^my\.yaml: wrong$"), naming(Path("my.yaml")):
        raise PlanError("wrong")
    with pytest.raises(PlanError, match=r"^wrong$"), naming(None):
        raise PlanError("wrong")


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
