"""Small runs on which surrogates are fitted: chains of a scorer whose importances are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from tokimp_surrogate.lexical import Words

import tokimp as ti
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

LETTERS = "abcdefgh"
SHARES = {letter: 0.25 * index - 1.0 for index, letter in enumerate(LETTERS)}
QUICK: dict[str, Any] = {
    "epochs": 40,
    "penalties": [1.0],
    "hidden": [8],
    "permutations": 1,
    "folds": 3,
}
LOO = "importance:leave_one_out"


def chains(count: int = 9) -> list[TokenizedChain]:
    """Return chains of the same letters, twice each, in random order: all are as likely as a whole."""
    generator = np.random.default_rng(0)
    return [
        toy_chain("".join(generator.permutation(list(2 * LETTERS))), id=f"c{i}", question=f"{i}") for i in range(count)
    ]


def compared(tokenized: list[TokenizedChain], scorer: AdditiveScorer, *names: str) -> xr.DataTree:
    """Return what estimators say of the chains, the answer being what is preserved."""
    estimators = [ti.load_estimator(name) for name in names or ("leave_one_out", "greedy")]
    importances = {
        estimator.label: [estimator.estimate(chain, scorer, Answer()) for chain in tokenized]
        for estimator in estimators
    }
    return toy_result(importances, tokenized, scorer, objective="answer")


def analysed(result: xr.DataTree, tokenized: list[TokenizedChain], scorer: AdditiveScorer, **more: Any) -> xr.Dataset:
    """Return the node of the analysis, quickly made."""
    tree = ti.analyze(result, "surrogate", scorer=scorer, chains=tokenized, **{**QUICK, **more})
    return analysis_node(tree, "surrogate")


def correlation(node: xr.Dataset, target: str, model: str = "mlp", **where: Any) -> float:
    """Return one correlation."""
    chosen = {"measure": "pearson", "scope": "within", "partial": True, **where}
    return float(node["correlation"].sel(target=target, model=model, **chosen))


def siblings(count: int = 4, of_each: int = 3) -> list[TokenizedChain]:
    """Return several chains of each of some questions, in random order; they differ in white space."""
    tokenized = chains(count * of_each)
    made = [
        replace(each, chain=replace(each.chain, question=f"What is {i % count}" + " " * (i // count)))
        for i, each in enumerate(tokenized)
    ]
    return [made[i] for i in np.random.default_rng(2).permutation(len(made))]


def no_words(n_units: int) -> Words:
    """Return units that all have the same ids, from which nothing can be predicted."""
    return Words(((0,),) * n_units, (0,) * n_units, (0,) * n_units)
