"""Cells are computed in groups of chains, stored one by one, and a group with a gap is computed again as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tokimp as ti
from tests.storage.lost_records import lose_record
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.journal import finished_cells
from tokimp.contracts.scorer import Scorer
from tokimp.errors import EstimatorError, ResumeError, TokimpError
from tokimp.storage.record_log import RecordLog
from tokimp.testing import AdditiveScorer
from tokimp.testing.random_models import byte_tokenizer

LETTERS = {chr(code): (code * 37 % 17 - 8) / 8 for code in range(32, 127)}


class Together(AdditiveScorer):
    """Runs tasks side by side as the contract's default does, and notes how many at a time."""

    chains_at_once = 3

    def __init__(self) -> None:
        super().__init__(LETTERS)
        self.tokenizer = byte_tokenizer()
        self.groups: list[int] = []

    def run_side_by_side(self, tasks: Sequence[Callable[[Scorer], Any]]) -> list[Any]:
        """Note the size of the group."""
        self.groups.append(len(tasks))
        return super().run_side_by_side(tasks)


class FailsOn(ti.ImportanceEstimator):
    """Gives the place of each unit, and fails on one chain."""

    name = "fails_on"

    def __init__(self, chain: str = "") -> None:
        self.chain = chain

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: ti.Objective) -> ti.Importance:
        """Return the places."""
        if chain.id == self.chain:
            raise RuntimeError("not this one")
        return ti.Importance(np.arange(len(chain.units), dtype=float))


def chains(count: int) -> list[Chain]:
    """Return chains of letters."""
    return [Chain(f"c{number}", "?", "abcdefgh"[: 4 + number % 3], "z") for number in range(count)]


def compare(scorer: Scorer, estimators: Sequence[Any], **options: Any) -> Any:
    """Compare seven chains of letters."""
    return ti.compare(chains(7), scorer, estimators, prompt_format="plain", **options)


def test_groups_follow_from_the_order_of_chains_and_their_number() -> None:
    """Seven chains in groups of three are asked about as three, three and one, for each estimator."""
    scorer = Together()
    together = compare(scorer, ["leave_one_out", "position"])
    assert scorer.groups == [3, 3, 3, 3]  # a chain alone is asked about as always
    alone = compare(Together(), ["leave_one_out", "position"], chains_at_once=1)
    np.testing.assert_array_equal(together["importance"], alone["importance"])
    np.testing.assert_array_equal(together["tokens_forwarded"], alone["tokens_forwarded"])


def test_one_is_what_most_scorers_are_given() -> None:
    """A scorer that gains nothing from several chains is asked about one at a time."""
    assert AdditiveScorer(LETTERS).chains_at_once == 1


def test_a_group_with_a_gap_is_computed_again(tmp_path: Path) -> None:
    """A run whose cell is lost asks about that cell's whole group again, and about no other, with the same numbers."""
    before = compare(Together(), ["leave_one_out"], out=tmp_path)
    cells = [key for key in RecordLog(tmp_path / "cells", writes=False) if key.startswith("cell")]
    lose_record(tmp_path / "cells", cells[4])
    scorer = Together()
    after = compare(scorer, ["leave_one_out"], out=tmp_path)
    assert scorer.groups == [3]
    np.testing.assert_array_equal(before["importance"], after["importance"])


def test_an_error_in_one_chain_leaves_the_cells_of_the_others(tmp_path: Path) -> None:
    """The error names its chain, and the other two cells of its group are stored."""
    with pytest.raises(EstimatorError, match=r"'c1'.*not this one"):
        compare(Together(), [FailsOn("c1")], out=tmp_path)
    assert finished_cells(tmp_path) == (2, 7)


def test_a_run_goes_on_with_groups_of_the_same_size_only(tmp_path: Path) -> None:
    """Another size would read other chains together, so it is another run."""
    compare(Together(), ["position"], out=tmp_path)
    with pytest.raises(ResumeError, match=r"chains_at_once: before 3, now 2"):
        compare(Together(), ["position"], out=tmp_path, chains_at_once=2)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "many"])
def test_other_sizes_are_refused(wrong: Any) -> None:
    """A size is a whole number from 1 on, or auto."""
    with pytest.raises(TokimpError, match="chains_at_once="):
        compare(Together(), ["position"], chains_at_once=wrong)
