"""What holds of every analysis that comes with tokimp: invariances, and what is said where there is little to say."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from tokimp_greedy import GreedyPruning
from tokimp_leave_one_out import LeaveOneOut

import tokimp as ti
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Joint
from tokimp.contracts.registry import plugins
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.effects_node import add_effects, read_effects
from tokimp.results.schema import validate
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

LETTERS = "abcdefgh"
OTHER = "OTHER"  # stands for another result's file
CHANCE: dict[str, Any] = {"n_uniform": 2, "replacement": ".", "measure": "answer"}
PARAMETERS: dict[str, dict[str, Any]] = {
    "agreement": {},
    "agreement_within": {"minimum_units": 3},
    "agreement_between": {"other": OTHER},
    "at2": {"iterations": 3, "ablations": 6, "folds": 3},
    "answer_recovery": {"n_uniform": 2, "keep_ratios": [0.5, 1.0]},
    "cpr_cmd": {**CHANCE, "shares": [0.0, 0.5, 1.0]},
    "dynamics": {"draws": 2, "context_ratios": [1.0, 0.5]},
    "effects": {"strongest": 2},
    "faithfulness": {"n_uniform": 2, "keep_ratios": [0.0, 0.5, 1.0]},
    "log_odds": {"n_uniform": 2},
    "magnitude": {**CHANCE, "steps": 6},
    "naopc": {**CHANCE, "exact_units": 4, "beam": 1},
    "planted": {},
    "soft_faithfulness": {"n_uniform": 2, "n_draws": 2, "narrowest": 0.0},
    "plausibility": {"n_uniform": 3},
    "structure": {"keep_ratios": [0.5]},
    "surrogate": {
        "epochs": 2,
        "hidden": [4],
        "penalties": [1.0],
        "permutations": 1,
        "per_head": False,
        "folds": 3,
    },
}
NAMES = sorted(plugin.name for plugin in plugins("analyses") if plugin.package == "tokimp")


class Writer(AdditiveScorer):
    """Adds shares, and writes an answer that depends on what it reads."""

    capabilities = frozenset(Capability)

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """Return one text a prompt."""
        return [["7" if "h" in self.tokenizer.decode(prompt) else "3"] for prompt in prompts]


SCORER = Writer({letter: 0.37 * index - 1.1 for index, letter in enumerate(LETTERS)})


def chain(number: int, length: int = 12) -> TokenizedChain:
    """Return a chain of random letters, half of them filler, of three categories, with a right answer."""
    generator = np.random.default_rng(number)
    made = toy_chain(
        "".join(generator.choice(list(LETTERS), length)), id=f"c{number}", question=f"{number}", answer="#### 7"
    )
    labels = generator.choice(["m", "g", "e"], length).tolist()
    category = tuple(CategorySpan(i, i + 1, label) for i, label in enumerate(labels))
    filler = tuple((i, i + 1) for i in range(length) if i % 2)
    return replace(made, chain=replace(made.chain, category=category, filler=filler, gold="7"))


Estimate = Callable[[TokenizedChain], Importance]
ESTIMATES: dict[str, Estimate] = {
    "leave_one_out": lambda chain: LeaveOneOut().estimate(chain, SCORER, Joint()),
    "greedy": lambda chain: GreedyPruning().estimate(chain, SCORER, Joint()),
    "mine": lambda chain: Importance(np.random.default_rng([7, *chain.reasoning_ids]).normal(size=len(chain.units))),
}


def with_effects(importance: Importance, name: str, chain: TokenizedChain) -> Importance:
    """Return an importance with effects of its own, random by estimator and chain; greedy pruning says nothing."""
    if name == "greedy":
        return importance
    generator = np.random.default_rng([len(name), *chain.reasoning_ids])
    n_units = len(chain.units)
    between = np.triu(generator.normal(size=(n_units, n_units)), k=1)
    return replace(importance, effects=between, effects_on_answer=generator.normal(size=n_units))


def compared(
    chains: Sequence[TokenizedChain],
    names: Sequence[str] = tuple(ESTIMATES),
    estimates: Mapping[str, Estimate] | None = None,
    labels: Mapping[str, str] | None = None,
) -> xr.DataTree:
    """Return a result of some estimators, in this order, under other labels if given."""
    called = {name: (labels or {}).get(name, name) for name in names}
    made = {**ESTIMATES, **(estimates or {})}
    rows = {called[name]: [with_effects(made[name](each), name, each) for each in chains] for name in names}
    result = toy_result(rows, chains, SCORER)
    result.attrs["estimator_parameters"] = json.dumps({called[name]: {"name": name} for name in names})
    return result


def silenced(result: xr.DataTree, chain: int, label: str) -> xr.DataTree:
    """Return the result as if an estimator had said nothing about a chain."""
    dataset = result.to_dataset().copy(deep=True)
    row = dataset["estimator"].to_numpy().tolist().index(label)
    tokens = dataset["chain_index"].to_numpy() == chain
    for name in ("importance", "loglik_joint", "loglik_answer", "loglik_reasoning"):
        dataset[name][row, tokens] = np.nan
    dataset["rank"][row, tokens] = -1
    dataset["seconds"][row, chain], dataset["tokens_forwarded"][row, chain] = np.nan, -1
    tree = xr.DataTree(dataset)
    silent = (label, str(dataset["chain_id"].to_numpy()[chain]))
    add_effects(tree, {key: effects for key, effects in read_effects(result).items() if key != silent})
    validate(tree)
    return tree


class Analysed:
    """Runs an analysis on results, with what it needs beside them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    def analysis(self, result: xr.DataTree) -> Any:
        """Return the analysis; the other result that it may compare with has the importances turned round."""
        parameters = dict(PARAMETERS[self.name])
        if parameters.get("other") == OTHER:
            other = result.to_dataset().copy(deep=True)
            other["importance"][:] = -other["importance"]
            units = other["importance"].to_numpy()
            for index in range(other.sizes["chain"]):
                tokens = other["chain_index"].to_numpy() == index
                for row in range(len(units)):
                    if np.isfinite(units[row, tokens]).all():
                        other["rank"][row, tokens] = np.argsort(np.argsort(units[row, tokens], kind="stable"))
            for name in ("loglik_joint", "loglik_answer", "loglik_reasoning"):
                other[name][:] = np.nan
            other.attrs["objective"] = "answer"
            ti.save(xr.DataTree(other), self._folder / "other.nc")
            parameters["other"] = str(self._folder / "other.nc")
        return ti.load_analysis(self.name, **parameters)

    def tree(self, result: xr.DataTree, chains: Sequence[TokenizedChain]) -> xr.DataTree:
        """Return the result with the analysis; warnings (of a division by nothing, an empty mean) are errors."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return ti.analyze(result, self.analysis(result), scorer=SCORER, chains=chains, objective=Joint())

    def node(self, result: xr.DataTree, chains: Sequence[TokenizedChain]) -> xr.Dataset:
        """Return what it found."""
        return analysis_node(self.tree(result, chains), self.name)

    def shown(self, tree: xr.DataTree) -> None:
        """Check that what was found goes through a file, and has tables and a figure."""
        ti.save(tree, self._folder / "result.nc")
        read = ti.load(self._folder / "result.nc")
        parameters = dict(PARAMETERS[self.name])
        if parameters.get("other") == OTHER:
            parameters["other"] = str(self._folder / "other.nc")
        analysis = ti.load_analysis(self.name, **parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            for table in analysis.tables(read):
                assert table.columns
            figure = analysis.figure(read)
            if figure is not None:
                figure.draw_without_rendering()


@pytest.fixture(params=NAMES)
def analysed(request: pytest.FixtureRequest, tmp_path: Path) -> Analysed:
    """Return each analysis in turn."""
    return Analysed(request.param, tmp_path)


def test_every_analysis_is_here() -> None:
    """An analysis that is added is tried as well: give it parameters above."""
    assert set(NAMES) == set(PARAMETERS)


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Compare every variable of two nodes by coordinate, with NaN where NaN is."""
    assert set(one.variables) == set(other.variables)
    named = {name: one[name] for name in one.indexes if one[name].dtype.kind == "O"}
    aligned = other.sel({name: values.to_numpy() for name, values in named.items()})
    for name, variable in one.data_vars.items():
        if variable.dtype.kind == "O":
            np.testing.assert_array_equal(variable, aligned[name], err_msg=str(name))
        else:
            np.testing.assert_allclose(variable, aligned[name], rtol=1e-4, atol=1e-5, err_msg=str(name))


