"""Chains shortened to a keep ratio."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import tokimp as ti
from tests.cli.conftest import Run


def _records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("estimator", ["greedy", "leave_one_out", "position"])
def test_keeps_the_stated_share_of_units(tokimp: Run, chains_file: Path, tmp_path: Path, estimator: str) -> None:
    """int(n * ratio) reasoning tokens stay, in order, and the text is what they spell."""
    done = tokimp("prune", chains_file, "--estimator", estimator, "--keep-ratio", "0.4", "--out", "short.jsonl")
    assert done.status == 0, done.err
    tokenizer = ti.load_scorer("tiny").tokenizer
    chains = {chain.id: chain for chain in ti.load_chains(chains_file)}
    for record in _records(tmp_path / "short.jsonl"):
        tokens = ti.tokenize_chain(chains[str(record["id"])], tokenizer)
        kept = record["kept_positions"]
        assert isinstance(kept, list)
        assert kept == sorted(kept)
        assert len(kept) == int(len(tokens.reasoning_ids) * 0.4)
        assert record["kept_token_ids"] == [tokens.reasoning_ids[position] for position in kept]
        assert record["reasoning"] == tokenizer.decode(record["kept_token_ids"])


def test_a_finished_run_gives_the_same_chains_without_a_model(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """--run takes the ranks of a comparison and writes what computing them anew writes."""
    assert tokimp("compare", chains_file, "--estimator", "leave_one_out", "--out", "run").status == 0
    ratio = ("--estimator", "leave_one_out", "--keep-ratio", "0.5")
    assert tokimp("prune", "--run", "run", *ratio, "--out", "a.jsonl").status == 0
    assert tokimp("prune", chains_file, *ratio, "--out", "b.jsonl").status == 0
    assert _records(tmp_path / "a.jsonl") == _records(tmp_path / "b.jsonl")


def test_what_is_written_can_be_read_as_chains(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """Pruned chains are chains: the reader takes them, with question, answer and wrong answer as they were."""
    assert tokimp("prune", chains_file, "--estimator", "position", "--out", "short.jsonl").status == 0
    for short, full in zip(ti.load_chains(tmp_path / "short.jsonl"), ti.load_chains(chains_file), strict=True):
        assert (short.id, short.question, short.answer) == (full.id, full.question, full.answer)
        assert short.wrong_answer == full.wrong_answer


def test_ratios_that_would_share_a_file_are_refused(tokimp: Run, chains_file: Path) -> None:
    """Two ratios that agree in six digits are wrong usage, before anything is computed."""
    ratios = ("--keep-ratio", "0.5", "--keep-ratio", "0.50000001")
    done = tokimp("prune", chains_file, "--estimator", "uniform", *ratios, "--out", "short.jsonl")
    assert done.status == 2
    assert "OUT-0.5" in done.err


def test_what_was_counted_is_said(tokimp: Run, chains_file: Path) -> None:
    """Shares name what they are of: tokens, words with their tokens, chains."""
    command = ("prune", chains_file, "--estimator", "uniform", "--keep-ratio", "0.5")
    done = tokimp(*command, "--out", "tokens.jsonl")
    assert re.search(r"; \d+\.\d% of their reasoning tokens kept; tokenised anew, \d+% of the chains have", done.out)
    done = tokimp(*command, "--unit", "word", "--out", "words.jsonl")
    assert re.search(r"; \d+\.\d% of their words kept, which are \d+\.\d% of their reasoning tokens; ", done.out)


def test_run_and_model_options_exclude_each_other(tokimp: Run, chains_file: Path) -> None:
    """Ranks come from a run or from a model; asking for both is wrong usage."""
    assert tokimp("compare", chains_file, "--estimator", "position", "--out", "run").status == 0
    done = tokimp("prune", "--run", "run", "--model", "tiny", "--estimator", "position", "--out", "x.jsonl")
    assert done.status == 2
    assert "model" in done.err


def test_the_only_method_of_a_finished_run_needs_no_name(tokimp: Run, chains_file: Path) -> None:
    """--estimator may be left out where the run has one; where it has several, they are listed."""
    assert tokimp("compare", chains_file, "--estimator", "greedy:keep_ratio=0.3", "--out", "one").status == 0
    assert tokimp("prune", "--run", "one", "--out", "new/short.jsonl").status == 0
    several = ("--estimator", "position", "--estimator", "attention", "--out", "two")
    assert tokimp("compare", chains_file, *several).status == 0
    done = tokimp("prune", "--run", "two", "--out", "short.jsonl")
    assert done.status == 2
    assert "position, attention" in done.err


def test_a_chain_of_which_nothing_is_left_is_refused_or_listed(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """No chain without reasoning is ever written: it is an error by name, or left out and listed."""
    with chains_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "short", "question": "Q?", "reasoning": "7", "answer": "#### 7"}) + "\n")
    command = ("prune", chains_file, "--estimator", "position", "--out", "short.jsonl")
    refused = tokimp(*command)
    assert refused.status == 1
    assert "'short'" in refused.err
    done = tokimp(*command, "--skip-bad", "--out", "other.jsonl")
    assert done.status == 0, done.err
    assert "'short'" in done.err
    assert len(ti.load_chains(tmp_path / "other.jsonl")) == 3


def test_several_ratios_are_cut_from_one_ranking(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """Each ratio has its file, equal to that of a run of its own; lower ratios keep a part of what higher ones keep."""
    ratios = ("--keep-ratio", "0.8", "--keep-ratio", "0.5")
    done = tokimp("prune", chains_file, "--estimator", "greedy", *ratios, "--out", "short.jsonl")
    assert done.status == 0, done.err
    assert "tokenised anew" in done.out
    assert tokimp("prune", chains_file, "--estimator", "greedy", "--keep-ratio", "0.8", "--out", "a.jsonl").status == 0
    high, low = _records(tmp_path / "short-0.8.jsonl"), _records(tmp_path / "short-0.5.jsonl")
    for more, less, alone in zip(high, low, _records(tmp_path / "a.jsonl"), strict=True):
        assert set(less["kept_positions"]) < set(more["kept_positions"])  # type: ignore[call-overload]
        assert more["reasoning"] == alone["reasoning"]
        assert more["kept_token_ids"] == alone["kept_token_ids"]


def test_a_misspelt_method_is_refused_as_the_value_of_its_option(tokimp: Run, chains_file: Path) -> None:
    """The message names the option and guesses what was meant, as compare's does."""
    done = tokimp("prune", chains_file, "--estimator", "gredy", "--out", "short.jsonl")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "Invalid value for '--estimator': there is no estimator named 'gredy'" in done.err
    assert "(did you mean 'greedy'?)" in done.err


def test_a_file_is_no_folder_to_write_into(tokimp: Run, chains_file: Path) -> None:
    """--out below a file is wrong usage, and the file stays."""
    before = chains_file.read_bytes()
    for out in ("chains.jsonl/short.jsonl", "chains.jsonl/deep/short.jsonl"):
        done = tokimp("prune", chains_file, "--estimator", "position", "--out", out)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert "is a file, and no folder" in done.err
    assert chains_file.read_bytes() == before
