"""check_analysis passes every built-in analysis, and names the rule that a wrong one breaks."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from rich.table import Table

import tokimp as ti
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import Number
from tokimp.contracts.registry import load_analysis, plugins
from tokimp.contracts.scorer import Capability
from tokimp.results.by_chain import iterate
from tokimp.testing import AdditiveScorer, check_analysis
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer

OTHER = "OTHER"  # stands for the file of another result
PARAMETERS: dict[str, dict[str, Any]] = {
    "agreement": {},
    "agreement_between": {"other": OTHER},
    "agreement_within": {"minimum_units": 3},
    "answer_recovery": {"n_uniform": 2, "keep_ratios": [0.5, 1.0]},
    "at2": {"iterations": 3, "ablations": 6, "folds": 3},
    "cpr_cmd": {"n_uniform": 2, "shares": [0.0, 0.5, 1.0], "replacement": "."},
    "effects": {},
    "log_odds": {"n_uniform": 2, "replacement": "."},
    "magnitude": {"n_uniform": 2, "replacement": "."},
    "naopc": {"n_uniform": 2, "replacement": "."},
    "plausibility": {"n_uniform": 2},
    "soft_faithfulness": {"n_uniform": 2, "n_draws": 2},
    "dynamics": {"draws": 2, "context_ratios": [1.0, 0.5], "path": "in_sequence"},
    "faithfulness": {"n_uniform": 2, "keep_ratios": [0.0, 0.5, 1.0]},
    "planted": {},
    "structure": {"keep_ratios": [0.5]},
    "surrogate": {"epochs": 2, "hidden": [4], "penalties": [1.0], "permutations": 1, "per_head": False, "folds": 3},
}
BUILT_IN = sorted(plugin.name for plugin in plugins("analyses") if plugin.package == "tokimp")
TAKES_LONG = {"cpr_cmd", "magnitude", "naopc", "surrogate"}


class Writer(AdditiveScorer):
    """Writes an answer that depends on what it reads."""

    capabilities = frozenset(Capability)

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """Return one text a prompt."""
        return [["7" if "h" in self.tokenizer.decode(prompt) else "3"] for prompt in prompts]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in TAKES_LONG else name for name in BUILT_IN]
)
def test_built_in_analyses_keep_the_contract(name: str, tmp_path: Path) -> None:
    """Every analysis that comes with tokimp passes."""
    parameters = dict(PARAMETERS[name])
    if parameters.get("other") == OTHER:
        parameters["other"] = str(tmp_path / "other.nc")
        ti.save(toy_run(toy_run_chains(), toy_run_scorer()), parameters["other"])
    scorer = Writer(toy_run_scorer().contributions) if name == "answer_recovery" else None
    check_analysis(load_analysis(name, **parameters), scorer=scorer)


class Good(Analysis):
    """The share of a chain's units above a threshold: without fault, for others to break."""

    name = "good"
    constraints = {"threshold": Number()}

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the share, [chain, estimator]."""
        shares = [(chain["importance"].to_numpy() > self.threshold).mean(axis=1) for _, chain in iterate(inputs.result)]
        return xr.Dataset({"share": (("chain", "estimator"), np.stack(shares))})

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return a table without rows."""
        return [Table("estimator", "share")]


