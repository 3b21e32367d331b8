"""What is installed is read once, and again as soon as it is other packages that are installed."""

from __future__ import annotations

import shutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tokimp.contracts import discovery
from tokimp.contracts.kinds import DESCRIPTIONS, KINDS, Kind
from tokimp.contracts.registry import names


def write_metadata(folder: Path, name: str) -> None:
    """Write the metadata of a package that offers one estimator, as pip would lay it out."""
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder.name}\nVersion: 1.0\n", encoding="utf-8")
    new = folder / "new"
    new.write_text(f"[tokimp.estimators]\n{name} = a_module:A\n", encoding="utf-8")
    new.replace(folder / "entry_points.txt")


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_are_those_that_python_finds(kind: Kind) -> None:
    """However often they are asked for, the names are those of the entry points read anew."""
    for _ in range(2):
        found = {(name, offer.target) for name, offers in discovery._offers(kind).items() for offer in offers}
        assert found == {(entry.name, entry.value) for entry in entry_points(group=DESCRIPTIONS[kind].group)}


def test_a_package_is_met_as_soon_as_it_is_installed_changed_or_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process that has looked names up, a new package's name is known, then its other name, then neither."""
    before = names("estimators")
    site, metadata = tmp_path / "site", tmp_path / "site" / "strange-1.0.dist-info"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    assert names("estimators") == before
    for name in ("one", "another"):
        write_metadata(metadata, name)
        assert names("estimators") == sorted([*before, name])
    shutil.rmtree(metadata)
    assert names("estimators") == before


def test_metadata_is_not_read_again_for_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once names have been looked up, others of the kind are found without reading the packages' metadata."""
    names("estimators")
    monkeypatch.setattr(discovery, "entry_points", None)
    assert "greedy" in names("estimators")
    assert discovery.load("estimators", "greedy").name == "greedy"
