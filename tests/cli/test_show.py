"""``tokimp show``: chains as they will be tokenised."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_chains_are_printed_with_their_units(tokimp: Run, chains_file: Path) -> None:
    """The first three chains are shown by default, in the unit that is asked for."""
    done = tokimp("show", chains_file, "--unit", "sentence")
    assert done.status == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines() if "prompt +" in line] == ["c0", "c1", "c2"]
    assert "units (sentence)" in done.out
    assert "│ So┊ ┊7┊" in done.out


def test_chains_are_chosen_by_id(tokimp: Run, chains_file: Path) -> None:
    """--chain shows the chains it names, in their order; one that is not there is an error."""
    done = tokimp("show", chains_file, "--chain", "c2", "--chain", "c0")
    assert [line.split()[0] for line in done.out.splitlines() if "prompt +" in line] == ["c2", "c0"]
    done = tokimp("show", chains_file, "--chain", "c9")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "there is no chain 'c9'" in done.err


def test_a_categorizer_gives_categories(tokimp: Run, chains_file: Path) -> None:
    """Chains without categories get those of the categorizer, shown with their tokens; by default there are none."""
    assert "category" not in tokimp("show", chains_file, "--limit", "1").out
    done = tokimp("show", chains_file, "--limit", "1", "--categorizer", "rules")
    assert "category   symbolic_math (" in done.out
    assert "'+'" in done.out


def test_a_table_has_a_row_for_each_token(tokimp: Run, chains_file: Path) -> None:
    """--table prints ids, characters and units."""
    done = tokimp("show", chains_file, "--limit", "1", "--table")
    assert done.out.splitlines()[0].startswith("c0  ")
    assert {"token", "unit", "id", "text", "characters", "category"} <= set(done.out.split())


def test_a_bad_chain_stops_or_is_listed(tokimp: Run, tmp_path: Path) -> None:
    """What cannot be read is one line, and with --skip-bad it is listed and the rest is shown."""
    good = {"id": "a", "question": "?", "reasoning": "So 7.", "answer": "7"}
    text = json.dumps({**good, "id": "b", "answer": ""}) + "\n" + json.dumps(good)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    assert tokimp("show", "rows.jsonl").status == 1
    done = tokimp("show", "rows.jsonl", "--skip-bad")
    assert done.out.startswith("a  ")
    assert "left out: rows.jsonl:1" in done.err
