"""``tokimp view``: the page of a run, and the commands that it suggests."""

from __future__ import annotations

from pathlib import Path

import pytest

import tokimp as ti
from tests.cli.conftest import Run
from tests.report.explorer.reading import blocks
from tokimp.testing.toy_result import toy_result


@pytest.mark.parametrize(("folder", "named"), [("run", "run"), ("a {run} {}", "'a {run} {}'")])
def test_the_page_suggests_commands_that_name_the_run(tokimp: Run, folder: str, named: str) -> None:
    """The analyses that are missing come with the command that adds them, whatever signs the run's path has."""
    Path(folder).mkdir()
    ti.save(toy_result({"a": [[1.0, 2.0]]}), Path(folder) / "results.nc")
    done = tokimp("view", folder)
    assert done.status == 0, done.err
    missing = blocks(Path(folder) / "explorer.html")["run"]["missing"]
    assert [entry["command"] for entry in missing][:2] == [
        f"tokimp analyze {named} agreement",
        f"tokimp analyze {named} faithfulness",
    ]


def test_a_page_is_not_written_over_what_it_is_made_of(tokimp: Run) -> None:
    """A result that bears the name of a page, through a link, is left as it is."""
    ti.save(toy_result({"a": [[1.0, 2.0]]}), "results.nc")
    Path("page.html").symlink_to("results.nc")
    content = Path("results.nc").read_bytes()
    done = tokimp("view", "results.nc", "--out", "page.html")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "would be written over" in done.err
    assert Path("results.nc").read_bytes() == content


@pytest.mark.parametrize("opened", [True, False])
def test_where_no_browser_starts_the_page_is_named(
    tokimp: Run, monkeypatch: pytest.MonkeyPatch, *, opened: bool
) -> None:
    """A machine without a browser says so and gives the page's address; one that has a browser says nothing more."""
    addresses: list[str] = []

    def open_address(address: str) -> bool:
        addresses.append(address)
        return opened

    monkeypatch.setattr("webbrowser.open", open_address)
    ti.save(toy_result({"a": [[1.0, 2.0]]}), "results.nc")
    done = tokimp("view", "results.nc", "--open")
    assert done.status == 0, done.err
    assert addresses == [Path("explorer.html").resolve().as_uri()]
    assert ("no browser" in done.err, addresses[0] in done.err) == (not opened, not opened), done.err
