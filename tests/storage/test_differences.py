"""Differences between two runs: each is named once, by its cause, with what stood there and what stands there now."""

from __future__ import annotations

from typing import Any

import pytest

from tokimp.storage.differences import causes_of_difference, differences, without_keys


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b: before 1, now 2"]),
        ({"a": 1}, {"a": 1, "c": "x"}, ['c: before nothing, now "x"']),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]: before 2, now 3"]),
        ({"a": [1]}, {"a": [2, 3]}, ["number of a: before 1, now 2", "a[0]: before 1, now 2"]),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": "0" * 64}, {"a": "1" * 64}, ["a: before 00000000, now 11111111"]),
    ],
)
def test_each_place_has_its_line(before: Any, now: Any, lines: list[str]) -> None:
    """A line names the place, the value before (or nothing) and the value now; digests are shortened."""
    assert list(differences(before, now)) == lines


def test_long_values_keep_both_ends() -> None:
    """A long path is cut in the middle, since its end is what tells files apart."""
    (line,) = differences({"file": "a" * 100 + "/one"}, {"file": "a" * 100 + "/two"})
    assert '/one", now "a' in line
    assert line.endswith('/two"')
    assert len(line) < 200


def test_what_follows_from_another_difference_is_left_out() -> None:
    """Another unit changes the ids of all chains, another name the class: only unit and name are said."""
    before = {"unit": "token", "objective": {"name": "a", "class": "m:A"}, "chains": [{"tokens": "1"}, {"tokens": "2"}]}
    now = {"unit": "word", "objective": {"name": "b", "class": "m:B"}, "chains": [{"tokens": "3"}, {"tokens": "4"}]}
    lines = causes_of_difference(before, now, None, None)
    assert lines == ['unit: before "token", now "word"', 'objective.name: before "a", now "b"']
    greedy = {"label": "greedy:audit=2", "name": "greedy", "parameters": {"audit": 2}}
    other = {"label": "position", "name": "position", "parameters": {}}
    lines = causes_of_difference({"estimators": [greedy]}, {"estimators": [other]}, None, None)
    assert lines == ['estimators[0].name: before "greedy", now "position"']
    ids_alone = {**before, "chains": now["chains"]}
    assert causes_of_difference(before, ids_alone, None, None) == [
        'chains[0].tokens: before "1", now "3"',
        'chains[1].tokens: before "2", now "4"',
    ]


def test_the_same_run_has_no_differences() -> None:
    """Another origin of the same content is no difference."""
    assert causes_of_difference({"questions": ["a"]}, {"questions": ["a"]}, {"seed": 1}, {"seed": 2}) == []


def test_keys_are_left_out_at_any_depth() -> None:
    """Entries of the named keys are gone, in objects within lists too; everything else stays."""
    content = {"class": 1, "a": [{"class": 2, "b": 3}, "class"], "c": {"d": {"class": 4}}}
    assert without_keys(content, {"class"}) == {"a": [{"b": 3}, "class"], "c": {"d": {}}}
