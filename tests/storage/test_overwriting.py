"""The rule that what is read is never written over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tokimp.errors import TokimpError
from tokimp.storage.overwriting import refuse_foreign, refuse_overwriting


def _symlink(path: Path) -> Path:
    link = path.with_name("symbolic")
    link.symlink_to(path)
    return link


def _hard_link(path: Path) -> Path:
    link = path.with_name("hard")
    os.link(path, link)
    return link


def _through_a_linked_folder(path: Path) -> Path:
    link = path.parent.with_name("linked")
    link.symlink_to(path.parent, target_is_directory=True)
    return link / path.name


SPELLINGS: list[Callable[[Path], Path]] = [
    lambda path: path,
    lambda path: path.parent / "." / path.parent.name / ".." / ".." / path.parent.name / path.name,
    lambda path: Path(os.path.relpath(path)),
    _symlink,
    _hard_link,
    _through_a_linked_folder,
]


@pytest.mark.parametrize("spelt", SPELLINGS)
def test_a_file_is_itself_by_any_spelling(tmp_path: Path, spelt: Callable[[Path], Path]) -> None:
    """Relative paths, dots, symbolic and hard links, and links to folders do not hide that two paths are one file."""
    file = tmp_path / "folder" / "chains.jsonl"
    (file.parent / "folder").mkdir(parents=True)
    file.write_text("{}\n", encoding="utf-8")
    other = spelt(file)
    with pytest.raises(TokimpError, match=r"would be written over, and CHAINS .* another place to write to"):
        refuse_overwriting([other], {"CHAINS": str(file)})
    with pytest.raises(TokimpError, match="would be written over"):
        refuse_overwriting([file], {"CHAINS": other})


def test_a_folder_that_is_replaced_keeps_what_is_read_in_it(tmp_path: Path) -> None:
    """A file that is read may lie at any depth in the folder that would be replaced, and so may a folder."""
    deep = tmp_path / "X" / "model" / "weights"
    deep.mkdir(parents=True)
    (deep / "a.safetensors").touch()
    for source in (tmp_path / "X" / "model", deep, deep / "a.safetensors"):
        with pytest.raises(TokimpError, match="would be written over"):
            refuse_overwriting([tmp_path / "X" / "model"], {"--student": source})


def test_the_files_of_a_model_are_read(tmp_path: Path) -> None:
    """A file of a model's folder is not written over; what lies beside the model may be."""
    for name in ("config.json", "notes.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(TokimpError, match=r"config\.json would be written over, and --model"):
        refuse_overwriting([tmp_path / "config.json"], {"--model": tmp_path})
    refuse_overwriting([tmp_path / "notes.jsonl"], {"--model": tmp_path})


def test_names_and_new_files_are_nobodys(tmp_path: Path) -> None:
    """A hub id, a name, a text too long for a path and a file that is not there yet are in nobody's way."""
    refuse_overwriting([tmp_path / "new.jsonl"], {"CHAINS": "demo", "--model": "o/n", "x": "a" * 5000, "y": None})


def test_a_folder_without_a_run_keeps_what_it_holds(tmp_path: Path) -> None:
    """What a run would replace stays where nothing says that a run made it; its own run may go on."""
    refuse_foreign(tmp_path, ["results.nc"])
    (tmp_path / "results.nc").touch()
    with pytest.raises(TokimpError, match=r"results\.nc is there already.*run\.json is missing.*another folder"):
        refuse_foreign(tmp_path, ["results.nc"])
    (tmp_path / "run.json").touch()
    refuse_foreign(tmp_path, ["results.nc"])