def test_the_order_of_chains_does_not_matter(analysed: Analysed) -> None:
    """With chains in another order, everything found is the same, each chain's own in its new place."""
    chains = [chain(number) for number in range(5)]
    first, second = (analysed.node(compared(order), order) for order in (chains, chains[::-1]))
    back = second.isel(chain=slice(None, None, -1)) if "chain" in second.dims else second
    if "token" in second.dims:
        tokens = np.arange(5 * 12).reshape(5, 12)[::-1].ravel()
        back = back.isel(token=tokens)
    assert_same(first, back)


def test_the_order_of_estimators_does_not_matter(analysed: Analysed) -> None:
    """With estimators in another order, each has the same numbers."""
    chains = [chain(number) for number in range(5)]
    first, second = (
        analysed.node(compared(chains, names), chains) for names in (tuple(ESTIMATES), tuple(ESTIMATES)[::-1])
    )
    assert_same(first, second)


def test_what_estimators_are_called_does_not_matter(analysed: Analysed) -> None:
    """Under other labels, estimators whose units do not tie have the same numbers."""
    chains = [chain(number) for number in range(5)]
    # Letters that occur twice tie in leave-one-out; ties are broken by label.
    exact: dict[str, Estimate] = {
        "leave_one_out": lambda chain: Importance(
            ESTIMATES["leave_one_out"](chain).scores + 1e-3 * np.arange(len(chain.units))
        )
    }
    labels = {"leave_one_out": "yours", "greedy": "alpha", "mine": "zed"}
    first = analysed.node(compared(chains, estimates=exact), chains)
    second = analysed.node(compared(chains, estimates=exact, labels=labels), chains)
    back = {new: old for old, new in labels.items()}
    renamed = {}
    for name in second.indexes:
        if second[name].dtype.kind == "O":
            texts = []
            for text in second[name].to_numpy().tolist():
                kind, colon, label = text.rpartition(":")
                texts.append(kind + colon + back.get(label, label))
            renamed[name] = np.array(texts, dtype=object)
    assert_same(first, second.assign_coords(renamed))


