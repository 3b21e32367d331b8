"""compare: what it checks first, what it stores, and that it goes on where it was killed."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from tokimp.chains.chain import CategorySpan, Chain, TokenizedChain
from tokimp.compare.compare import compare
from tokimp.compare.journal import finished_cells
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Capability, SpanLogprobs
from tokimp.errors import (
    ChainError,
    EstimatorError,
    ObjectiveError,
    ResumeError,
    ScorerError,
    TokimpError,
    TokimpWarning,
    UnsupportedError,
)
from tokimp.storage.record_log import RecordLog
from tokimp.testing import AdditiveScorer

SCRIPT = Path(__file__).parent / "killed_run.py"


def load_script() -> ModuleType:
    """Return the script as a module: its chains, scorer and estimators are used here too."""
    specification = importlib.util.spec_from_file_location("killed_run", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["killed_run"] = module
    specification.loader.exec_module(module)
    return module


script: Any = load_script()


def run_script(*arguments: str | Path) -> int:
    """Run the script in a process of its own; return how it ended."""
    # Imported rather than run as a file, so that its classes have the names they have here.
    command = [sys.executable, "-c", "import killed_run; killed_run.main()", *map(str, arguments)]
    return subprocess.run(command, cwd=SCRIPT.parent, check=False, timeout=120).returncode


def same_bytes(a: xr.DataTree, b: xr.DataTree) -> bool:
    """Whether everything but the time taken is the same, bit for bit."""
    one, other = a.to_dataset().variables, b.to_dataset().variables
    compared = set(one) - {"seconds", "full_seconds"}
    # Objects are compared as texts: their bytes are addresses.
    return set(one) == set(other) and all(
        one[name].to_numpy().tolist() == other[name].to_numpy().tolist()
        if one[name].dtype.kind == "O"
        else one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes()
        for name in compared
    )


def test_a_result_holds_what_the_estimators_said() -> None:
    """Scores, trajectories, diagnostics, costs and texts of a run are those of the estimators and chains."""
    scorer = script.ByteScorer()
    result = compare(script.CHAINS, scorer, [script.InSequence(left=2), "position"], objective="answer")
    assert result["estimator"].to_numpy().tolist() == ["in_sequence:left=2", "position"]
    assert result["reasoning_length"].to_numpy().tolist() == [9, 10, 1]
    first = result.to_dataset().isel(token=slice(0, 9))
    # The digits 1, 2 and 3 add 0.25, 0.5 and 0.75 to the answer, everything else 0.1: the two largest stay.
    kept = np.isnan(first["loglik_answer"].to_numpy()[0])
    assert "".join(first["token_text"].to_numpy()[kept]) == "23"
    assert result["full_loglik_answer"].to_numpy()[0] == pytest.approx(-10 + 0.25 + 0.5 + 0.75 + 6 * 0.1)
    last = first["loglik_answer"].to_numpy()[0][first["rank"].to_numpy()[0] == 6]
    assert last == pytest.approx(-10 + 0.5 + 0.75)
    assert first["rank"].to_numpy()[1].tolist() == list(range(9))
    assert result["diagnostic_steps"].to_numpy()[0].tolist() == [7, 8, 0]
    assert np.isnan(result["diagnostic_steps"].to_numpy()[1]).all()
    assert result["full_tokens_forwarded"].to_numpy().sum() + result["tokens_forwarded"].to_numpy().sum() == (
        scorer.tokens_forwarded
    )
    assert result.attrs["objective"] == "answer"
    assert result.attrs["prompt_format"] == "plain"
    assert json.loads(result.attrs["estimator_parameters"])["in_sequence:left=2"]["parameters"] == {"left": 2}


def test_words_are_ranked_as_wholes() -> None:
    """With the unit 'word' all tokens of a word share importance, rank and likelihoods."""
    result = compare([script.CHAINS[0]], script.ByteScorer(), [script.InSequence()], unit="word")
    units = result["unit"].to_numpy()
    assert units.max() + 1 == 5
    for name in ("importance", "rank", "loglik_joint"):
        values = result[name].to_numpy()[0]
        assert all(np.unique(values[units == unit]).size == 1 for unit in range(5)), name


def test_labelled_characters_become_categories_of_tokens() -> None:
    """Every token of a labelled span carries its label."""
    chain = replace(script.CHAINS[0], category=(CategorySpan(0, 5, "symbolic math"),))
    result = compare([chain], script.ByteScorer(), ["position"])
    assert result["category"].to_numpy().tolist()[:5] == ["symbolic math", "", "symbolic math", "", "symbolic math"]


@pytest.mark.parametrize("fate", ["estimate:2", "write:1", "write:5", "write:12"])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, fate: str) -> None:
    """A run killed in an estimate or while writing, continued, gives the bytes of an unbroken one."""
    assert run_script(tmp_path / "out", fate) == -signal.SIGKILL
    # Killed before anything was stored, a folder need not hold a run yet.
    stored, _ = finished_cells(tmp_path / "out") or (0, 9)
    estimators = [script.Drawn(), script.Calls(), script.InSequence()]
    seen: list[Progress] = []
    continued = compare(
        script.CHAINS, script.ByteScorer(), estimators, out=tmp_path / "out", seed=3, progress=seen.append
    )
    assert sum(progress.kept for progress in seen) == stored
    unbroken = compare(script.CHAINS, script.ByteScorer(), estimators, out=tmp_path / "unbroken", seed=3)
    assert same_bytes(continued, unbroken)
    assert not list(tmp_path.glob("out/**/*.partial"))


def test_a_run_in_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    """A finished run is read back, nothing is computed again, and its numbers are those of a run in memory."""
    assert run_script(tmp_path / "out") == 0

    def fail(chain: TokenizedChain) -> None:
        raise AssertionError(chain.id)

    estimators = [script.Drawn(), script.Calls(fail), script.InSequence()]
    again = compare(script.CHAINS, script.ByteScorer(), estimators, out=tmp_path / "out", seed=3)
    estimators[1] = script.Calls()
    assert same_bytes(again, compare(script.CHAINS, script.ByteScorer(), estimators, seed=3))


def test_a_run_says_with_how_many_threads_it_was_computed(tmp_path: Path) -> None:
    """The result has the number; continued with another one, the run says so, and has both."""
    threads = torch.get_num_threads()
    other = threads + 1

    def stop(chain: TokenizedChain) -> None:
        if chain.id == "three":
            raise ZeroDivisionError

    assert compare(script.CHAINS, script.ByteScorer(), [script.Drawn()]).attrs["threads"] == str(threads)
    with pytest.raises(EstimatorError):
        compare(script.CHAINS, script.ByteScorer(), [script.Calls(stop)], out=tmp_path)
    torch.set_num_threads(other)
    try:
        with pytest.warns(
            TokimpWarning, match=f"computed with {threads} threads, and the rest with {other}: last bits"
        ):
            result = compare(script.CHAINS, script.ByteScorer(), [script.Calls()], out=tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert result.attrs["threads"] == f"{threads},{other}"
    # Nothing is left to compute: nothing is said, and nothing recorded.
    assert compare(script.CHAINS, script.ByteScorer(), [script.Calls()], out=tmp_path).attrs["threads"] == (
        f"{threads},{other}"
    )


def test_every_finished_cell_is_on_disk_before_the_next_starts(tmp_path: Path) -> None:
    """When an estimate starts, everything that precedes it has its record."""
    counts: list[int] = []

    def count(_: TokenizedChain) -> None:
        counts.append(len(RecordLog(tmp_path / "cells", writes=False)))

    compare(script.CHAINS, script.ByteScorer(), [script.Drawn(), script.Calls(count)], out=tmp_path)
    assert counts == [2, 5, 8]


def test_what_was_finished_survives_a_failing_estimator(tmp_path: Path) -> None:
    """An estimator that raises is named with its chain, and the same call goes on behind what it left."""
    calls: list[str] = []

    def fail_on_two(chain: TokenizedChain) -> None:
        calls.append(chain.id)
        if chain.id == "two/../é" and len(calls) == 2:
            raise ZeroDivisionError("by zero")

    estimators = [script.Calls(fail_on_two)]
    with pytest.raises(EstimatorError, match=r"a\.jsonl:2: chain 'two.*'calls' failed with ZeroDivisionError: by zero"):
        compare(script.CHAINS, script.ByteScorer(), estimators, out=tmp_path)
    compare(script.CHAINS, script.ByteScorer(), estimators, out=tmp_path)
    assert calls == ["one", "two/../é", "two/../é", "three"]


def test_cells_do_not_depend_on_what_ran_before() -> None:
    """An estimator that draws from the global generators gives a chain the same scores whatever else is compared."""
    alone = compare([script.CHAINS[1]], script.ByteScorer(), [script.Drawn()])
    among = compare(script.CHAINS, script.ByteScorer(), ["position", script.Drawn()])
    assert among["importance"].to_numpy()[1, 9:19].tobytes() == alone["importance"].to_numpy()[0].tobytes()
    other = compare([script.CHAINS[1]], script.ByteScorer(), [script.Drawn()], seed=1)
    assert (other["importance"].to_numpy() != alone["importance"].to_numpy()).any()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scorer": script.ByteScorer(scale=0.5)}, r"model\.fingerprint: before"),
        ({"objective": "answer"}, r'objective\.name: before "joint", now "answer"'),
        ({"unit": "word"}, r'unit: before "token", now "word"'),
        ({"seed": 1}, "seed: before 0, now 1"),
        (
            {"estimators": ["position", script.InSequence(left=2)]},
            r"estimators\[1\]\.parameters\.left: before 1, now 2",
        ),
        ({"estimators": ["position"]}, "number of estimators: before 2, now 1"),
        ({"chains": script.CHAINS[:2]}, "number of chains: before 3, now 2"),
        ({"chains": [*script.CHAINS[:2], replace(script.CHAINS[2], gold="3")]}, r"chains\[2\]\.text: before"),
    ],
)
def test_a_changed_run_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    """Another model, objective, unit, seed, estimator or chain in a folder is refused, and the difference named."""
    call: dict[str, Any] = {
        "chains": script.CHAINS,
        "scorer": script.ByteScorer(),
        "estimators": ["position", script.InSequence()],
        "out": tmp_path,
    }
    compare(**call)
    with pytest.raises(ResumeError, match=named):
        compare(**{**call, **change})
    compare(**call)


def test_where_a_chain_was_read_is_no_difference(tmp_path: Path) -> None:
    """The same chains from another file continue a run."""
    compare(script.CHAINS, script.ByteScorer(), ["position"], out=tmp_path)
    moved = [replace(chain, source="elsewhere.jsonl:9") for chain in script.CHAINS]
    seen: list[Progress] = []
    compare(moved, script.ByteScorer(), ["position"], out=tmp_path, progress=seen.append)
    assert all(progress.kept for progress in seen)


class Demanding(ImportanceEstimator):
    """Requires generation."""

    name = "demanding"
    requires = frozenset({Capability.GENERATION})

    def estimate(self, chain: TokenizedChain, scorer: object, objective: object) -> Importance:
        """Never get here."""
        raise AssertionError


def test_everything_is_checked_before_any_work(tmp_path: Path) -> None:
    """Capabilities, labels, ids and the objective's needs are errors before a model is asked or a folder made."""
    scorer = script.ByteScorer()

    def run(chains: list[Chain], estimators: Any, objective: str = "joint") -> None:
        compare(chains, scorer, estimators, objective=objective, out=tmp_path / "out")

    with pytest.raises(UnsupportedError, match=r"'demanding' requires generation.*'closed form'"):
        run(script.CHAINS, ["position", Demanding()])
    with pytest.raises(EstimatorError, match="'position' was given more than once"):
        run(script.CHAINS, ["position", "position"])
    with pytest.raises(EstimatorError, match="name at least one"):
        run(script.CHAINS, [])
    with pytest.raises(EstimatorError, match=r"must be a list, such as \['position'\]"):
        run(script.CHAINS, "position")
    with pytest.raises(ChainError, match=r"a\.jsonl:1: chain 'one': the id was already used"):
        run([*script.CHAINS, script.CHAINS[0]], ["position"])
    with pytest.raises(ChainError, match="none of 0 chains"):
        run([], ["position"])
    with pytest.raises(ObjectiveError, match="needs a wrong answer"):
        run(script.CHAINS, ["position"], "contrast")
    assert scorer.tokens_forwarded == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "0"])
