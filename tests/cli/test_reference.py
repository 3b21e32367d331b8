"""The command line's documentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from .conftest import Run

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_page_is_what_help_prints() -> None:
    """docs/cli.md is up to date; python docs/generate_cli.py renews it."""
    specification = importlib.util.spec_from_file_location("generate_cli", DOCS / "generate_cli.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == module.render()


@pytest.mark.parametrize("command", [[], ["compare"], ["prune"], ["plugins"], ["doctor"]])
def test_every_command_explains_itself(tokimp: Run, command: list[str]) -> None:
    """--help ends with status 0 and names the command's purpose."""
    done = tokimp(*command, "--help")
    assert done.status == 0
    assert "Usage: tokimp" in done.out