def refuses(analysed: Analysed, names: Mapping[str, str], result: xr.DataTree, chains: list[TokenizedChain]) -> bool:
    """Check that the analyses named refuse the result with the message given; return whether this is one of them."""
    if analysed.name not in names:
        return False
    with pytest.raises(AnalysisError, match=names[analysed.name]):
        analysed.tree(result, chains)
    return True


def finite_in(node: xr.Dataset, **where: Any) -> int:
    """Return how many numbers of a node are finite, in the part that is chosen."""
    chosen = node.sel({name: value for name, value in where.items() if name in node.dims})
    return sum(int(np.isfinite(v).sum()) for v in chosen.data_vars.values() if v.dtype.kind == "f")


def test_a_single_chain(analysed: Analysed) -> None:
    """There is something to say of one chain, and no interval of it; what learns needs other chains."""
    chains = [chain(0)]
    result = compared(chains)
    said = {"surrogate": "1 chains have 'deleted:leave_one_out', too few", "at2": "takes 3 questions or more"}
    if refuses(analysed, said, result, chains):
        return
    tree = analysed.tree(result, chains)
    node = analysis_node(tree, analysed.name)
    assert finite_in(node)
    for name in node.data_vars:
        if str(name).endswith(("low", "high")) and not str(name).startswith("uniform"):
            assert np.isnan(node[name]).all(), name
    analysed.shown(tree)


def test_chains_of_a_single_unit(analysed: Analysed) -> None:
    """One unit cannot be ranked: what needs an order is NaN, and nothing fails."""
    chains = [chain(number, length=1) for number in range(4)]
    result = compared(chains)
    said = {
        "planted": "no chain of the result holds filler",
        "plausibility": "no chain has both units that are marked and others",
    }
    if refuses(analysed, said, result, chains):
        return
    tree = analysed.tree(result, chains)
    node = analysis_node(tree, analysed.name)
    # Pooled over chains, units correlate though each is alone in its chain.
    alone = node.sel(scope="within") if "scope" in node.dims else node
    for name in ("correlation", "mean_rank", "overlap"):
        if name in node:
            assert np.isnan(alone[name]).all(), name
    if analysed.name.startswith("agreement"):
        assert not node["chains_used"].any()
    analysed.shown(tree)


