"""Fitting on some questions and predicting others, in turn: no unit is predicted by what saw its question."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tokimp.analysis.statistics.correlations import pooled_pearson
from tokimp.analysis.statistics.intervals import mean_interval
from tokimp.analysis.statistics.pooled import Resampling, percentile_interval
from tokimp.analysis.statistics.rank_measures import is_constant, pearson
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.questions import question_numbers
from tokimp_surrogate.fitted import Network
from tokimp_surrogate.regressors import Predict, Training, fit_mean, fit_network, fit_ridge

MODELS = ("mlp", "ridge", "position", "mean")
FEWEST_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Perceptron:
    """Parameters of `fit_network`."""

    hidden: tuple[int, ...]
    penalties: tuple[float, ...]
    epochs: int
    seed: int

    def fit(self, training: Training) -> Network:
        """Return a network fitted on these units."""
        return fit_network(training, hidden=self.hidden, penalties=self.penalties, epochs=self.epochs, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Examples:
    """Chains with features and a target, in an order that depends on their ids alone.

    Attributes
    ----------
    index
        Of each chain in the result.
    ids
        Of each chain.
    question
        The number of each chain's question, [chain], from 0, in the order of the chains.
    features
        For each chain, [unit with a target, feature], float32.
    target
        For each chain, [unit with a target].
    positions
        For each chain, what position alone says, [unit with a target, 4]: units before, units after, the former as a
        share of both, and the number of units.
    known
        For each chain, which units have a target, [unit].
    """

    index: tuple[int, ...]
    ids: tuple[str, ...]
    question: IntArray
    features: tuple[FloatArray, ...]
    target: tuple[FloatArray, ...]
    positions: tuple[FloatArray, ...]
    known: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        questions: Sequence[str],
        features: Sequence[FloatArray],
        target: Sequence[FloatArray],
        seed: int,
    ) -> Examples:
        """Return the chains that have a target, shuffled by a hash of seed and id: in whatever order they are given.

        `questions` are texts, of each chain's; `tokimp.chains.questions.question_numbers` says which are the same.
        """
        known = [~np.isnan(values) for values in target]
        chosen = [index for index in range(len(ids)) if known[index].any()]
        chosen.sort(key=lambda index: hashlib.sha256(f"{seed}\n{ids[index]}".encode()).digest())
        return cls(
            tuple(chosen),
            tuple(ids[index] for index in chosen),
            question_numbers([questions[index] for index in chosen], [ids[index] for index in chosen]),
            tuple(features[index][known[index]] for index in chosen),
            tuple(target[index][known[index]] for index in chosen),
            tuple(_positions(len(target[index]))[known[index]] for index in chosen),
            tuple(known[index] for index in chosen),
        )

    def __len__(self) -> int:
        """Return the number of chains."""
        return len(self.ids)

    def training(self, chains: Sequence[int], features: Sequence[FloatArray]) -> Training:
        """Return the units of some chains, with these features of all chains."""
        sizes = [len(self.target[chain]) for chain in chains]
        return Training(
            np.concatenate([features[chain] for chain in chains]),
            np.concatenate([self.target[chain] for chain in chains]),
            np.repeat(self.question[list(chains)], sizes),
        )


@dataclass(frozen=True, slots=True)
class Crossfit:
    """Held-out predictions, and what fitted them.

    Attributes
    ----------
    predictions
        For each of `MODELS`, for each chain, [unit with a target].
    fold
        In which each chain was held out, [chain].
    perceptrons
        What the perceptron of each fold predicts.
    """

    predictions: dict[str, list[FloatArray]]
    fold: IntArray
    perceptrons: tuple[Predict, ...]


def are_enough(n_questions: int, folds: int) -> bool:
    """Return whether so many questions can be parted so that models are always fitted on at least two."""
    parts = min(folds, n_questions)
    return n_questions >= FEWEST_QUESTIONS and n_questions - -(-n_questions // parts) >= 2


def crossfit(
    examples: Examples, folds: int, perceptron: Perceptron, report: Callable[[Sequence[str]], None] | None = None
) -> Crossfit:
    """Predict every chain by models fitted on chains of other questions; there are enough of these (`are_enough`).

    Chains of one question are never on both sides: several solutions of one problem have numbers, names and steps in
    common, so that what saw one has seen much of the others.

    Parameters
    ----------
    examples, folds
        Chains, and into how many parts their questions fall; a question each, if there are fewer.
    perceptron
        How it is fitted.
    report
        Called after each part with the ids of its chains.
    """
    n_chains = len(examples)
    parts = min(folds, int(examples.question.max()) + 1)
    fold = examples.question % parts
    predictions: dict[str, list[FloatArray]] = {model: [np.empty(0)] * n_chains for model in MODELS}
    perceptrons = []
    for number in range(parts):
        inside, outside = (np.flatnonzero(where).tolist() for where in (fold != number, fold == number))
        on_attention = examples.training(inside, examples.features)
        on_position = examples.training(inside, examples.positions)
        fitted = {
            "mlp": perceptron.fit(on_attention).predict,
            "ridge": fit_ridge(on_attention),
            "position": perceptron.fit(on_position).predict,
            "mean": fit_mean(on_attention),
        }
        perceptrons.append(fitted["mlp"])
        for model, predict in fitted.items():
            read = examples.positions if model == "position" else examples.features
            for chain in outside:
                predictions[model][chain] = predict(read[chain])
        if report is not None:
            report([examples.ids[chain] for chain in outside])
    return Crossfit(predictions, fold, tuple(perceptrons))


def group_drops(
    examples: Examples,
    fitted: Crossfit,
    groups: Sequence[Sequence[int]],
    *,
    permutations: int,
    resampling: Resampling,
    minimum_units: int,
) -> FloatArray:
    """Return the permutation importance of each group of features, on chains held out.

    The columns of a group are shuffled together, rows as a whole: among all units of a fold's held-out chains for the
    pooled correlation, among the units of each chain for the correlation within (Breiman 2001, "Random forests",
    section 10, with chains in the place of single cases). The fitted models stay as they are. The drop is the mean over
    `permutations`.

    Parameters
    ----------
    examples, fitted
        Of one target.
    groups
        Columns of each group.
    permutations
        Shuffles a group.
    resampling
        Of the chains, for the intervals; its seed also seeds the shuffles.
    minimum_units
        As for `tokimp.analysis.statistics.correlations.associate`.

    Returns
    -------
    FloatArray
        What Pearson's correlation loses, [(pooled, within), group, (value, low, high)].
    """
    values = np.full((2, len(groups), 3), np.nan)
    before = _pairs(examples, fitted.predictions["mlp"])
    if is_constant(np.concatenate(examples.target)):
        return values
    for at, columns in enumerate(groups):
        shuffled = [
            [_shuffled(examples, fitted, columns, resampling.seed, draw, within=within) for draw in range(permutations)]
            for within in (False, True)
        ]
        pooled = partial(_pooled_drop, before, [_pairs(examples, one) for one in shuffled[0]])
        values[0, at, 0] = pooled(np.ones((1, len(examples))))[0]
        values[0, at, 1:] = percentile_interval(pooled, len(examples), resampling)
        drops = _within(before, minimum_units) - np.mean(
            [_within(_pairs(examples, one), minimum_units, constant=0.0) for one in shuffled[1]], axis=0
        )
        interval = mean_interval(
            drops, confidence=resampling.confidence, n_resamples=resampling.n_resamples, seed=resampling.seed
        )
        values[1, at] = interval.mean, interval.low, interval.high
    return values


def _pairs(examples: Examples, predictions: Sequence[FloatArray]) -> list[tuple[FloatArray, FloatArray]]:
    return list(zip(examples.target, predictions, strict=True))


def _shuffled(
    examples: Examples, fitted: Crossfit, columns: Sequence[int], seed: int, draw: int, *, within: bool
) -> list[FloatArray]:
    """Return the perceptrons' predictions once some columns are shuffled, for each chain, [unit]."""
    found: list[FloatArray] = [np.empty(0)] * len(examples)
    generator = np.random.default_rng([seed, draw, *columns[:2], len(columns)])
    for number, predict in enumerate(fitted.perceptrons):
        chains = np.flatnonzero(fitted.fold == number).tolist()
        sizes = [len(examples.target[chain]) for chain in chains]
        ends = np.cumsum(sizes)
        features = np.concatenate([examples.features[chain] for chain in chains])
        if within:
            order = np.concatenate(
                [end - size + generator.permutation(size) for size, end in zip(sizes, ends, strict=True)]
            )
        else:
            order = generator.permutation(len(features))
        features[:, columns] = features[order][:, columns]
        for chain, part in zip(chains, np.split(predict(features), ends[:-1]), strict=True):
            found[chain] = part
    return found


def _pooled_drop(
    before: Sequence[tuple[FloatArray, FloatArray]],
    after: Sequence[Sequence[tuple[FloatArray, FloatArray]]],
    weights: FloatArray,
) -> FloatArray:
    drops: FloatArray = pooled_pearson(before, weights) - np.mean(
        [pooled_pearson(one, weights) for one in after], axis=0
    )
    return drops


def _within(pairs: Sequence[tuple[FloatArray, FloatArray]], minimum_units: int, constant: float = np.nan) -> FloatArray:
    """Return Pearson's correlation within each chain, [chain]; `constant` where the second quantity does not vary."""
    found = np.full(len(pairs), np.nan)
    for index, (a, b) in enumerate(pairs):
        if len(a) >= minimum_units and not is_constant(a):
            found[index] = constant if is_constant(b) else pearson(a, b)
    return found


def _positions(n_units: int) -> FloatArray:
    before = np.arange(n_units)
    after = n_units - 1 - before
    share = before / max(1, n_units - 1)
    return np.stack([before, after, share, np.full(n_units, n_units)], axis=1).astype(np.float32)
