"""The options that say how a model is read, spread over devices and quantised, in every command that loads one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tokimp as ti
from tests.cli.conftest import Run
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.writing.transformers_engine import TransformersEngine

MAP = '{"": "cpu"}'
PLACED = ("--device-map", MAP, "--offload-folder", "offloaded")
ESTIMATORS = ("--estimator", "leave_one_out", "--estimator", "position")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the options with which each model was loaded so far, as the test goes on."""
    loaded: list[dict[str, Any]] = []

    def watch(kind: type) -> None:
        init = kind.__init__  # type: ignore[misc] # the class is known

        def watched(self: Any, model: Any, **options: Any) -> None:
            loaded.append(options)
            init(self, model, **options)

        monkeypatch.setattr(kind, "__init__", watched)

    watch(CausalLMScorer)
    watch(TransformersEngine)
    return loaded


@pytest.mark.slow
def test_they_reach_the_scorers_of_compare_prune_and_analyze(
    tokimp: Run, chains_file: Path, asked: list[dict[str, Any]]
) -> None:
    """Packs and a device map are asked for where they were typed, and the run's result tells the map."""
    done = tokimp("compare", chains_file, *ESTIMATORS, "--packed", *PLACED, "--out", "run")
    assert done.status == 0, done.err
    done = tokimp("prune", chains_file, "--estimator", "leave_one_out", "--packed", *PLACED, "--out", "short.jsonl")
    assert done.status == 0, done.err
    done = tokimp("analyze", "run", "faithfulness:n_uniform=1", "--packed", *PLACED)
    assert done.status == 0, done.err
    assert [options["packed"] for options in asked] == [True] * 3
    assert [options["device_map"] for options in asked] == [MAP] * 3
    assert [Path(options["offload_folder"]) for options in asked] == [Path("offloaded")] * 3
    assert json.loads(ti.load("run/results.nc").attrs["loading"]) == {"device_map": {"": "cpu"}}


def test_they_reach_bench_doctor_and_sample(tokimp: Run, chains_file: Path, asked: list[dict[str, Any]]) -> None:
    """What is measured, described or written is done by the model as it was asked for."""
    done = tokimp("bench", chains_file, "--way", "between-steps", "--keep-ratio", "0.8", "--no-packed", *PLACED)
    assert done.status == 0, done.err
    done = tokimp("doctor", "--model", "tiny", "--no-packed", *PLACED)
    assert "device map" in done.out, done.out
    done = tokimp("sample", "word_problems", "--limit", "1", "--max-new-tokens", "2", *PLACED, "--out", "sampled")
    assert [options["device_map"] for options in asked] == [MAP] * 3
    assert [options.get("packed") for options in asked] == [False, False, None]


def test_without_them_a_scorer_is_not_told_of_them(tokimp: Run, chains_file: Path, asked: list[dict[str, Any]]) -> None:
    """Scorers of other packages need not know the options, and an ordinary run's identity does not change."""
    done = tokimp("compare", chains_file, *ESTIMATORS, "--out", "run")
    assert done.status == 0, done.err
    assert not {"packed", "device_map", "offload_folder", "quantization"} & set(asked[0])
    assert "loading" not in ti.load("run/results.nc").attrs
    assert "loading" not in json.loads(Path("run/run.json").read_text("utf-8"))["run"]["model"]


def test_a_run_is_another_one_with_another_map(tokimp: Run, chains_file: Path) -> None:
    """A run is not continued with a model that is spread otherwise; the message says what differs."""
    assert tokimp("compare", chains_file, *ESTIMATORS, "--device-map", MAP, "--out", "run").status == 0
    done = tokimp("compare", chains_file, *ESTIMATORS, "--out", "run")
    assert done.status == 1
    assert "model.loading" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--quantization", "nothing_known"), "no quantization 'nothing_known'"),
        (("--device-map", "nowhere.json"), "no device map 'nowhere.json'"),
        (("--device-map", "auto", "--device", "cpu"), "leave one out"),
    ],
)
def test_what_cannot_be_is_one_line(tokimp: Run, chains_file: Path, options: tuple[str, ...], said: str) -> None:
    """A quantisation or a map that cannot be is refused in one line that says what to write."""
    done = tokimp("compare", chains_file, *ESTIMATORS, *options, "--out", "run")
    assert (done.status, said in done.err, len(done.err.strip().splitlines())) == (1, True, 1)


def test_a_quantised_run_is_analysed_only_with_its_quantization(tokimp: Run, chains_file: Path) -> None:
    """What only a file says is not done: the analysis says which quantisation to ask for."""
    assert tokimp("compare", chains_file, *ESTIMATORS, "--out", "run").status == 0
    result = ti.load("run/results.nc")
    result.attrs["loading"] = json.dumps({"quantization": {"quant_method": "quanto", "weights": "int8"}})
    ti.save(result, "quantised.nc")
    done = tokimp("analyze", "quantised.nc", "faithfulness:n_uniform=1")
    assert done.status == 1
    assert """--quantization '{"quant_method": "quanto", "weights": "int8"}'""" in done.err
