"""Executors on the command line: their options, and a run that goes on without cells that fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

import tokimp as ti
from tests.cli.conftest import Run
from tokimp.cli.executor_options import executor_of

PLUGIN = '''
import numpy as np
import tokimp as ti


class Picky(ti.ImportanceEstimator):
    """Gives the place of each unit, and refuses long chains."""

    name = "picky"

    def estimate(self, chain, scorer, objective):
        if len(chain.units) > 4:
            raise ValueError("too long for me")
        return ti.Importance(np.arange(len(chain.units), dtype=float))
'''


def options(**chosen: Any) -> dict[str, Any]:
    """Return the options of an executor, as click gives them."""
    return {"executor": "local", "workers": None, "cell_timeout": None, "retries": None, "ray_address": None, **chosen}


def test_options_become_parameters_of_the_executor() -> None:
    """What was typed is a parameter, what was not keeps its default, and other options stay."""
    given = options(executor="processes:retries=5", workers=3, cell_timeout=2.5) | {"limit": 2}
    parameters = executor_of(given).parameters()
    assert parameters == {"workers": 3, "cell_timeout": 2.5, "retries": 5, "start_timeout": 900.0}
    assert given == {"limit": 2}


def test_ray_gets_its_address() -> None:
    """--ray-address is the parameter `address` of ray."""
    assert executor_of(options(executor="ray", ray_address="auto")).parameters()["address"] == "auto"


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"workers": 2}, "--workers: the executor local has none; choose one with --executor processes"),
        ({"ray_address": "auto"}, "--ray-address: the executor local has none; choose one with --executor ray"),
        ({"executor": "processes:workers=2", "workers": 3}, "is given twice"),
    ],
)
def test_an_option_that_the_executor_does_not_have_is_refused(chosen: dict[str, Any], message: str) -> None:
    """The message says which executor has it."""
    with pytest.raises(click.UsageError, match=message):
        executor_of(options(**chosen))


def test_a_run_that_goes_on_ends_with_status_three(tokimp: Run, tmp_path: Path) -> None:
    """Cells that fail are named, with their reason and the place of their tracebacks, and the report is printed."""
    plugin = tmp_path / "picky.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    texts = ["2+2", "a b c d e f g"]
    lines = [{"id": str(n), "question": "q", "reasoning": text, "answer": "4"} for n, text in enumerate(texts)]
    (tmp_path / "chains.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    estimators = ["--estimator", f"{plugin}:Picky", "--estimator", "position"]
    for _ in range(2):
        done = tokimp("compare", tmp_path / "chains.jsonl", *estimators, "--keep-going", "--out", tmp_path / "run")
        assert done.status == 3, done.err
        assert "1 of 4 cells failed and are left out:" in done.err
        assert "picky on chain '1': ValueError: " in done.err
        assert "too long for me" in done.err
        assert f"tracebacks: {tmp_path / 'run' / 'failures'}" in done.err
        assert "result: " in done.out
    status = ti.load(tmp_path / "run" / "results.nc")["status"].to_numpy()
    assert (status != "").tolist() == [[False, True], [False, False]]


@pytest.mark.slow
def test_a_run_in_processes_prints_what_a_run_here_prints(tokimp: Run, tmp_path: Path) -> None:
    """The model is loaded by workers alone, and the numbers are the same."""
    command = ["compare", "demo", "--limit", "2", "--estimator", "gradient", "--estimator", "position", "--out"]
    here = tokimp(*command, tmp_path / "here")
    there = tokimp(*command, tmp_path / "there", "--executor", "processes", "--workers", "2")
    assert (here.status, there.status) == (0, 0), there.err
    results = [ti.load(tmp_path / name / "results.nc") for name in ("here", "there")]
    assert results[0]["importance"].to_numpy().tobytes() == results[1]["importance"].to_numpy().tobytes()
    assert results[0].attrs["scorer"] == results[1].attrs["scorer"] == "transformer_lens (tokimp)"
