"""What diagnostics mean, for tables and the page on methods."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tokimp.report.diagnostic_meanings import diagnostic_meaning

ROOT = Path(__file__).parents[2]


def given_by_plugins() -> set[str]:
    """Return every name that a plugin's code gives a diagnostic."""
    names = set[str]()
    for path in (ROOT / "plugins").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for given in places_of_names(node):
                names.update(key.value for key in keys_of(given) if isinstance(key.value, str))
    return names


def places_of_names(node: ast.AST) -> list[ast.AST]:
    """Return what a node passes, assigns or returns as diagnostics."""
    if isinstance(node, ast.FunctionDef) and node.name == "diagnostics":
        return [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value is not None]
    if isinstance(node, ast.keyword) and node.arg == "diagnostics":
        return [node.value]
    if isinstance(node, ast.Assign | ast.AugAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Subscript) and ast.unparse(target.value) == "diagnostics":
            return [target.slice]
        if ast.unparse(target) == "diagnostics":
            return [node.value]
    return []


def keys_of(node: ast.AST) -> list[ast.Constant]:
    """Return a node that is a name itself, or the keys of all dictionaries in it."""
    if isinstance(node, ast.Constant):
        return [node]
    dictionaries = [inner for inner in ast.walk(node) if isinstance(inner, ast.Dict)]
    return [key for each in dictionaries for key in each.keys if isinstance(key, ast.Constant)]


def test_every_diagnostic_of_the_plugins_is_explained() -> None:
    """No plugin that comes with tokimp gives a number that tables leave without a word."""
    names = given_by_plugins()
    assert len(names) > 20
    assert [name for name in sorted(names) if not diagnostic_meaning(name)] == []
    assert diagnostic_meaning("somebody_elses") == ""


def test_the_page_on_methods_says_the_same() -> None:
    """The table of the page has the words of the tables on a terminal."""
    section = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").partition("## Diagnostics")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, flags=re.MULTILINE))
    assert set(rows) >= given_by_plugins()
    assert {name: diagnostic_meaning(name) for name in rows} == rows
