"""The command that everything leads to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tokimp as ti
from tests.cli.conftest import Run
from tokimp.errors import TokimpError


def test_writes_a_valid_result_and_prints_agreement_and_cost(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """A comparison ends with a valid results.nc, every pair in the agreement table, every method in the cost table."""
    done = tokimp("compare", chains_file, "--out", "run", "--estimator", "greedy", "--estimator", "position")
    assert done.status == 0, done.err
    result = ti.load(tmp_path / "run" / "results.nc")
    ti.validate(result)
    assert result.to_dataset()["estimator"].to_numpy().tolist() == ["greedy", "position"]
    assert result.to_dataset()["chain_id"].to_numpy().tolist() == ["c0", "c1", "c2"]
    assert "agreement" in result["analysis"].children
    assert all(word in done.out for word in ("greedy", "position", "Spearman", "token positions", "run/results.nc"))


def test_without_arguments_compares_the_four_methods_on_the_embedded_chains(tokimp: Run, tmp_path: Path) -> None:
    """No argument is needed: embedded model, embedded chains, four methods, a folder of the run's own."""
    done = tokimp("compare", "--limit", "2")
    assert done.status == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    result = ti.load(folder / "results.nc")
    assert result.to_dataset()["estimator"].to_numpy().tolist() == ["greedy", "leave_one_out", "attention", "gradient"]
    assert result.attrs["model_id"] == "tiny"


def test_both_backends_give_the_same_importances(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """The backend is a matter of taste: importances agree to 1e-4."""
    importances = []
    for backend in ("transformer_lens", "nnsight"):
        methods = ["--estimator", "leave_one_out", "--estimator", "attention", "--estimator", "gradient"]
        done = tokimp("compare", chains_file, "--backend", backend, "--out", backend, *methods)
        assert done.status == 0, done.err
        importances.append(ti.load(tmp_path / backend / "results.nc").to_dataset()["importance"].to_numpy())
    np.testing.assert_allclose(importances[0], importances[1], atol=1e-4)


@pytest.mark.parametrize("objective", ["joint", "answer", "answer_value", "reasoning", "contrast"])
def test_every_objective_is_reached_by_name(tokimp: Run, chains_file: Path, tmp_path: Path, objective: str) -> None:
    """Each objective runs from the command line and is stored in the result."""
    done = tokimp("compare", chains_file, "--objective", objective, "--estimator", "leave_one_out", "--out", "run")
    assert done.status == 0, done.err
    assert ti.load(tmp_path / "run" / "results.nc").attrs["objective"] == objective


def test_wrong_answers_are_drawn_on_request(tokimp: Run, tmp_path: Path) -> None:
    """Chains without a wrong answer get one, which the result stores; without the option the message names it."""
    command = ("compare", "demo", "--limit", "1", "--objective", "contrast", "--estimator", "position", "--out", "run")
    refused = tokimp(*command)
    assert refused.status != 0
    assert "--wrong-answers" in refused.err
    done = tokimp(*command, "--wrong-answers", "number")
    assert done.status == 0, done.err
    (wrong,) = ti.load(tmp_path / "run" / "results.nc")["wrong_answer"].to_numpy()
    assert wrong.startswith("#### ")


def test_the_same_command_again_computes_nothing(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """A finished run is read from disk: the second result equals the first, costs included."""
    command = ("compare", chains_file, "--out", "run", "--estimator", "leave_one_out")
    assert tokimp(*command).status == 0
    first = ti.load(tmp_path / "run" / "results.nc")
    assert tokimp(*command).status == 0
    second = ti.load(tmp_path / "run" / "results.nc")
    assert first.identical(second)


@pytest.mark.slow
def test_a_run_grows(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """The same command with one more method and more chains computes only what is new, and says what it drops."""
    command = ["compare", chains_file, "--out", "run", "--estimator", "leave_one_out"]
    assert tokimp(*command, "--limit", "2").status == 0
    assert tokimp("analyze", "run", "agreement:top_k=3").status == 0
    first = ti.load(tmp_path / "run" / "results.nc")
    done = tokimp(*command, "--estimator", "position")
    assert done.status == 0, done.err
    assert "dropped from the earlier results.nc: /analysis/agreement,top_k=3; it was about other numbers" in done.err
    grown = ti.load(tmp_path / "run" / "results.nc")
    assert grown["estimator"].to_numpy().tolist() == ["leave_one_out", "position"]
    assert (grown.sizes["chain"], grown.attrs["created"]) == (3, first.attrs["created"])
    # The very seconds of yesterday: the cells were not computed again.
    assert grown["seconds"].to_numpy()[0, :2].tolist() == first["seconds"].to_numpy()[0].tolist()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (["--unit", "word"], "unit"),
        (["--objective", "answer"], "objective"),
        (["--limit", "2"], "chain"),
        (["--seed", "1"], "seed"),
    ],
)
def test_a_changed_option_is_refused_by_name(tokimp: Run, chains_file: Path, changed: list[str], named: str) -> None:
    """A folder that holds another run is left alone, and the message says what differs."""
    command = ["compare", chains_file, "--out", "run", "--estimator", "leave_one_out"]
    assert tokimp(*command).status == 0
    refused = tokimp(*command, *changed)
    assert refused.status == 1
    assert named in refused.err
    assert refused.err.count("\n") == 1


@pytest.mark.slow
def test_a_run_killed_at_any_moment_is_continued_to_the_same_bytes(chains_file: Path, tmp_path: Path) -> None:
    """SIGKILL in mid-run, then the same command: importance and rank equal an unbroken run's byte for byte."""
    program = [sys.executable, "-c", "from tokimp.cli.main import main; main()", "compare", str(chains_file)]
    methods = [part for name in ("leave_one_out", "greedy", "gradient") for part in ("--estimator", name)]
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    killed = subprocess.Popen([*program, "--out", str(broken), *methods], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(broken.glob("cells/*.records")) and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (broken / "results.nc").exists(), "the run ended before it could be killed"
    for folder in (broken, unbroken):
        subprocess.run([*program, "--out", str(folder), *methods], check=True, capture_output=True)
    first, second = (ti.load(folder / "results.nc").to_dataset() for folder in (broken, unbroken))
    for name in ("importance", "rank"):
        assert first[name].to_numpy().tobytes() == second[name].to_numpy().tobytes()


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["missing.jsonl"], 1, "missing.jsonl"),
        (["chains.jsonl", "--model", "no/such-model-anywhere"], 1, "no/such-model-anywhere"),
        (["chains.jsonl", "--backend", "abacus"], 2, "abacus"),
        (["chains.jsonl", "--estimator", "tarot"], 2, "tarot"),
        (["chains.jsonl", "--estimator", "greedy:keep=3"], 2, "keep"),
        (["chains.jsonl", "--estimator", "greedy:keep_ratio=2"], 2, "keep_ratio"),
        (["chains.jsonl", "--objective", "beauty"], 2, "beauty"),
        (["chains.jsonl", "--prompt-format", "chat"], 1, "chat"),
        (["chains.jsonl", "--unit", "syllable"], 2, "syllable"),
        (["chains.jsonl", "--limit", "0"], 2, "limit"),
        (["--no-such-option"], 2, "--no-such-option"),
    ],
)
def test_wrong_input_ends_in_one_clear_line(
    tokimp: Run, chains_file: Path, arguments: list[str], status: int, named: str
) -> None:
    """Exit status 2 for wrong usage, 1 for anything else, and stderr names what was wrong without a traceback."""
    done = tokimp("compare", *arguments, "--out", "run")
    assert done.status == status
    assert named in done.err
    assert "Traceback" not in done.err
    assert done.err.count("\n") == 1