class Asking(Good):
    """The log-likelihoods of the answers."""

    requires = frozenset({Capability.LOGPROBS})

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return them, [chain]."""
        logprobs = inputs.scoring.scorer.logprobs(inputs.scoring.chains)
        return xr.Dataset({"answer": ("chain", [float(spans.answer.sum()) for spans in logprobs])})


@pytest.mark.parametrize("analysis", [Good, Good(0.5), Asking])
def test_a_good_analysis_passes(analysis: Any) -> None:
    """A class and an instance pass, and so does one that asks the model."""
    check_analysis(analysis)


def broken(compute: Any = None, **members: Any) -> type[Analysis]:
    """Return a class like `Good` but for some members; `compute` is a function of the inputs."""
    computing = {"compute": lambda self, inputs: compute(inputs)} if compute is not None else {}
    return type("Broken", (Good,), {**computing, **members})


def along(dimension: str, values: Any) -> xr.Dataset:
    """Return a dataset of one variable."""
    return xr.Dataset({"value": (dimension, values)})


CALLS = itertools.count()


def _changes_the_result(inputs: AnalysisInput) -> xr.Dataset:
    inputs.result["importance"].to_numpy()[:] = 0
    return along("mine", [0.0])


def _changes_itself(self: Any, inputs: AnalysisInput) -> xr.Dataset:
    self.threshold += 1
    return along("mine", [0.0])


def _needs_every_cell(inputs: AnalysisInput) -> xr.Dataset:
    importance = inputs.result["importance"].to_numpy()
    if np.isnan(importance).any():
        raise ValueError("NaN among the importances")
    return along("estimator", importance.mean(axis=1))


def _needs_one_cell(inputs: AnalysisInput) -> xr.Dataset:
    importance = inputs.result["importance"].to_numpy()
    means = [row[~np.isnan(row)][0] for row in importance]
    return along("estimator", means)


def _asks_for_deletions(inputs: AnalysisInput) -> xr.Dataset:
    scoring = inputs.scoring
    with contextlib.suppress(Exception):  # the check must find out all the same
        scoring.scorer.deletion_scores(scoring.chains[0], [0, 1], [[0]], scoring.objective)
    return along("mine", [0.0])


def _depends_on_the_place(inputs: AnalysisInput) -> xr.Dataset:
    def number(index: int) -> dict[str, Any]:
        return {"number": np.array([float(index)])}

    places = range(len(inputs.scoring.chains))
    return along("chain", [inputs.keep(index, partial(number, index))["number"][0] for index in places])


def _scaled(self: Any, threshold: float = 0.0) -> None:
    self.threshold = [threshold]


@pytest.mark.parametrize(
    ("analysis", "message"),
    [
        (int, "int does not subclass Analysis"),
        (Analysis, "Analysis does not define compute"),
        (broken(name="a,b"), "holds no space : , or ="),
        (broken(__init__=_scaled), "must store threshold as given"),
        (broken(constraints={"size": Number()}), "constraints name size, but __init__ has threshold"),
        (Good("high"), "good: threshold='high' is not allowed; give a number"),  # type: ignore[arg-type] # what is tested
        (broken(requires={Capability.LOGPROBS}), "requires must be a frozenset"),
        (broken(requires=frozenset({Capability.GENERATION})), "give check_analysis a scorer that has generation"),
        (
            broken(lambda inputs: along("mine", [len(inputs.scoring.chains)])),
            "given a scorer only if its class says",
        ),
        (
            broken(_asks_for_deletions, requires=frozenset({Capability.LOGPROBS})),
            r"asks the scorer for deletion_scores, so requires must hold Capability\.DELETIONS",
        ),
        (broken(lambda inputs: [0.0]), "returned a list of 1; an xarray.Dataset was expected"),
        (broken(lambda inputs: along("chain", [0.0, 1.0])), "does not fit the result"),
        (broken(lambda inputs: xr.Dataset()), "at least one variable"),
        (broken(_changes_the_result), "must leave the result as it is"),
        (type("Broken", (Good,), {"compute": _changes_itself}), "must leave its parameters as they are"),
        (broken(lambda inputs: along("mine", [float(next(CALLS))])), "must give the same when asked again"),
        (
            broken(_depends_on_the_place, requires=frozenset({Capability.LOGPROBS})),
            r"what it gives AnalysisInput\.keep must depend on that chain",
        ),
        (broken(lambda inputs: along("mine", np.array([{"a": 1}], dtype=object))), "must be such as netCDF can hold"),
        (
            broken(lambda inputs: along("mine", np.array(["2020-01-01"], dtype="datetime64[ns]"))),
            "must come back from a file as it was",
        ),
        (broken(tables=lambda self, result: "no table"), "tables must return a list of rich's tables"),
        (broken(figure=lambda self, result: 3), "figure must return a matplotlib Figure or None"),
        (broken(_needs_every_cell), "says nothing about the first chain it must work, but.*NaN among"),
        (broken(_needs_one_cell), "says nothing about any chain it must work, but.*IndexError"),
    ],
)
def test_each_broken_rule_is_named(analysis: Any, message: str) -> None:
    """An analysis with one fault fails with the rule that it breaks."""
    with pytest.raises(AssertionError, match=message):
        check_analysis(analysis)
