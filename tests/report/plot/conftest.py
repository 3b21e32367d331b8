"""A result of twelve estimators with long names, and every analysis that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.contracts.estimator import Importance
from tokimp.contracts.scorer import Capability
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

LABELS = (
    *("greedy", "leave_one_out", "attention:query=last,layers=8-16", "gradient", "surprisal", "position"),
    *("attention_knockout", "information_flow", "value_zeroing:layers=last", "h2o", "snapkv:window=16", "cost_in_$5$"),
)
LETTERS = "abcdefgh"


class Writer(AdditiveScorer):
    """Adds shares, and writes an answer that depends on what it reads."""

    capabilities = frozenset(Capability)

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """Return one text a prompt."""
        return [["7" if "h" in self.tokenizer.decode(prompt) else "3"] for prompt in prompts]


SCORER = Writer({letter: 0.37 * index - 1.1 for index, letter in enumerate(LETTERS)})


def make_chain(number: int, length: int = 12) -> TokenizedChain:
    """Return a chain of random letters of three categories, some of them filler."""
    generator = np.random.default_rng(number)
    text = "".join(generator.choice(list(LETTERS), length))
    made = toy_chain(text, id=f"c{number}", question=f"What costs ${number}$?", answer="#### 7")
    labels = generator.choice(["symbolic_math", "grammar", "entity_name"], length).tolist()
    spans = tuple(CategorySpan(place, place + 1, label) for place, label in enumerate(labels))
    filler = tuple((place, place + 1) for place in range(0, length, 3))
    kinds = tuple(("filler", "repeated_step")[index % 2] for index in range(len(filler)))
    return replace(made, chain=replace(made.chain, category=spans, gold="7", filler=filler, filler_kinds=kinds))


def estimated(label: str, chain: TokenizedChain, number: int) -> Importance:
    """Return importances at random; of greedy pruning, its own, since the dynamics follow it."""
    n_units = len(chain.units)
    if label == "greedy":
        return ti.load_estimator("greedy").estimate(chain, SCORER, ti.load_objective("joint"))
    if label == "position":
        return Importance(np.arange(n_units, dtype=float))
    generator = np.random.default_rng([number, sum(map(ord, label))])
    effects = np.triu(generator.normal(size=(n_units, n_units)), k=1) if label == "leave_one_out" else None
    on_answer = None if effects is None else generator.normal(size=n_units)
    return Importance(generator.normal(size=n_units), effects=effects, effects_on_answer=on_answer)


def make_result(labels: Sequence[str], n_chains: int = 6, length: int = 12) -> xr.DataTree:
    """Return a result of some estimators."""
    chains = [make_chain(number, length) for number in range(n_chains)]
    rows = {label: [estimated(label, chain, number) for number, chain in enumerate(chains)] for label in labels}
    return toy_result(rows, chains, SCORER)


def analysed(labels: Sequence[str], *names: str, n_chains: int = 6) -> xr.DataTree:
    """Return a result of some estimators with some analyses."""
    result = make_result(labels, n_chains)
    chains = [make_chain(number) for number in range(n_chains)]
    options: dict[str, dict[str, Any]] = {
        "answer_recovery": {"n_uniform": 2, "keep_ratios": [0.2, 0.5, 1.0]},
        "dynamics": {"draws": 2, "context_ratios": [1.0, 0.5], "next_units": [2, 5]},
        "faithfulness": {"n_uniform": 2, "keep_ratios": [0.0, 0.5, 1.0]},
        "agreement_within": {"minimum_units": 3},
    }
    asking = {"answer_recovery", "dynamics", "faithfulness"}
    for name in names:
        model: dict[str, Any] = {"scorer": SCORER, "chains": chains} if name in asking else {}
        result = ti.analyze(result, name, **model, **options.get(name, {}))
    return result


ALL = (
    *("agreement", "agreement_within", "answer_recovery", "dynamics", "effects", "faithfulness", "planted"),
    "structure",
)


@pytest.fixture(scope="session")
def many() -> xr.DataTree:
    """Return a result of twelve estimators with every analysis that is drawn."""
    return analysed(LABELS, *ALL)


@pytest.fixture(scope="session")
def make() -> Callable[..., xr.DataTree]:
    """Return the function that makes a result of some estimators with some analyses."""
    return analysed
