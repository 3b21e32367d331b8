"""The conditions under which an audit runs estimators again, each with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokimp.audit.changed_chains import (
    UnitTexts,
    with_one_word_respelled,
    with_other_answers,
    with_paraphrased_questions,
)
from tokimp.audit.settings import AuditSettings
from tokimp.chains.chain import Chain
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.models.random_weights import cuts

SANITY, STABILITY = "sanity", "stability"
OTHER_ANSWER = "other answer"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing changed.

    Attributes
    ----------
    name
        What it is called in tables: ``weights: head+2``, ``seed 1``.
    part
        ``sanity``: the ranking should change; ``stability``: it should not.
    chains
        The chains to rank.
    estimators
        The estimators, in the order of the audit's.
    scorer
        Options of `tokimp.load_scorer` that differ from the audit's.
    seed
        The seed of the run.
    """

    name: str
    part: str
    chains: Sequence[Chain]
    estimators: Sequence[ImportanceEstimator]
    scorer: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def folder(self) -> str:
        """The name of the run's folder."""
        return "".join(character if character.isalnum() else "-" for character in self.name)


def conditions(
    settings: AuditSettings,
    chains: Sequence[Chain],
    estimators: Sequence[ImportanceEstimator],
    *,
    n_blocks: int,
    dtype: str,
    units: UnitTexts,
) -> list[Condition]:
    """Return the conditions of an audit.

    Parameters
    ----------
    settings
        The audit's settings.
    chains
        Its chains, of which the first `changed_chains` are used.
    estimators
        Its estimators.
    n_blocks
        How many blocks the model has; 0 if it cannot be given random weights.
    dtype
        The precision of the model, as results store it.
    units
        Where each unit of a chain is, in characters.
    """
    first, seed = list(chains[: settings.changed_chains]), settings.seed
    other_dtype = "bfloat16" if dtype != "bfloat16" else "float32"
    cascade = cuts(n_blocks, settings.cuts, seed) if n_blocks else []
    planned = [
        *(
            Condition(f"weights: {cut}", SANITY, first, estimators, {"random_weights": str(cut)}, seed)
            for cut in cascade
        ),
        Condition(OTHER_ANSWER, SANITY, with_other_answers(first, seed), estimators, {}, seed),
        *(
            Condition(f"seed {seed + step}", STABILITY, first, [reseeded(e, step) for e in estimators], {}, seed + step)
            for step in range(1, settings.seeds + 1)
        ),
        Condition(other_dtype, STABILITY, first, estimators, {"dtype": other_dtype}, seed),
        Condition("paraphrase", STABILITY, with_paraphrased_questions(first, seed), estimators, {}, seed),
        Condition("spelling", STABILITY, with_one_word_respelled(first, units, seed), estimators, {}, seed),
    ]
    return [condition for condition in planned if condition.chains]


def reseeded(estimator: ImportanceEstimator, step: int) -> ImportanceEstimator:
    """Return an estimator with another seed, if it has a parameter of this name; else the estimator itself."""
    parameters = estimator.parameters()
    seed = parameters.get("seed", "none")
    if isinstance(seed, str) or not isinstance(seed, int | np.integer | None):
        return estimator
    return type(estimator)(**{**parameters, "seed": int(seed or 0) + step})
