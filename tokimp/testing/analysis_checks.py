"""Does an analysis keep the contract? One check for every class that subclasses `Analysis`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from tokimp.analysis.elsewhere import Elsewhere, InMemory
from tokimp.analysis.recorded_run import rebuild_chains
from tokimp.analysis.run import analyze
from tokimp.chains.chain import TokenizedChain
from tokimp.compare.executors.local import LocalExecutor
from tokimp.contracts.analysis import Analysis, AnalysisInput, Scoring
from tokimp.contracts.checked_analysis import node_of
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.objective import Joint, Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import TokimpError
from tokimp.results.analysis_nodes import node_name
from tokimp.results.io import load, save
from tokimp.testing.parameter_checks import built, check_parameters, check_requires, expect
from tokimp.testing.required_only import RequiredOnly
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer, without_cell

_COSTS = ("seconds", "tokens_forwarded")


def check_analysis(
    analysis: Analysis | type[Analysis],
    result: xr.DataTree | None = None,
    scorer: Scorer | None = None,
    chains: Sequence[TokenizedChain] | None = None,
    objective: Objective | None = None,
) -> None:
    """Raise `AssertionError` if an analysis breaks the contract of `Analysis`.

    The rules:

    - ``__init__`` stores its parameters as given. Name, `requires`, label, parameters and constraints are well formed.
    - It asks for a scorer only if it requires something of one, and asks it for nothing else.
    - It gives a dataset whose dimensions and coordinates fit the result, and the same one when asked again.
    - It changes neither the result nor its own parameters.
    - What it gives `AnalysisInput.keep` depends on one chain: asked about each alone, as workers are, it is the same.
    - What it gives comes back from a file as it was, and its tables and its figure can be made from that.
    - It works if an estimator says nothing about a chain, and if it says nothing about any.

    Whether what it finds is right is for your own tests to say.

    Parameters
    ----------
    analysis
        A class that needs no parameters, or an instance.
    result
        A result that it can work on; by default that of three estimators on six chains (`tokimp.testing.toy_run`). The
        chains have categories, filler, a right and a wrong answer; one estimator deletes in sequence.
    scorer
        The scorer of `result`; by default an `AdditiveScorer`, which has every capability but GENERATION.
    chains
        The chains of `result` as ids; made again from the result by default.
    objective
        What the deletions of `result` are to preserve; the joint likelihood by default.

    Examples
    --------
    >>> class Spread(Analysis):
    ...     name = "spread"
    ...
    ...     def compute(self, inputs):
    ...         return xr.Dataset({"spread": inputs.result["importance"].std("token")})
    >>> check_analysis(Spread)
    """
    instance = built(analysis, Analysis, "check_analysis")
    check_parameters(instance)
    check_requires(instance.name, instance.requires)
    if scorer is None:
        scorer = toy_run_scorer()
    lacking = ", ".join(sorted(instance.requires - scorer.capabilities))
    expect(not lacking, f"{instance.label}: give check_analysis a scorer that has {lacking}; {scorer!r} has not")
    if result is None:
        chains = chains or toy_run_chains()
        result = toy_run(list(chains), scorer)
    case = _Case(instance, scorer, chains, objective or Joint())
    _check_node(case, result)
    for label in map(str, result["estimator"].to_numpy()):
        silent = without_cell(result, 0, label)
        case.analyzed(silent, f"if the estimator {label!r} says nothing about the first chain")
    for index in range(result.sizes["chain"]):
        silent = without_cell(silent, index, label)
    _check_stored(case, case.analyzed(silent, f"if the estimator {label!r} says nothing about any chain"))


class _Case:
    """An analysis, and what it is run with."""

    def __init__(
        self, analysis: Analysis, scorer: Scorer, chains: Sequence[TokenizedChain] | None, objective: Objective
    ) -> None:
        self.analysis = analysis
        self._scorer = scorer
        self._chains = chains
        self._objective = objective

    def analyzed(self, result: xr.DataTree, when: str) -> xr.DataTree:
        """Return the result with the analysis, or say under which circumstances it failed."""
        gate = RequiredOnly(self._scorer, self.analysis.requires)
        arguments: dict[str, Any] = {"chains": self._chains, "objective": self._objective}
        try:
            # Whether the model is the run's is for analyze to find out, with requests that are not the analysis's own.
            analyzed = analyze(result, self.analysis, scorer=gate, same_model=False, **arguments)
        except TokimpError as error:
            message = f"{self.analysis.label}: {when} it must work, but: {error}"
            raise AssertionError("; ".join([message, *gate.trespasses])) from error
        expect(not gate.trespasses, "; ".join([self.analysis.label, *gate.trespasses]))
        return analyzed

    def nodes_by_chain(self, result: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset]:
        """Return what the analysis gives where all chains are asked about together, and where each is alone."""
        chains = rebuild_chains(result, self._scorer.tokenizer) if self._chains is None else self._chains
        scoring = Scoring(CheckedScorer(self._scorer, SubsetMemory()), tuple(chains), self._objective)
        local = LocalExecutor()
        elsewhere = Elsewhere(self.analysis, result, scoring, None, local, self._scorer, "", InMemory())
        return node_of(self.analysis, AnalysisInput(result, scoring)), elsewhere.compute()[0]

    def node(self, analyzed: xr.DataTree) -> xr.Dataset:
        """Return what the analysis gave, without what it cost."""
        stored: Any = analyzed[f"analysis/{node_name(self.analysis)}"]
        node: xr.Dataset = stored.to_dataset(inherit=False)
        node.attrs = {name: value for name, value in node.attrs.items() if name not in _COSTS}
        return node


def _check_node(case: _Case, result: xr.DataTree) -> None:
    label, copy, parameters = case.analysis.label, result.copy(deep=True), repr(case.analysis)
    analyzed = case.analyzed(result, "on a result")
    expect(copy.identical(result), f"{label}: must leave the result as it is, but changed it")
    expect(repr(case.analysis) == parameters, f"{label}: must leave its parameters as they are, but changed them")
    node = case.node(analyzed)
    expect(bool(node.data_vars), f"{label}: compute must give a dataset with at least one variable")
    again = case.node(case.analyzed(result, "asked again"))
    expect(node.identical(again), f"{label}: must give the same when asked again; seed what it draws")
    if case.analysis.requires:
        whole, apart = case.nodes_by_chain(result)
        expect(
            whole.identical(apart),
            f"{label}: what it gives AnalysisInput.keep must depend on that chain, what the result says of it, the "
            "model and the parameters alone; asked about one chain at a time, as workers are, it gives something else",
        )
    _check_stored(case, analyzed)


def _check_stored(case: _Case, analyzed: xr.DataTree) -> None:
    """Check that what was found comes back from a file, and can be shown."""
    label, node = case.analysis.label, case.node(analyzed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.nc"
        try:
            save(analyzed, path)
            stored = load(path)
        # Libraries that write files raise errors of all kinds at what they cannot write.
        except Exception as error:
            raise AssertionError(
                f"{label}: what compute gives must be such as netCDF can hold, but {type(error).__name__}: {error}"
            ) from error
    changed = _difference(node, case.node(stored))
    expect(not changed, f"{label}: what compute gives must come back from a file as it was, but {changed}")
    tables: Any = case.analysis.tables(stored)
    expect(
        isinstance(tables, list) and all(isinstance(table, Table) for table in tables),
        f"{label}: tables must return a list of rich's tables, not {tables!r}",
    )
    for table in tables:
        Console(file=io.StringIO()).print(table)
    figure: Any = case.analysis.figure(stored)
    expect(
        figure is None or isinstance(figure, Figure),
        f"{label}: figure must return a matplotlib Figure or None, not {figure!r}",
    )
    if figure is not None:
        figure.draw_without_rendering()


def _difference(node: xr.Dataset, stored: xr.Dataset) -> str:
    """Return what a file changed about a node, in words; empty if nothing."""
    if set(node.variables) != set(stored.variables):
        return f"variables became {sorted(map(str, stored.variables))}"
    for name, variable in node.variables.items():
        values, kept = variable.to_numpy(), stored[name].to_numpy()
        same = np.array_equal(values, kept, equal_nan=values.dtype.kind == "f")
        if not same or (values.dtype.kind in "biuf" and values.dtype != kept.dtype):
            return f"{name!r} became {kept.dtype} {kept.ravel()[:3].tolist()}"
    return ""
