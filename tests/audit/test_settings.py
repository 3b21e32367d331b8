"""Settings of audits and leaderboards, and what is refused of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokimp.audit.settings import AuditSettings, LeaderboardSettings
from tokimp.errors import TokimpError


def read(tmp_path: Path, text: str) -> LeaderboardSettings:
    """Return what a configuration says."""
    path = tmp_path / "configuration.yaml"
    path.write_text(text, encoding="utf-8")
    return LeaderboardSettings.read(path)


def test_a_configuration_says_what_differs_from_the_defaults(tmp_path: Path) -> None:
    """What it leaves out is as always."""
    settings = read(tmp_path, "estimators: [a, 'b:c=1']\naudit: {limit: 7, metrics: [naopc]}")
    assert settings.estimators == ("a", "b:c=1")
    assert settings.units == ("token", "sentence")
    assert settings.audit == AuditSettings(limit=7, metrics=("naopc",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("estimators: [a]\nunit: token", "there is no setting 'unit'; there are audit, estimators, units"),
        ("estimators: [a]\naudit: {unit: token}", "audit: there is no setting 'unit'"),
        ("estimators: a", "'estimators' must be a list of texts"),
        ("units: [token]", "names no estimators"),
        ("estimators: [a]\naudit: {limit: 0}", "limit=0 is not allowed; give a whole number from 1 on"),
        ("estimators: [a]\naudit: {model: 3}", "model=3 is not allowed; give a text"),
        ("estimators: [a]\naudit: {metrics: naopc}", "metrics='naopc' is not allowed"),
        ("estimators: [a]\naudit: 3", "'audit' must hold settings"),
        ("- a", "holds no settings"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_a_configuration_may_not_say(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file, the setting, and what is allowed."""
    with pytest.raises(TokimpError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_quick_settings_are_never_more_than_the_settings() -> None:
    """A limit that is smaller already stays."""
    assert AuditSettings(limit=3).quick().limit == 3
    assert AuditSettings().quick().limit == 8
    assert AuditSettings(limit=None).quick().cuts == 4
