"""What is installed, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tokimp.contracts import registry


@pytest.fixture
def broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package whose estimator cannot be imported."""
    metadata = tmp_path / "site" / "broken_method-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-method\nVersion: 1.0\n", encoding="utf-8")
    entry = "[tokimp.estimators]\nbroken = broken_method_module:Method\n"
    (metadata / "entry_points.txt").write_text(entry, encoding="utf-8")
    monkeypatch.syspath_prepend(str(metadata.parent))


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


def test_doctor_finds_nothing_missing_in_a_whole_installation(tokimp: Run) -> None:
    """Versions and devices are printed, and the exit status says that all is there."""
    done = tokimp("doctor")
    assert done.status == 0, done.out
    assert all(word in done.out for word in ("torch", "transformer-lens", "nnsight", "cpu", "nothing is missing"))


@pytest.mark.parametrize(("offline", "said"), [(True, "offline"), (False, "asked when a hub id is given")])
def test_doctor_says_whether_the_hub_is_asked(
    tokimp: Run, offline: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's client says it, which reads more than one variable of the environment."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    assert f"model hub: {said}" in tokimp("doctor").out


@pytest.mark.usefixtures("broken_plugin")
def test_doctor_fails_where_something_is_broken(tokimp: Run) -> None:
    """A plugin that fails to load is a problem that the exit status shows."""
    done = tokimp("doctor")
    assert done.status == 1
    assert "broken_method_module" in done.out