def test_a_seed_out_of_range_is_refused_before_any_work(tmp_path: Path, seed: Any) -> None:
    """A seed is a whole number that every generator takes; anything else is an error before a folder is made."""
    scorer = script.ByteScorer()
    with pytest.raises(TokimpError, match=f"seed={seed!r} is not allowed; give a whole number from 0 to 4294967295"):
        compare(script.CHAINS, scorer, ["position"], out=tmp_path / "out", seed=seed)
    assert scorer.tokens_forwarded == 0
    assert not (tmp_path / "out").exists()


def test_the_largest_seed_is_taken() -> None:
    """The range of seeds includes its ends."""
    for seed in (0, 2**32 - 1):
        result = compare(script.CHAINS[:1], script.ByteScorer(), [script.Drawn()], seed=seed)
        assert result.attrs["seed"] == seed


def test_log_probabilities_that_are_not_finite_are_an_error() -> None:
    """A model that overflows is found on the first chain, and the message names model, precision and chain."""

    class Overflowing(script.ByteScorer):  # type: ignore[misc] # the script is loaded at run time
        def logprobs(self, chains: list[TokenizedChain]) -> list[SpanLogprobs]:
            return [replace(logprobs, answer=logprobs.answer * np.inf) for logprobs in super().logprobs(chains)]

    with pytest.raises(ScorerError, match=r"chain 'one'.*'Overflowing' in float64"):
        compare(script.CHAINS, Overflowing(), ["position"])