def test_debug_shows_the_traceback(tokimp: Run) -> None:
    """--debug adds the traceback to the line."""
    done = tokimp("compare", "missing.jsonl", "--debug")
    assert done.status == 1
    assert "Traceback" in done.err


def test_a_bad_chain_stops_the_run_or_is_listed(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """A bad record is an error with file, line and id; with --skip-bad it is left out, counted and listed."""
    with chains_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "empty", "question": "Q?", "reasoning": " ", "answer": "#### 1"}) + "\n")
        file.write("{not json\n")
    command = ("compare", chains_file, "--out", "run", "--estimator", "position")
    stopped = tokimp(*command)
    assert stopped.status == 1
    assert "chains.jsonl:4" in stopped.err
    assert "empty" in stopped.err
    done = tokimp(*command, "--skip-bad")
    assert done.status == 0, done.err
    assert "2" in done.out
    assert "chains.jsonl:5" in done.out
    assert ti.load(tmp_path / "run" / "results.nc").attrs["skipped_count"] == 2


def test_short_chains_are_said_before_the_model_is_loaded(
    tokimp: Run, chains_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every chain has too few sentences for the agreement, a line says so, and which analysis to run."""

    def load_scorer(*_: object, **__: object) -> None:
        raise TokimpError("stopped before the weights")

    monkeypatch.setattr("tokimp.models.loading.load_scorer", load_scorer)
    several = ("--estimator", "position", "--estimator", "uniform", "--out", "run")
    done = tokimp("compare", chains_file, "--unit", "sentence", *several)
    assert "tokimp analyze run agreement:minimum_units=2" in done.err
    assert "stopped before the weights" in done.err
    assert "minimum_units" not in tokimp("compare", chains_file, *several).err
    alone = ("--estimator", "position", "--out", "run")
    assert "minimum_units" not in tokimp("compare", chains_file, "--unit", "sentence", *alone).err


def test_units_with_parameters_and_a_warning_reach_the_command_line(tokimp: Run, tmp_path: Path) -> None:
    """A unit may have parameters; chains of one unit are warned of in one line; an unknown unit is wrong usage."""
    chain = {"id": "c", "question": "?", "reasoning": "So 7.", "answer": "7"}
    (tmp_path / "one.jsonl").write_text(json.dumps(chain) + "\n", encoding="utf-8")
    call = ("compare", "one.jsonl", "--estimator", "position", "--out", "run", "--unit")
    done = tokimp(*call, "sentence:language=de")
    assert done.status == 0, done.err
    assert [line for line in done.err.splitlines() if "warning" in line] == [
        "warning: 1 of 1 chains have one sentence:language=de only ('c'), so there is nothing to rank in them; choose "
        "a smaller unit (--unit, unit=)"
    ]
    assert ti.load(tmp_path / "run" / "results.nc").attrs["unit"] == "sentence:language=de"
    assert tokimp(*call, "page").status == 2


def test_think_tags_on_a_model_without_a_template_are_refused(tokimp: Run, chains_file: Path) -> None:
    """The option reaches the prompt format, which says what it lacks; escapes are newlines there."""
    done = tokimp("compare", chains_file, "--out", "run", "--prompt-format", "think", "--think-tags", r"<a>\n", "</a>")
    assert done.status == 1
    assert "no chat template" in done.err
