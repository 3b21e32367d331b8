"""A leaderboard: entries are written, read, ordered, and found out where they say what is not so."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tokimp.audit.leaderboard import check_entry, labels_in_order, make_entries, read_entries, read_entry, write_entries
from tokimp.audit.settings import LeaderboardSettings
from tokimp.cli.commands import cli
from tokimp.errors import TokimpError

CONFIGURATION = """
estimators: [surprisal, position, uniform]
units: [sentence]
audit:
  backend: nnsight
  limit: 3
  cuts: 2
  changed_chains: 2
  seeds: 1
  metrics: ["faithfulness:n_uniform=2"]
"""


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small leaderboard of three estimators, made by the command."""
    folder = tmp_path_factory.mktemp("leaderboards") / "small"
    folder.mkdir()
    path = folder / "configuration.yaml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    done = CliRunner().invoke(cli, ["leaderboard", str(path), "--out", str(folder / "runs")])
    assert done.exit_code == 0, done.output
    return path


def entry_of(configuration: Path, label: str) -> dict[str, Any]:
    """Return an entry, free to be changed."""
    return copy.deepcopy(read_entry(configuration.parent / f"{label}.json"))


def test_the_page_has_a_row_for_each_estimator_and_says_who_is_blind(configuration: Path) -> None:
    """Position and uniform are found out, and what was held out is said."""
    page = configuration.parent.with_suffix(".md").read_text(encoding="utf-8")
    assert page.count("\n| surprisal |") == page.count("\n| position |") == page.count("\n| uniform |") == 1
    assert "- Blind to the weights: `position`, `uniform`." in page
    assert "was not trained on" in page
    assert "Not complete" not in page


@pytest.mark.slow
def test_a_run_that_goes_on_computes_nothing_and_gives_the_same_entries(configuration: Path) -> None:
    """All runs are found in the folder, and costs too."""
    settings = LeaderboardSettings.read(configuration)
    again = make_entries(settings, configuration.parent / "runs")
    for label, entry in read_entries(configuration.parent).items():
        assert again[label]["units"]["sentence"]["by_chain"] == entry["units"]["sentence"]["by_chain"]
        assert again[label]["units"]["sentence"]["entry"] == entry["units"]["sentence"]["entry"]


@pytest.mark.slow
def test_an_honest_entry_is_confirmed_and_a_changed_score_is_not(configuration: Path) -> None:
    """All scores of all chains are computed again: one that was made better is named with its chain."""
    settings = LeaderboardSettings.read(configuration)
    honest = entry_of(configuration, "surprisal")
    assert check_entry(honest, settings, n_chains=3) == []
    better = copy.deepcopy(honest)
    scores = better["units"]["sentence"]["by_chain"]["comprehensiveness, delete"]
    chain = next(iter(scores))
    scores[chain] += 2
    problems = check_entry(better, settings, n_chains=3)
    assert any(f"comprehensiveness, delete of chain {chain!r}" in problem for problem in problems)
    assert any("the mean of comprehensiveness, delete" in problem for problem in problems)
    renamed = {**honest, "label": "position"}
    assert any("of chain" in problem for problem in check_entry(renamed, settings, n_chains=1))


def test_other_settings_and_missing_units_and_chains_are_named(configuration: Path) -> None:
    """An entry that was made otherwise is not confirmed, and nothing is computed for it."""
    settings = LeaderboardSettings.read(configuration)
    entry = entry_of(configuration, "position")
    other = copy.deepcopy(entry)
    other["units"]["sentence"]["settings"]["seed"] = 1
    assert "the settings are not those" in check_entry(other, settings)[0]
    fewer = copy.deepcopy(entry)
    for values in fewer["units"]["sentence"]["by_chain"].values():
        del values["planted-001"]
    assert "1 chains of the leaderboard are not in the entry, 'planted-001'" in check_entry(fewer, settings)[0]
    beyond = copy.deepcopy(entry)
    beyond["units"]["sentence"]["settings"]["limit"] = 4
    assert "1 chains of the leaderboard are not in the entry" in check_entry(beyond, settings)[0]
    assert check_entry({**entry, "units": {}}, settings) == ["there is no unit 'sentence' in the entry"]


def test_the_command_checks_an_entry(configuration: Path) -> None:
    """It says so where all is well, and ends with 1 where it is not."""
    entry = configuration.parent / "position.json"
    arguments = ["leaderboard", str(configuration), "--check-chains", "1", "--check"]
    done = CliRunner().invoke(cli, [*arguments, str(entry)])
    assert done.exit_code == 0, done.output
    wrong = read_entry(entry)
    wrong["units"]["sentence"]["entry"]["faithfulness"][0]["value"]["mean"] += 1
    (path,) = write_entries({"wrong": wrong}, configuration.parent / "elsewhere")
    done = CliRunner().invoke(cli, [*arguments, str(path)])
    assert done.exit_code == 1
    assert "the mean of comprehensiveness" in done.output


def test_estimators_stand_in_the_order_of_their_advantage_over_position() -> None:
    """Scores count alike whatever their unit of measure, and an estimator without one stands at 0."""

    def entry(**means: float | None) -> dict[str, Any]:
        scores = [{"score": name, "above_position": {"mean": mean}} for name, mean in means.items()]
        return {"units": {"token": {"entry": {"faithfulness": scores}}}}

    entries = {"a": entry(nats=-5.0, share=0.2), "b": entry(nats=10.0, share=0.1), "c": entry(nats=None, share=None)}
    assert labels_in_order(entries, "token") == ["b", "a", "c"]
    assert labels_in_order(entries, "word") == []


def test_a_file_that_was_changed_by_hand_is_refused(configuration: Path, tmp_path: Path) -> None:
    """Entries have a digest, and two files of one estimator are one too many."""
    text = (configuration.parent / "position.json").read_text(encoding="utf-8")
    (tmp_path / "a.json").write_text(text.replace('"position"', '"mine"'), encoding="utf-8")
    with pytest.raises(TokimpError, match="digest"):
        read_entries(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    with pytest.raises(TokimpError, match="remove one"):
        read_entries(tmp_path)