def test_progress_counts_and_estimates() -> None:
    """Progress counts every cell up to the last, and has an estimate once each estimator has finished a chain."""
    seen: list[Progress] = []
    result = compare(script.CHAINS, script.ByteScorer(), ["position", script.InSequence()], progress=seen.append)
    assert [progress.done for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert {progress.total for progress in seen} == {6}
    assert seen[0].seconds_left is None
    assert all(progress.seconds_left is not None for progress in seen[1:])
    assert seen[-1].seconds_left == 0
    in_order_of_work = result["tokens_forwarded"].transpose("chain", "estimator").to_numpy().ravel()
    assert [progress.tokens_forwarded for progress in seen] == in_order_of_work.cumsum().tolist()
    assert in_order_of_work.any()


def test_a_scorer_without_a_fingerprint_cannot_be_continued(tmp_path: Path) -> None:
    """A model that cannot be told from others gives results, but no run that could be continued."""

    class Nameless(script.ByteScorer):  # type: ignore[misc] # the script is loaded at run time
        def fingerprint(self) -> str:
            raise UnsupportedError("cannot tell")

    assert compare(script.CHAINS, Nameless(), ["position"]).attrs["model_fingerprint"] == ""
    with pytest.raises(UnsupportedError, match="cannot tell"):
        compare(script.CHAINS, Nameless(), ["position"], out=tmp_path)


def test_a_model_in_place_of_its_scorer_is_refused_by_name() -> None:
    """The name of a model is not a scorer; the error names the call that makes one."""
    with pytest.raises(TokimpError, match=r"the scorer is 'tiny', of type str; give what tokimp.load_scorer"):
        compare([], "tiny", ["position"])  # type: ignore[arg-type]


def test_records_in_place_of_chains_are_refused() -> None:
    """A dict is not a chain; the error says which entry it is, and what makes chains."""
    with pytest.raises(ChainError, match=r"chains\[0\] is of type dict; give a list of tokimp.Chain"):
        compare([{"id": "1"}], AdditiveScorer({}), ["position"])  # type: ignore[list-item]
