"""The command that says what is installed, and what is missing."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "batches of rows of one length: on a CPU they are as fast as packs"),
        (["--packed"], "packs of rows of any length"),
        (["--no-packed"], "batches of rows of one length: packed=false"),
    ],
)
def test_doctor_says_how_a_model_is_read_and_why(tokimp: Run, options: list[str], said: str) -> None:
    """The path of a model's deletions is told with its reason, beside device, precision and memory."""
    done = tokimp("doctor", "--model", "tiny", "--backend", "nnsight", "--device", "cpu", *options)
    assert done.status == 0, done.out
    text = " ".join(done.out.split())
    assert f"deletions {said}" in text
    assert all(word in text for word in ("device cpu", "dtype float32", "MiB", "cannot give (it gives everything)"))


def test_doctor_refuses_how_to_load_a_model_without_a_model(tokimp: Run) -> None:
    """Options that say how a model is loaded are of no use without one, and the message says so."""
    done = tokimp("doctor", "--packed")
    assert done.status == 2
    assert "--packed says how a model is loaded; name one with --model" in done.err
