"""Atomic writes: a reader meets the old content or the new, never a torn one, and nothing is left lying about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokimp.storage.atomic import remove_partial, replacing, write_object, write_records
from tokimp.storage.batch_log import BatchLog
from tokimp.storage.json_file import read_object


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path: Path) -> None:
    """While the new content is written the old one can be read; afterwards there is the new one and nothing else."""
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        assert partial.parent == path.parent
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Files of the old folder are gone, those of the new one are there."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("old")
    with replacing(folder) as partial:
        (partial / "deep").mkdir(parents=True)
        (partial / "deep" / "new").write_text("new")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "folder",
        "folder/deep",
        "folder/deep/new",
    ]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_write_that_fails_leaves_things_as_they_were(tmp_path: Path, kind: str) -> None:
    """If writing raises, the old content stays and what was half written is removed."""
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as partial:
            if kind == "folder":
                partial.mkdir()
            (partial / "inside" if kind == "folder" else partial).write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_removed_by_name(tmp_path: Path) -> None:
    """What an interrupted write of one file left is removed; leftovers of others, and finished files, stay."""
    names = [".a.1.partial", ".b.2.partial", "a", "b"]
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / ".a.3.partial").mkdir()
    remove_partial(tmp_path, "a")
    assert {path.name for path in tmp_path.iterdir()} == {".b.2.partial", "a", "b"}
    remove_partial(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_records_and_objects_are_json_in_utf_8(tmp_path: Path) -> None:
    """Records stand one a line, whatever line breaks their texts hold; letters are written as they are."""
    records: list[dict[str, object]] = [{"text": "a\nb\u2028é"}, {"n": 1}]
    write_records(tmp_path / "records.jsonl", records)
    content = (tmp_path / "records.jsonl").read_text("utf-8")
    assert [json.loads(line) for line in content.split("\n")[:-1]] == records
    assert "é" in content
    write_object(tmp_path / "object.json", {"text": "é", "list": [1, 2]})
    assert read_object(tmp_path / "object.json") == {"text": "é", "list": [1, 2]}
    assert "é" in (tmp_path / "object.json").read_text("utf-8")


def test_half_a_surrogate_pair_is_written_as_json_escapes_it(tmp_path: Path) -> None:
    """The id of a record that was left out may hold one, and UTF-8 cannot."""
    records: list[dict[str, object]] = [{"id": "\ud800", "text": "ü"}, {"id": "ü"}]
    path = tmp_path / "records.jsonl"
    write_records(path, records)
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == records
    assert "ü" in path.read_text("utf-8").splitlines()[1]
    write_object(path, records[0])
    assert read_object(path) == records[0]
    log = BatchLog(tmp_path)
    log.append(records[0])
    assert BatchLog(tmp_path).batches == [{"batch": 0, **records[0]}]


def test_an_object_that_was_changed_is_seen(tmp_path: Path) -> None:
    """A number changed by hand or by a damaged disk is an error; an object without a digest is taken as it is."""
    path = tmp_path / "object.json"
    write_object(path, {"accuracy": 0.25, "by step": {3: [float("inf"), (1, 2)]}})
    assert read_object(path) == {"accuracy": 0.25, "by step": {"3": [float("inf"), [1, 2]]}}
    path.write_text(path.read_text("utf-8").replace("0.25", "0.75"), "utf-8")
    with pytest.raises(ValueError, match="does not have the digest"):
        read_object(path)
    write_object(path, {"accuracy": 0.25})
    path.write_text(path.read_text("utf-8").replace('"digest"', '"digeqt"'), "utf-8")
    with pytest.raises(ValueError, match="does not have the digest"):
        read_object(path)
    path.write_text('{"accuracy": 0.75}', "utf-8")
    assert read_object(path) == {"accuracy": 0.75}
    path.write_text("[1]", "utf-8")
    with pytest.raises(ValueError, match="no JSON object"):
        read_object(path)
