"""Analyses that ask a model keep what they find out of each chain: a call after a kill asks about the rest only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import tokimp as ti
from tests.storage.lost_records import lose_last_record
from tokimp.analysis.kept_chains import FOLDER
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import ResumeError
from tokimp.storage.folder_lock import locked
from tokimp.testing import AdditiveScorer
from tokimp.testing.random_models import byte_tokenizer

LETTERS = {chr(code): (code * 37 % 17 - 8) / 8 for code in range(32, 127)}
SETTINGS: dict[str, Any] = {"n_uniform": 2, "keep_ratios": [0.5, 1.0]}


class Dying(AdditiveScorer):
    """Stops the process, as Ctrl-C does, when it is asked about a chain; notes the chains that it was asked about."""

    def __init__(self, dies_on: str = "", scale: float = 1.0) -> None:
        super().__init__({letter: value * scale for letter, value in LETTERS.items()})
        self.tokenizer = byte_tokenizer()
        self.dies_on, self.asked = dies_on, list[str]()

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Note the chain, or stop."""
        for chain in chains:
            self._note(chain.id)
        return super().logprobs(chains)

    def score_deletions(self, chain: TokenizedChain, *arguments: Any, **options: Any) -> Any:
        """Note the chain, or stop."""
        self._note(chain.id)
        return super().score_deletions(chain, *arguments, **options)

    def _note(self, chain_id: str) -> None:
        if chain_id == self.dies_on:
            raise KeyboardInterrupt
        if chain_id not in self.asked:
            self.asked.append(chain_id)


def run(count: int = 5, estimators: Sequence[str] = ("leave_one_out", "position")) -> xr.DataTree:
    """Return the result of a run of some chains."""
    chains = [Chain(f"c{number}", "?", "abcdefghij"[: 6 + number % 3], "z") for number in range(count)]
    return ti.compare(chains, Dying(), estimators, prompt_format="plain")


def faithfulness(result: xr.DataTree, scorer: Dying, folder: Path | None, **options: Any) -> xr.Dataset:
    """Return the node of the analysis."""
    analyzed = ti.analyze(
        result, "faithfulness", scorer=scorer, folder=folder, same_model=False, **{**SETTINGS, **options}
    )
    (node,) = analyzed["analysis"].children.values()
    return node.to_dataset()


def test_an_analysis_that_was_stopped_asks_about_the_rest_only(tmp_path: Path) -> None:
    """Stopped at the fifth of five chains, four are kept; the numbers and positions are those of an unbroken one."""
    result = run()
    with pytest.raises(KeyboardInterrupt):
        faithfulness(result, Dying("c4"), tmp_path)
    scorer = Dying()
    continued, unbroken = faithfulness(result, scorer, tmp_path), faithfulness(result, Dying(), None)
    assert scorer.asked == ["c4"]
    xr.testing.assert_identical(continued.drop_attrs(), unbroken.drop_attrs())
    assert continued.attrs["tokens_forwarded"] == unbroken.attrs["tokens_forwarded"]


def test_a_run_that_grew_is_asked_about_its_new_chains_only(tmp_path: Path) -> None:
    """More chains: the earlier ones are kept. Another estimator, parameter or model: everything is asked again."""
    faithfulness(run(), Dying(), tmp_path)
    scorers = {name: Dying() for name in ("again", "grown", "estimator", "parameter")}
    faithfulness(run(), scorers["again"], tmp_path)
    faithfulness(run(6), scorers["grown"], tmp_path)
    faithfulness(run(estimators=["leave_one_out", "uniform"]), scorers["estimator"], tmp_path)
    faithfulness(run(), scorers["parameter"], tmp_path, seed=1)
    assert {name: len(scorer.asked) for name, scorer in scorers.items()} == {
        "again": 0,
        "grown": 1,
        "estimator": 5,
        "parameter": 5,
    }
    other = Dying(scale=0.5)
    faithfulness(run(), other, tmp_path)
    assert len(other.asked) == 5


def test_a_damaged_record_is_asked_about_again(tmp_path: Path) -> None:
    """What was found out of a chain and is damaged is found out again, with the same numbers."""
    result, scorer = run(), Dying()
    whole = faithfulness(result, Dying(), tmp_path)
    (folder,) = (tmp_path / FOLDER).iterdir()
    lose_last_record(folder)
    xr.testing.assert_identical(faithfulness(result, scorer, tmp_path).drop_attrs(), whole.drop_attrs())
    assert scorer.asked == ["c4"]


def test_what_was_kept_is_said_to_be(tmp_path: Path) -> None:
    """Progress tells kept chains from those that are asked about, and estimates the time from the latter."""
    result, seen = run(), list[Progress]()
    with pytest.raises(KeyboardInterrupt):
        faithfulness(result, Dying("c3"), tmp_path)
    ti.analyze(
        result, "faithfulness", scorer=Dying(), folder=tmp_path, same_model=False, progress=seen.append, **SETTINGS
    )
    assert [progress.kept for progress in seen] == [True] * 3 + [False] * 2
    assert [progress.seconds_left is None for progress in seen] == [True] * 3 + [False] * 2


def test_one_analysis_is_computed_by_one_process(tmp_path: Path) -> None:
    """While another process computes the same analysis there it is refused; other settings are not."""
    result = run()
    faithfulness(result, Dying(), tmp_path)
    (folder,) = (tmp_path / FOLDER).iterdir()
    with locked(folder):
        with pytest.raises(ResumeError, match="another process is at work"):
            faithfulness(result, Dying(), tmp_path)
        faithfulness(result, Dying(), tmp_path, seed=1)


def test_written_answers_are_kept(tmp_path: Path) -> None:
    """Answer recovery, which lets the model write, reads its texts back and asks for none."""
    result = ti.compare(ti.demo_chains(limit=2), ti.load_scorer("tiny", device="cpu"), ["position"])
    scorer = ti.load_scorer("tiny", device="cpu")
    settings: dict[str, Any] = {"keep_ratios": [0.0, 0.5], "n_uniform": 1}
    first = ti.analyze(result, "answer_recovery", scorer=scorer, folder=tmp_path, **settings)
    positions = scorer.tokens_forwarded
    again = ti.analyze(result, "answer_recovery", scorer=scorer, folder=tmp_path, same_model=False, **settings)
    assert scorer.tokens_forwarded == positions
    (one,), (other,) = (tree["analysis"].children.values() for tree in (first, again))
    xr.testing.assert_identical(one.to_dataset().drop_attrs(), other.to_dataset().drop_attrs())
    assert one.attrs["tokens_forwarded"] == other.attrs["tokens_forwarded"]
