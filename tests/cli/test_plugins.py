"""The command that lists what can be asked for by name."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tokimp.contracts import registry


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
