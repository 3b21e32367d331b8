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
        ("a: 010", 10),
        ("a: -007", -7),
        ("a: 0o10", 8),
        ("a: 0x1F", 31),
        ("a: 1:30", "1:30"),
        ("a: 1_000", "1_000"),
        ("a: 0b11", "0b11"),
        ("a: 2020-01-01", "2020-01-01"),
        ("a: 2020-13-45", "2020-13-45"),
        ("a: yes", "yes"),
        ("a: off", "off"),
        ("a: True", True),
        ("a: FALSE", False),
        ("a: .5", 0.5),
        ("a: 1.", 1.0),
        ("a: -.inf", float("-inf")),
        ("a: ~", None),
        ("a:", None),
        ("a: =", "="),
        ("a: '010'", "010"),
        ("a: !!str 010", "010"),
        ("a: !!int '12'", 12),
        ("a: 1.5e", "1.5e"),
    ],
)
def test_numbers_read_as_numbers(text: str, value: object, tmp_path: Path) -> None:
    """Scalars are those of YAML 1.2: no octals by a leading zero, no sexagesimal numbers, no dates, no yes and no."""
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
        ("task: !!timestamp x\n", "could not determine a constructor"),
        ("task: !!binary aGk=\n", "could not determine a constructor"),
        ("task: !!set {a, b}\n", "could not determine a constructor"),
        ("task: !!int x\n", "invalid literal"),
        ("task: !!bool maybe\n", "not true or false"),
        ("task: !!map [a]\n", "this is no mapping"),
        ("task: !!seq {a: b}\n", "expected a sequence node"),
        ("task: " + "9" * 5000 + "\n", "Exceeds the limit"),
        ("task: " + "[" * 3000 + "]" * 3000 + "\n", "lie in each other"),
        ("task: " + "{a: " * 3000 + "1" + "}" * 3000 + "\n", "lie in each other"),
        ("\n".join(f"{'  ' * depth}a:" for depth in range(60)), "lie in each other"),
        ("task: &a [*a]\n", "stands for what it is in itself"),
        ("task: &a {b: *a}\n", "stands for what it is in itself"),
        ("task: *nowhere\n", "found undefined alias"),
        ("a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(30)), "more than 20000"),
        ("task: '" + "x" * 2**18 + "'\n", "more than 256 KiB"),
        ("'" + "x" * 900 + "': 1\n'" + "x" * 900 + "': 1\n", "stands twice"),
        ("task: \x01\n", "special characters are not allowed"),
        ("--- a\n--- b\n", "found another document"),
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
    assert len(str(raised.value)) < 1000


def test_aliases_and_merge_keys_of_an_honest_plan_are_read(tmp_path: Path) -> None:
    """What is written once and meant twice may be written once."""
    text = "base: &base {a: 1, b: [2]}\none: {<<: *base, b: 3}\ntwo: *base\n"
    base = {"a": 1, "b": [2]}
    assert read(text, tmp_path) == {"base": base, "one": {"a": 1, "b": 3}, "two": base}


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    """A file without content, or with comments alone, is no mapping."""
    assert read("# nothing\n", tmp_path) is None


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(PlanError, match=r"nowhere\.yaml"):
        Plan.load(tmp_path / "nowhere.yaml")
