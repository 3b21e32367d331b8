"""The command that analyses a finished run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import tokimp as ti
from tests.cli.conftest import Run
from tests.storage.lost_records import lose_last_record
from tokimp.analysis.kept_chains import KeptChains
from tokimp.models.loading import load_model
from tokimp.results.analysis_nodes import analysis_node

COMPARE = ("--out", "run", "--estimator", "leave_one_out", "--estimator", "position")
SMALL = "n_uniform=1"
STEM = "faithfulness,n_uniform=1"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the finished run lies that each test is given a copy of, once the first test has made it."""
    return tmp_path_factory.mktemp("original") / "run"


@pytest.fixture
def folder(tokimp: Run, chains_file: Path, tmp_path: Path, original: Path) -> Path:
    """Return the folder of a finished run, of the test's own."""
    if not original.exists():
        done = tokimp("compare", chains_file, *COMPARE)
        assert done.status == 0, done.err
        shutil.move(tmp_path / "run", original)
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def test_numbers_table_and_figure_are_written(tokimp: Run, folder: Path) -> None:
    """The run's result gets the node, the terminal the table, and the run's folder the figure as PNG, SVG and PDF."""
    before = ti.load(folder / "results.nc")
    done = tokimp("analyze", "run", f"faithfulness:{SMALL}")
    assert done.status == 0, done.err
    after = ti.load(folder / "results.nc")
    assert after.to_dataset().identical(before.to_dataset())
    assert set(after["analysis"].children) == {"agreement", "faithfulness,n_uniform=1"}
    assert not np.isnan(analysis_node(after, "faithfulness")["value"]).any()
    for word in ("Faithfulness", "leave_one_out", "position", "sufficiency", "run/results.nc", f"{STEM}.svg"):
        assert word in done.out
    assert (folder / f"{STEM}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / f"{STEM}.svg").read_text(encoding="utf-8")
    assert (folder / f"{STEM}.pdf").read_bytes().startswith(b"%PDF")


def test_answers_are_generated_and_compared(tokimp: Run, folder: Path) -> None:
    """Answer recovery runs from the command line with parameters of its own; a result file is named as well."""
    done = tokimp("analyze", "run/results.nc", f"answer_recovery:keep_ratios=[0.5,1.0],{SMALL}")
    assert done.status == 0, done.err
    node = analysis_node(ti.load(folder / "results.nc"), "answer_recovery")
    assert node["keep_ratio"].to_numpy().tolist() == [0.5, 1.0]
    assert "Answer recovery" in done.out


def test_agreement_asks_no_model(tokimp: Run, folder: Path) -> None:
    """Other parameters have a node and a figure of their own; a model named for it is wrong usage."""
    done = tokimp("analyze", "run", "agreement:top_k=3")
    assert done.status == 0, done.err
    assert "top 3 overlap" in done.out
    result = ti.load(folder / "results.nc")
    assert [result[f"analysis/{name}"].attrs["top_k"] for name in ("agreement", "agreement,top_k=3")] == [0.2, 3]
    assert "(/analysis/agreement,top_k=3)" in done.out
    assert (folder / "agreement,top_k=3.png").exists()
    refused = tokimp("analyze", "run", "agreement", "--model", "tiny")
    assert refused.status == 2
    assert "asks no model; leave out --model" in refused.err


@pytest.mark.slow
def test_the_comparison_again_keeps_the_analyses(tokimp: Run, folder: Path, chains_file: Path) -> None:
    """Repeating the finished comparison writes the same result and does not throw later analyses away."""
    assert tokimp("analyze", "run", f"faithfulness:{SMALL}").status == 0
    before = ti.load(folder / "results.nc")
    assert tokimp("compare", chains_file, *COMPARE).status == 0
    assert ti.load(folder / "results.nc").identical(before)


@pytest.mark.slow
def test_another_model_that_was_asked_is_named(tokimp: Run, folder: Path, tmp_path: Path) -> None:
    """Besides the run's model the one is named whose numbers they are; a copy of the run's own model is none."""
    loaded = load_model("tiny")
    for name in ("copy", "other"):
        loaded.model.save_pretrained(tmp_path / name)
        loaded.tokenizer.save_pretrained(tmp_path / name)
        with torch.no_grad():
            loaded.model.get_output_embeddings().weight[7] += 1
    own = tokimp("analyze", "run", f"faithfulness:{SMALL}", "--model", "copy")
    assert own.status == 0, own.err
    assert "asked:" not in own.out
    done = tokimp("analyze", "run", f"faithfulness:{SMALL}", "--model", "other")
    assert done.status == 0, done.err
    assert done.out.splitlines()[1] == "asked: other, not the run's own tiny"
    precise = tokimp("analyze", "run", f"faithfulness:{SMALL}", "--model", "tiny", "--dtype", "float64")
    assert "asked: tiny (float64), not the run's own tiny (float32)" in precise.out


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["nowhere", "agreement"], 2, "nowhere"),
        (["chains.jsonl", "agreement"], 1, "chains.jsonl"),
        (["run", "tarot"], 2, "tarot"),
        (["run", "agreement:top=3"], 2, "top"),
        (["run", "faithfulness:n_uniform=0"], 2, "n_uniform"),
        (["run", "faithfulness", "--model", "no/such-model"], 1, "no/such-model"),
        (["run", "faithfulness", "--backend", "abacus"], 2, "abacus"),
    ],
)
def test_wrong_input_ends_in_one_clear_line(
    tokimp: Run, folder: Path, arguments: list[str], status: int, named: str
) -> None:
    """Exit status 2 for wrong usage, 1 for anything else, one line on stderr, and the result stays as it was."""
    before = (folder / "results.nc").read_bytes()
    done = tokimp("analyze", *arguments)
    assert (done.status, done.err.count("\n")) == (status, 1)
    assert named in done.err
    assert (folder / "results.nc").read_bytes() == before


