"""A whole small run that analyses can be tried on: chains with everything that chains can have, and their result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import Scorer
from tokimp.results.effects_node import add_effects, read_effects
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

_LETTERS = "abcdefgh"


def toy_run_scorer() -> AdditiveScorer:
    """Return the scorer of `toy_run`, for which the letters from a to h differ in what they contribute."""
    return AdditiveScorer({letter: 0.37 * index - 1.1 for index, letter in enumerate(_LETTERS)})


def toy_run_chains(count: int = 6, length: int = 10) -> list[TokenizedChain]:
    """Return chains of random letters, each with categories, filler (every second letter), a wrong and a right answer.

    Parameters
    ----------
    count
        How many chains.
    length
        Letters of reasoning, each a token and a unit.
    """
    chains = []
    for number in range(count):
        generator = np.random.default_rng(number)
        text = "".join(generator.choice(list(_LETTERS), length))
        chain = toy_chain(text, id=f"chain-{number}", question=str(number), answer="#### 7", wrong_answer="#### 8")
        category = tuple(
            CategorySpan(start, start + 1, str(label))
            for start, label in enumerate(generator.choice(["symbolic_math", "grammar", "entity_name"], length))
        )
        filler = tuple((start, start + 1) for start in range(1, length, 2))
        chains.append(replace(chain, chain=replace(chain.chain, category=category, filler=filler, gold="7")))
    return chains


def toy_run(chains: list[TokenizedChain], scorer: Scorer) -> xr.DataTree:
    """Return the result of three estimators: ``in_sequence`` (it deletes), ``position`` and ``mine``.

    Those of the last are random. It and ``position`` also say what units do to each other.

    Parameters
    ----------
    chains
        The chains they are run on.
    scorer
        The scorer whose numbers the result records; it has the capability DELETIONS.
    """
    importances: dict[str, list[Importance]] = {
        "in_sequence": [_in_sequence(chain, scorer) for chain in chains],
        "position": [_position(len(chain.units)) for chain in chains],
        "mine": [_random(chain) for chain in chains],
    }
    return toy_result(importances, chains, scorer)


def _position(n_units: int) -> Importance:
    effects = np.triu(np.ones((n_units, n_units)), k=1)
    return Importance(np.arange(n_units, dtype=np.float64), effects=effects, effects_on_answer=np.ones(n_units))


def _random(chain: TokenizedChain) -> Importance:
    generator, n_units = np.random.default_rng([7, *chain.reasoning_ids]), len(chain.units)
    scores = generator.normal(size=n_units)
    effects = np.triu(generator.normal(size=(n_units, n_units)), k=1)
    return Importance(scores, effects=effects, effects_on_answer=generator.normal(size=n_units))


def _in_sequence(chain: TokenizedChain, scorer: Scorer) -> Importance:
    """Delete the units one by one, the one with the lowest id first, and record the path."""
    order = np.argsort(np.argsort([chain.reasoning_ids[unit[0]] for unit in chain.units], kind="stable"))
    gone = [
        sorted(position for unit, at in zip(chain.units, order, strict=True) if at <= step for position in unit)
        for step in range(len(order))
    ]
    scores = scorer.score_deletions(chain, range(len(chain.reasoning_ids)), gone, Joint())
    trajectory = Trajectory(scores.reasoning + scores.answer, scores.answer, scores.reasoning)
    return Importance(order.astype(np.float64), order, trajectory)


def without_cell(result: xr.DataTree, chain: int, label: str) -> xr.DataTree:
    """Return a result in which an estimator says nothing about a chain, as if that cell had failed.

    Parameters
    ----------
    result
        A result; it is not changed.
    chain
        The chain's index.
    label
        The estimator's label.
    """
    dataset = result.to_dataset().copy(deep=True)
    row = dataset["estimator"].to_numpy().tolist().index(label)
    tokens = dataset["chain_index"].to_numpy() == chain
    for name in ("importance", "loglik_joint", "loglik_answer", "loglik_reasoning"):
        dataset[name][row, tokens] = np.nan
    dataset["rank"][row, tokens] = -1
    dataset["seconds"][row, chain], dataset["tokens_forwarded"][row, chain] = np.nan, -1
    left = xr.DataTree(dataset)
    gone = (label, dataset["chain_id"].to_numpy()[chain])
    add_effects(left, {key: effects for key, effects in read_effects(result).items() if key != gone})
    return left
