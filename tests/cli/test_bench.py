"""The command that measures what pruning costs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_a_table_and_json(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """The first chain is measured in all four ways; each has its row, and its numbers in the file."""
    done = tokimp("bench", chains_file, "--keep-ratio", "0.8", "--out", "bench")
    assert done.status == 0, done.err
    for word in ("from-scratch", "within-steps", "between-steps", "fast", "of peak", "GFLOP/s", "bench/bench.json"):
        assert word in done.out
    assert "between-steps is what greedy:strategy=exact does" in done.out
    # Chains are called by their ids, and not by where they lie.
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["c0"] * 4
    saved = json.loads((tmp_path / "bench" / "bench.json").read_text("utf-8"))
    (chain,) = saved["chains"]
    assert [way["way"] for way in chain["ways"]] == ["from-scratch", "within-steps", "between-steps", "fast"]
    assert chain["ways"][0]["positions"] == chain["from_scratch_positions"]
    assert all(0 < way["share_of_peak"] < 1 for way in chain["ways"])
    assert saved["settings"]["keep_ratio"] == 0.8


def test_packs_and_chains_at_once(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """A way is measured in batches and in packs, and two chains at once; each has its sentence and its numbers."""
    few = ("--way", "between-steps", "--keep-ratio", "0.5", "--out", "bench")
    done = tokimp("bench", chains_file, "--packed", "--chains-at-once", "2", *few)
    assert done.status == 0, done.err
    for part in ("positions a call", "attention", "copies", "projection", "2 chains at once, of "):
        assert part in done.out
    sentences = [line for line in done.out.splitlines() if "of the time (" in line]
    assert [line.split(":")[0] for line in sentences] == [
        *["between-steps", "between-steps, packs"] * 2,
        "2 chains at once, between-steps, packs",
    ]
    saved = json.loads((tmp_path / "bench" / "bench.json").read_text("utf-8"))
    assert [way["reading"] for way in saved["chains"][0]["ways"]] == ["batches", "packs"]
    (group,) = saved["groups"]
    assert group["chain_ids"] == [chain["chain_id"] for chain in saved["chains"]]
    assert group["ways"][0]["positions"] == sum(chain["ways"][1]["positions"] for chain in saved["chains"])
    assert saved["settings"]["chains_at_once"] == 2


def test_chains_at_once_need_packs_and_enough_chains(tokimp: Run, chains_file: Path) -> None:
    """Without packs, or with fewer chains than a group has: one line with the remedy."""
    batches = tokimp("bench", chains_file, "--chains-at-once", "2")
    assert (batches.status, batches.err.strip().endswith("add --packed")) == (1, True)
    few = tokimp("bench", chains_file, "--packed", "--chains-at-once", "2", "--chain", "c0")
    assert (few.status, "there are 1; give as many" in few.err) == (1, True)


def test_wrong_answers_are_drawn_as_asked_for(tokimp: Run, chains_file: Path) -> None:
    """Chains without a wrong answer are measured with the objective contrast where one is drawn for them."""
    bare = chains_file.read_text("utf-8").replace(', "wrong_answer": "#### 8"', "")
    chains_file.write_text(bare, encoding="utf-8")
    options = ("--way", "between-steps", "--keep-ratio", "0.8", "--objective", "contrast")
    done = tokimp("bench", chains_file, "--wrong-answers", "number", *options)
    assert done.status == 0, done.err
    assert tokimp("bench", chains_file, *options).status == 1


def test_growth_with_length_is_drawn(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """The chain is cut to each length; the figure is written as PNG and SVG."""
    done = tokimp("bench", chains_file, "--lengths", "4,2", "--way", "between-steps", "--out", "bench")
    assert done.status == 0, done.err
    saved = json.loads((tmp_path / "bench" / "bench.json").read_text("utf-8"))
    assert [chain["reasoning_tokens"] for chain in saved["chains"]] == [2, 4]
    assert (tmp_path / "bench" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "bench" / "bench.svg").read_text("utf-8")


def test_what_the_budget_does_not_allow_is_skipped_and_said(tokimp: Run, chains_file: Path) -> None:
    """Nothing runs on a budget of a microsecond, and each row says so."""
    done = tokimp("bench", chains_file, "--budget", "0.000001")
    assert done.status == 0, done.err
    assert done.out.count("skipped, about") == 4


def test_wrong_usage_is_refused(tokimp: Run, chains_file: Path) -> None:
    """Lengths that are none, a chain that is not there, an estimator that stops nowhere: one line that says so."""
    lengths = tokimp("bench", chains_file, "--lengths", "10,x")
    assert (lengths.status, "not a list of whole numbers" in lengths.err) == (2, True)
    chain = tokimp("bench", chains_file, "--chain", "nobody")
    assert (chain.status, "no chain 'nobody'" in chain.err) == (1, True)
    fast = tokimp("bench", chains_file, "--fast", "attention")
    assert (fast.status, "keep_ratio" in fast.err) == (2, True)
    longer = tokimp("bench", chains_file, "--lengths", "2,100000")
    assert (longer.status, "cannot be cut to 100000" in longer.err) == (1, True)
    assert longer.out == "", "something was measured before"