@pytest.mark.slow
def test_the_foot_of_a_short_curve_names_its_ratios(tokimp: Run, chains_file: Path) -> None:
    """Where a method stopped at 0.7, the table of faithfulness says which ratios to ask for, as they are typed."""
    assert tokimp("compare", chains_file, "--estimator", "greedy:keep_ratio=0.7", "--out", "run").status == 0
    out = " ".join(tokimp("analyze", "run", "faithfulness:n_uniform=2").out.split())
    assert "faithfulness:keep_ratios=[0.7,0.8,0.9" in out


BROKEN = """
import xarray as xr
from tokimp.contracts.analysis import Analysis


class Broken(Analysis):
    name = "broken"

    def compute(self, inputs):
        return xr.Dataset({"answer": ((), 42)})

    def tables(self, result):
        return "no table"
"""


def test_numbers_survive_a_table_that_fails(tokimp: Run, folder: Path) -> None:
    """What an analysis computed is in the result, and one line says what is wrong with its table."""
    (folder.parent / "broken.py").write_text(BROKEN, encoding="utf-8")
    done = tokimp("analyze", "run", "broken.py:Broken")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "the analysis 'broken', asked for its tables, returned a str; a list of rich.table.Table" in done.err
    assert int(ti.load(folder / "results.nc")["analysis/broken/answer"]) == 42


def test_compare_given_again_keeps_what_was_added(tokimp: Run, folder: Path, chains_file: Path) -> None:
    """A user's variables and the analyses of the same numbers stay, also where a damaged cell is computed anew."""
    assert tokimp("analyze", "run", "agreement").status == 0
    result = ti.load(folder / "results.nc")
    result["mine"] = xr.DataArray(np.arange(result.sizes["chain"], dtype=np.float64), dims="chain")
    ti.save(result, folder / "results.nc")
    lose_last_record(folder / "cells")
    done = tokimp("compare", chains_file, *COMPARE)
    assert done.status == 0, done.err
    again = ti.load(folder / "results.nc")
    np.testing.assert_array_equal(again["mine"], result["mine"])
    assert again["analysis/agreement"].to_dataset().identical(result["analysis/agreement"].to_dataset())


@pytest.mark.slow
def test_workers_ask_the_model_and_what_they_found_lies_beside_the_file_until_it_is_written(
    tokimp: Run, folder: Path
) -> None:
    """With --out the run is left alone: what is kept meanwhile is beside the file, and goes once the file has it."""
    here = tokimp("analyze", "run", f"faithfulness:{SMALL}", "--out", "here.nc")
    there = tokimp(
        "analyze", "run", f"faithfulness:{SMALL}", "--out", "there.nc", "--executor", "processes", "--workers", "2"
    )
    assert (here.status, there.status) == (0, 0), here.err + there.err
    one, other = (analysis_node(ti.load(folder.parent / name), "faithfulness") for name in ("here.nc", "there.nc"))
    xr.testing.assert_identical(one.assign_attrs(seconds=0), other.assign_attrs(seconds=0))
    assert not (folder / "analyses").exists()
    assert not list(folder.parent.glob("*.kept"))


def test_a_killed_analysis_into_a_file_goes_on(tokimp: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at the second chain, the first one is kept beside the file, and is not asked about again."""
    monkeypatch.setattr("tokimp.analysis.kept_chains.KeptChains.store", _stop_after(1))
    assert tokimp("analyze", "run", f"faithfulness:{SMALL}", "--out", "file.nc").status != 0
    assert not (folder.parent / "file.nc").exists()
    monkeypatch.undo()
    monkeypatch.chdir(folder.parent)
    done = tokimp("analyze", "run", f"faithfulness:{SMALL}", "--out", "file.nc")
    assert done.status == 0, done.err
    # The line of the second chain is the first one: the first chain was there.
    assert "analysing: 2 of 3 done" in done.err
    assert "analysing: 1 of 3 done" not in done.err


def _stop_after(count: int) -> Callable[..., None]:
    """Return what stores a number of answers, and then stops as Ctrl-C does."""
    stored, store = [0], KeptChains.store

    def stop(self: KeptChains, *arguments: Any) -> None:
        if stored[0] == count:
            raise KeyboardInterrupt
        stored[0] += 1
        store(self, *arguments)

    return stop


def test_workers_are_for_analyses_that_ask_a_model(tokimp: Run, folder: Path) -> None:
    """Agreement gives workers nothing to do, and says so."""
    refused = tokimp("analyze", "run", "agreement", "--executor", "processes")
    assert refused.status == 2
    assert "asks no model; leave out --executor" in refused.err
