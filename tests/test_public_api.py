"""``import tokimp as ti``: the names it gives, and when they are loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import tokimp as ti

STUB = Path(ti.__file__).with_suffix(".pyi")


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_loads_no_heavy_library() -> None:
    """The package, its version and the list of its names are there without torch, numpy or the rooms."""
    program = """
import sys
import tokimp
assert tokimp.__version__
assert "compare" in dir(tokimp)
print(*({"torch", "numpy", "xarray", "transformers", "tokimp.chains", "tokimp.compare"} & set(sys.modules)))
"""
    assert _run(program) == ""


def test_every_name_of_the_list_is_there() -> None:
    """The stub is the one list: each of its names is an attribute, in dir() and in a star import."""
    listed = [
        ast.literal_eval(statement.value)
        for statement in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
    ]
    assert sorted(ti.__all__) == sorted(listed[0])
    assert dir(ti) == sorted(ti.__all__)
    for name in ti.__all__:
        assert getattr(ti, name) is not None
    namespace: dict[str, object] = {}
    exec("from tokimp import *", namespace)  # noqa: S102 - only modules can import a star
    assert set(ti.__all__) <= namespace.keys()
    assert ti.__version__ == version("tokimp")


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name is refused by name, as for any module."""
    with pytest.raises(AttributeError, match="comparre"):
        _ = ti.comparre  # type: ignore[attr-defined] # the mistake is the point


@pytest.mark.parametrize(
    "program",
    [
        "import tokimp; import tokimp.compare.journal",
        "import tokimp.compare.journal; import tokimp",
        "from tokimp.compare import journal; import tokimp",
        "import tokimp; tokimp.compare; import tokimp.compare.journal",
        "import importlib, tokimp.compare.journal, tokimp; importlib.reload(tokimp)",
        "import importlib, tokimp; importlib.reload(tokimp); import tokimp.compare.journal",
    ],
)
def test_compare_is_the_function_whatever_was_imported_first(program: str) -> None:
    """The room `tokimp.compare` never takes the place of the function of the same name."""
    assert _run(f"{program}\nprint(type(tokimp.compare).__name__, tokimp.compare.__name__)") == "function compare"


def test_methods_that_a_library_gives_every_object_hide_no_name() -> None:
    """After nnsight has put `save` on every object, `ti.save` is still the function that saves a result."""
    program = """
import tokimp as ti
import nnsight
assert hasattr(object, "save")
print(ti.save.__module__)
"""
    assert _run(program) == "tokimp.results.io"
