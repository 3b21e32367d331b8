"""The command line's documentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.cli.conftest import Run

DOCS = Path(__file__).parents[2] / "docs"


def generator() -> ModuleType:
    """Return docs/generate.py as a module."""
    specification = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "api.md"])
def test_the_generated_pages_are_up_to_date(page: str) -> None:
    """The pages say what --help and the docstrings say; python docs/generate.py renews them."""
    assert (DOCS / page).read_text(encoding="utf-8") == generator().PAGES[page]()


@pytest.mark.parametrize("command", [[], ["compare"], ["prune"], ["plugins"], ["doctor"]])
def test_every_command_explains_itself(tokimp: Run, command: list[str]) -> None:
    """--help ends with status 0 and names the command's purpose."""
    done = tokimp(*command, "--help")
    assert done.status == 0
    assert "Usage: tokimp" in done.out