def test_constant_importances(analysed: Analysed) -> None:
    """An estimator that tells no units apart has no correlation with anything, and half of every pair of ranks."""
    chains = [chain(number) for number in range(5)]
    constant: Estimate = lambda chain: Importance(np.zeros(len(chain.units)))  # noqa: E731 - the shape of its neighbours
    tree = analysed.tree(compared(chains, estimates={"mine": constant, "leave_one_out": constant}), chains)
    node = analysis_node(tree, analysed.name)
    if analysed.name in {"agreement", "agreement_within"}:
        assert np.isnan(node["mean"].sel(estimator="mine")).all()
    elif analysed.name == "agreement_between":
        assert np.isnan(node["mean"].sel(common="mine")).all()
    elif analysed.name == "planted":
        assert (node["mean"].sel(estimator="mine", measure="auroc", level="unit") == 0.5).all()
    elif analysed.name == "dynamics":
        assert np.isnan(node["correlation"].sel(predictor="mine")).all()
    elif analysed.name == "structure":
        np.testing.assert_allclose(node["share"].sel(estimator="mine"), 0.5)
    elif analysed.name == "surrogate":
        assert np.isnan(node["correlation"].sel(target="importance:leave_one_out")).all()
    else:
        assert finite_in(node, estimator="mine")
    analysed.shown(tree)


def test_an_estimator_that_covers_some_chains_only(analysed: Analysed) -> None:
    """Its numbers are those of a result of the chains that it covers; the other estimators' are of all chains."""
    chains = [chain(number) for number in range(5)]
    whole = compared(chains)
    part = silenced(silenced(whole, 0, "mine"), 3, "mine")
    node, before = analysed.node(part, chains), analysed.node(whole, chains)
    rest = [each for index, each in enumerate(chains) if index not in {0, 3}]
    of_rest = analysed.node(compared(rest), rest)
    names = ("estimator", "common", "predictor", "effect_estimator")
    along = next((name for name in names if name in node.dims), None)
    if along is None:
        assert_same(node, before)  # nothing here is predicted of the estimator that is silent
        return
    others = {
        name: [label for label in node[name].to_numpy() if label != "mine"]
        for name in (along, "other")
        if name in node.dims
    }
    for name, variable in node.data_vars.items():
        if along not in variable.dims or {"chain", "token"} & set(variable.dims):
            continue
        rest_only = {dimension: labels for dimension, labels in others.items() if dimension in variable.dims}
        np.testing.assert_allclose(variable.sel(rest_only), before[name].sel(rest_only), err_msg=str(name))
        # Only the whole result counts the chains it does not cover.
        if name != "chains_absent":
            mine, alone = (each.sel({along: "mine"}) for each in (variable, of_rest[name]))
            np.testing.assert_allclose(mine, alone, rtol=1e-6, err_msg=str(name))


def test_an_estimator_that_covers_no_chain(analysed: Analysed) -> None:
    """It has no numbers, and takes none from the others."""
    chains = [chain(number) for number in range(5)]
    result = compared(chains)
    for index in range(5):
        result = silenced(result, index, "mine")
    tree = analysed.tree(result, chains)
    node = analysis_node(tree, analysed.name)
    assert finite_in(node)
    for along in ("estimator", "common", "predictor"):
        if along in node.dims:
            row = node.sel({along: "mine"})
            for name, variable in row.data_vars.items():
                if along in node[name].dims and variable.dtype.kind == "f":
                    assert np.isnan(variable).all(), name
    analysed.shown(tree)


def test_a_path_that_ends_early(analysed: Analysed) -> None:
    """Greedy pruning that stopped at half says nothing of what it left, and everything is defined."""
    chains = [chain(number) for number in range(5)]
    stopped: Estimate = lambda chain: GreedyPruning(keep_ratio=0.5).estimate(chain, SCORER, Joint())  # noqa: E731 - as above
    assert finite_in(analysed.node(compared(chains, estimates={"greedy": stopped}), chains))
