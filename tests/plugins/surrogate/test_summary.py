"""The node of the surrogate analysis, of predictions that are written down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from tokimp_surrogate import summary
from tokimp_surrogate.crossfit import MODELS, Crossfit, Examples
from tokimp_surrogate.targets import Target

from tests.plugins.surrogate.small_runs import SHARES, chains, compared, no_words
from tokimp.chains.arrays import FloatArray
from tokimp.testing.toy_scorer import AdditiveScorer


def test_what_attention_adds_reaches_from_minus_2_to_2() -> None:
    """Where both predict almost as the target is and ids the other way round, the interval of two chains ends at 2."""
    tokenized = chains(2)
    result = compared(tokenized, AdditiveScorer(SHARES), "leave_one_out")
    generator = np.random.default_rng(0)
    values = [generator.normal(size=len(chain.units)) for chain in tokenized]
    nearly = [
        value + noise * generator.normal(size=len(value)) for value, noise in zip(values, (0.1, 0.4), strict=True)
    ]
    opposite = [-value for value in values]
    targets = [Target(name, 1, tuple(values)) for name in ("importance:adds", "importance:takes")]
    examples = Examples.of(
        [chain.chain.id for chain in tokenized],
        [chain.chain.question for chain in tokenized],
        [np.zeros((len(value), 1), dtype=np.float32) for value in values],
        values,
        0,
        words=[no_words(len(value)) for value in values],
    )

    def fitted(both: list[Any], lexical: list[Any]) -> Crossfit:
        predictions: dict[str, list[FloatArray]] = {
            model: [np.zeros(len(value)) for value in values] for model in MODELS
        }
        written = {"both": both, "lexical": lexical}
        predictions |= {name: [rows[chain] for chain in examples.index] for name, rows in written.items()}
        return Crossfit(predictions, np.array([0, 1]), ())

    node = summary.summarise(
        result,
        targets,
        {target.name: examples for target in targets},
        {targets[0].name: fitted(nearly, opposite), targets[1].name: fitted(opposite, nearly)},
        space=cast("Any", SimpleNamespace(layers=1, heads=1, names=())),
        testing=summary.Testing(permutations=0, minimum_units=5, confidence=0.95, seed=0),
    )
    for target, sign, end in ((targets[0].name, 1, "high"), (targets[1].name, -1, "low")):
        mean, bound = (float(node[f"attention_adds_{part}"].sel(target=target)) for part in ("mean", end))
        assert 1.8 < sign * mean < 2
        assert bound == sign * 2
