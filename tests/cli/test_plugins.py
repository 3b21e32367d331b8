"""The command that lists what can be asked for by name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tokimp.contracts import registry
from tokimp.contracts.kinds import Kind
from tokimp.contracts.specification import parse_specification


def test_plugins_lists_every_name_with_its_package(tokimp: Run) -> None:
    """Every scorer, objective, estimator and analysis is listed, with package and requirements."""
    done = tokimp("plugins")
    assert done.status == 0, done.err
    for kind in registry.KINDS:
        assert all(name in done.out for name in registry.names(kind))
    assert "deletions" in done.out


@pytest.mark.usefixtures("broken_plugin")
def test_a_plugin_that_fails_to_load_is_listed_with_its_reason(tokimp: Run) -> None:
    """A broken plugin is named with package and reason, and the rest is listed all the same."""
    done = tokimp("plugins")
    assert done.status == 0
    assert "broken-method" in done.out
    assert "No module named 'broken_method_module'" in done.out
    assert "greedy" in done.out


def test_the_parameters_of_a_plugin_are_described(tokimp: Run) -> None:
    """Each parameter has its default, what is allowed, and what the class says of it, in the order of the class."""
    done = tokimp("plugins", "greedy")
    assert done.status == 0, done.err
    assert "greedy: estimator of tokimp" in done.out
    assert "keep_ratio (default 0" in done.out
    assert "strategy (default auto; 'auto', 'exact' or 'fast')" in done.out
    assert "tries every unit at every step" in " ".join(done.out.split())
    assert "``" not in done.out
    assert done.out.index("keep_ratio (") < done.out.index("strategy (") < done.out.index("audit (")


def test_an_empty_default_is_named(tokimp: Run) -> None:
    """A parameter whose default is an empty text says so, instead of leaving a gap."""
    assert "path (default an empty text;" in tokimp("plugins", "at2").out


def test_a_name_of_two_kinds_is_described_twice(tokimp: Run) -> None:
    """The surrogate is an estimator and an analysis."""
    out = tokimp("plugins", "surrogate").out
    assert "surrogate: estimator of" in out
    assert "surrogate: analysis of" in out


def test_an_unknown_plugin_is_suggested(tokimp: Run) -> None:
    """A misspelt name ends in one line with the name that was meant."""
    done = tokimp("plugins", "gredy")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "did you mean 'greedy'?" in done.err


METHOD = '''
import numpy as np
import tokimp as ti


class Mine(ti.ImportanceEstimator):
    """Ranks by place.

    Parameters
    ----------
    power
        To which power.
    """

    name = "mine"

    def __init__(self, power=2):
        self.power = power

    def estimate(self, chain, scorer, objective):
        return ti.Importance(np.arange(len(chain.units)) ** float(self.power))
'''


def test_a_class_in_a_file_needs_no_package(tokimp: Run, chains_file: Path) -> None:
    """my.py:Class works where a name does, is described, and is another run once its code has changed."""
    Path("my.py").write_text(METHOD, encoding="utf-8")
    assert "power (default 2)" in tokimp("plugins", "my.py:Mine").out
    command = ("compare", chains_file, "--estimator", "my.py:Mine:power=1", "--out", "run")
    done = tokimp(*command)
    assert done.status == 0, done.err
    assert tokimp(*command).status == 0
    Path("my.py").write_text(METHOD + "\n# changed\n", encoding="utf-8")
    changed = tokimp(*command)
    assert changed.status == 1
    assert "another run" in changed.err


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("my:Mine", "my.py is here: name it as my.py:Mine, or set PYTHONPATH=."),
        ("mi.py:Mine", "mi.py cannot be read"),
        ("my.py:Other", "my.py has no attribute 'Other'"),
        ("my.py:Mina", "my.py has no attribute 'Mina' (did you mean 'Mine'?)"),
        ("ends.py:Mine", "SystemExit: 3"),
        ("beside.py:Mine", "it lies beside the file: set PYTHONPATH="),
        ("nameless.py:Mine", "Mine has no name; write name = 'mine' in the class"),
    ],
)
def test_a_class_that_is_not_found_is_told_how(tokimp: Run, chains_file: Path, named: str, reason: str) -> None:
    """The message says what is missing, and how a module of this folder is named."""
    Path("my.py").write_text(METHOD, encoding="utf-8")
    Path("ends.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    Path("beside.py").write_text("import next_to_it\n", encoding="utf-8")
    Path("next_to_it.py").touch()
    Path("nameless.py").write_text(METHOD.replace('name = "mine"', ""), encoding="utf-8")
    done = tokimp("compare", chains_file, "--estimator", named)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert reason in done.err


def example_of(printed: str) -> str:
    """Return the command that `tokimp plugins NAME` gives as an example."""
    commands: list[str] = re.findall(r"^  for example(?:, with a VALUE of yours)?: (.*)$", printed, flags=re.MULTILINE)
    return commands[-1]


@pytest.mark.parametrize("kind", [kind for kind in registry.KINDS if kind != "scorers"])
def test_the_example_of_every_plugin_names_it_as_it_can_be_named(tokimp: Run, kind: Kind) -> None:
    """What follows the option is a name with parameters that loads and is valid, or says that a VALUE is needed."""
    for name in registry.names(kind):
        described = [plugin for plugin in registry.plugins(kind) if plugin.name == name]
        printed = tokimp("plugins", name).out.partition(f"{name}: {registry.singular(kind)} of ")[2]
        command = next(line for line in printed.splitlines() if "for example" in line and name in line)
        specification = next(
            word for word in reversed(shlex.split(command)) if word == name or word.startswith(f"{name}:")
        )
        assert described
        if "VALUE" in command:
            assert "with a VALUE of yours" in command
        else:
            plugin, parameters = parse_specification(specification)
            assert plugin == name
            described[0].loaded(**parameters).validate_parameters()


@pytest.mark.parametrize("name", ["uniform", "sentence", "rules", "contrast"])
def test_an_example_works(tokimp: Run, name: str) -> None:
    """The command that is printed can be run as it stands."""
    command = shlex.split(example_of(tokimp("plugins", name).out))
    extra = ("--estimator", "position", "--out", "run") if name == "contrast" else ()
    done = tokimp(*command[1:], *extra)
    assert done.status == 0, done.err


def test_an_example_that_needs_a_value_says_so(tokimp: Run) -> None:
    """The surrogate's estimator cannot be used without its file."""
    printed = tokimp("plugins", "surrogate").out
    assert "for example, with a VALUE of yours: tokimp compare demo --estimator surrogate:path=VALUE" in printed
