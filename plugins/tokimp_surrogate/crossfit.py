"""Cross-fitting: every chain is predicted by models that were fitted on chains of other questions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.questions import question_numbers
from tokimp_surrogate.fitted_surrogate import Network
from tokimp_surrogate.lexical import Words, fit_lexical
from tokimp_surrogate.regressors import Predict, Training, fit_mean, fit_network, fit_ridge

MODELS = ("mlp", "ridge", "lexical", "both", "position", "mean")
FEWEST_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Perceptron:
    """How a perceptron is fitted: the parameters of `tokimp_surrogate.regressors.fit_network`."""

    hidden: tuple[int, ...]
    penalties: tuple[float, ...]
    epochs: int
    seed: int

    def fit(self, training: Training) -> Network:
        """Return a network fitted on some units."""
        return fit_network(training, hidden=self.hidden, penalties=self.penalties, epochs=self.epochs, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Examples:
    """Chains with features and one target, in an order that depends only on their ids and a seed.

    Attributes
    ----------
    index
        Place of each chain in the result.
    ids
        Id of each chain.
    question
        Number of each chain's question, [chain], from 0, in the order of the chains.
    features
        Attention features of each chain, [unit with a target, feature], float32.
    target
        Target of each chain, [unit with a target].
    positions
        Position features of each chain, [unit with a target, 4]: the number of units before and after the unit, the
        former as a share of both, and the number of units in the chain.
    known
        Which units of each chain have a target, [unit].
    words
        Words of the units of each chain that have a target.
    """

    index: tuple[int, ...]
    ids: tuple[str, ...]
    question: IntArray
    features: tuple[FloatArray, ...]
    target: tuple[FloatArray, ...]
    positions: tuple[FloatArray, ...]
    known: tuple[np.ndarray, ...]
    words: tuple[Words, ...]

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        questions: Sequence[str],
        features: Sequence[FloatArray],
        target: Sequence[FloatArray],
        seed: int,
        *,
        words: Sequence[Words],
    ) -> Examples:
        """Return the chains that have a target, shuffled by a hash of seed and id.

        Parameters
        ----------
        ids, questions
            Id of each chain, and the text of its question; `tokimp.chains.questions.question_numbers` decides which
            questions are the same.
        features
            Features of each chain, [unit, feature].
        target
            Target of each chain, [unit]; NaN where it is not known.
        seed
            Seed of the order.
        words
            Words of each chain's units.
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
            tuple(words[index].of_units(known[index]) for index in chosen),
        )

    def __len__(self) -> int:
        """Return the number of chains."""
        return len(self.ids)

    def training(self, chains: Sequence[int], features: Sequence[FloatArray]) -> Training:
        """Return the units of some chains, with the given features, of which there is an array for every chain."""
        sizes = [len(self.target[chain]) for chain in chains]
        return Training(
            np.concatenate([features[chain] for chain in chains]),
            np.concatenate([self.target[chain] for chain in chains]),
            np.repeat(self.question[list(chains)], sizes),
        )


@dataclass(frozen=True, slots=True)
class Crossfit:
    """Held-out predictions, and the perceptrons that made them.

    Attributes
    ----------
    predictions
        Predictions of each of `MODELS` for each chain, [unit with a target].
    fold
        Fold in which each chain was held out, [chain].
    perceptrons
        The prediction function of each fold's perceptron on attention.
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
    """Predict every chain by models fitted on chains of other questions.

    Chains of one question are never on both sides: several solutions of one problem have numbers, names and steps in
    common, so a model that saw one of them has seen much of the others.

    Parameters
    ----------
    examples
        Chains of enough questions (`are_enough`).
    folds
        Number of parts into which the questions are divided; if there are fewer questions, each is a part.
    perceptron
        How the perceptron is fitted.
    report
        Called after each fold with the ids of its held-out chains.
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
        words = [examples.words[chain] for chain in inside]
        with_words = {
            "lexical": fit_lexical(words, on_attention),
            "both": fit_lexical(words, on_attention, with_attention=True),
        }
        fitted = {
            "mlp": perceptron.fit(on_attention).predict,
            "ridge": fit_ridge(on_attention),
            "position": perceptron.fit(on_position).predict,
            "mean": fit_mean(on_attention),
        }
        perceptrons.append(fitted["mlp"])
        for model, predict in fitted.items():
            features = examples.positions if model == "position" else examples.features
            for chain in outside:
                predictions[model][chain] = predict(features[chain])
        for model, predict_words in with_words.items():
            for chain in outside:
                predictions[model][chain] = predict_words(examples.words[chain], examples.features[chain])
        if report is not None:
            report([examples.ids[chain] for chain in outside])
    return Crossfit(predictions, fold, tuple(perceptrons))


def _positions(n_units: int) -> FloatArray:
    """Return the position features of a chain's units, [unit, 4], as `Examples.positions` describes them."""
    units_before = np.arange(n_units)
    units_after = n_units - 1 - units_before
    share = units_before / max(1, n_units - 1)
    return np.stack([units_before, units_after, share, np.full(n_units, n_units)], axis=1).astype(np.float32)
