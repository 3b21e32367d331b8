"""The regressions of the surrogate analysis: multilayer perceptron, ridge and mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp_surrogate.fitted_surrogate import Network

RIDGE_PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10000.0)
_PATIENCE = 20
# Rounding error of float32 attention, relative to a feature's size. It must be relative: weights on one unit of a long
# chain are of the order of 1e-5, and their differences are smaller than the rounding error of a weight near 1.
_ROUNDING = 1e-6
_LEAST_SCALE = 1e-8
_VALIDATION = 5  # one in five training questions is held out to choose penalty and epochs

Predict = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Training:
    """The units on which a regression is fitted.

    Attributes
    ----------
    features
        [unit, feature], float32.
    target
        [unit], float64.
    question
        Number of the question that each unit's chain answers, [unit].
    """

    features: FloatArray
    target: FloatArray
    question: IntArray

    def of_units(self, chosen: npt.NDArray[np.bool_]) -> Training:
        """Return the units for which `chosen`, [unit], is true."""
        return Training(self.features[chosen], self.target[chosen], self.question[chosen])

    def held_out(self) -> npt.NDArray[np.bool_]:
        """Return which units are held out to choose penalties and epochs, [unit]: all those of one question in five."""
        numbers = np.unique(self.question)
        return np.isin(self.question, numbers[:: max(2, min(_VALIDATION, len(numbers)))])


@dataclass(frozen=True, slots=True)
class Scaling:
    """How features and target are standardised, from the units that are fitted on.

    Attributes
    ----------
    low, high
        Least and greatest value of each feature, [feature]; features are clipped to them, since the regression knows
        nothing about values beyond them.
    center, scale
        Mean and standard deviation of each feature, [feature]; the scale is 1 where a feature varies only by rounding.
    target_center, target_scale
        Mean and standard deviation of the target; the scale is 1 where it does not vary.
    """

    low: FloatArray
    high: FloatArray
    center: FloatArray
    scale: FloatArray
    target_center: float
    target_scale: float

    @classmethod
    def of(cls, training: Training) -> Scaling:
        """Return the scaling of some units."""
        features, target = training.features, training.target
        center = features.mean(axis=0, dtype=np.float64)
        scale = features.std(axis=0, dtype=np.float64)
        spread = float(target.std())
        low, high = features.min(axis=0), features.max(axis=0)
        rounding = np.maximum(_LEAST_SCALE, _ROUNDING * np.maximum(np.abs(low), np.abs(high)))
        return cls(
            low,
            high,
            center.astype(np.float32),
            np.where(scale > rounding, scale, 1.0).astype(np.float32),
            float(target.mean()),
            spread if spread > 1e-12 else 1.0,
        )

    def features(self, features: FloatArray) -> FloatArray:
        """Return features, [unit, feature], float32, clipped to the range of training and standardised."""
        scaled: FloatArray = (np.clip(features, self.low, self.high) - self.center) / self.scale
        return scaled

    def target(self, target: FloatArray) -> FloatArray:
        """Return standardised targets, [unit], float32."""
        scaled: FloatArray = ((target - self.target_center) / self.target_scale).astype(np.float32)
        return scaled


def fit_mean(training: Training) -> Predict:
    """Return a function that predicts the mean of the training units for every unit."""
    mean = float(training.target.mean())
    return lambda features: np.full(len(features), mean)


def fit_ridge(training: Training) -> Predict:
    """Return the prediction function of a ridge regression.

    Its penalty is the one of `RIDGE_PENALTIES` that does best on training questions held out. With this penalty the
    regression is fitted on all training units.
    """
    outside = training.held_out()
    inside = training.of_units(~outside)
    errors = []
    for penalty in RIDGE_PENALTIES:
        predict = _fit_ridge(inside, penalty)
        errors.append(float(np.square(predict(training.features[outside]) - training.target[outside]).mean()))
    return _fit_ridge(training, RIDGE_PENALTIES[int(np.argmin(errors))])


def _fit_ridge(training: Training, penalty: float) -> Predict:
    scaling = Scaling.of(training)
    ridge = Ridge(alpha=penalty).fit(scaling.features(training.features), scaling.target(training.target))

    def predict(features: FloatArray) -> FloatArray:
        standardised: FloatArray = ridge.predict(scaling.features(features)).astype(np.float64)
        return standardised * scaling.target_scale + scaling.target_center

    return predict


def fit_network(
    training: Training, *, hidden: Sequence[int], penalties: Sequence[float], epochs: int, seed: int
) -> Network:
    """Return a perceptron, with penalty and number of epochs that do best on training questions held out.

    With this penalty and number of epochs it is trained on all training units.

    Parameters
    ----------
    training
        Units of at least two questions.
    hidden
        Width of each hidden layer; one hidden layer makes a network of two layers of weights.
    penalties
        Penalties of the squared weights (scikit-learn's ``alpha``) to choose from.
    epochs
        The most epochs. The search for the best number stops after 20 epochs in a row without an improvement.
    seed
        Seed of the weights and of the order of the units.
    """
    # Batches are small, so more threads save little on idle cores, and take several times as long on busy ones.
    with threadpool_limits(1, user_api="blas"):
        tried = [(_search(training, hidden, penalty, epochs, seed), penalty) for penalty in penalties]
        (_, best), penalty = min(tried)
        scaling = Scaling.of(training)
        trained = _perceptron(hidden, penalty, seed, len(training.target))
        features, target = scaling.features(training.features), scaling.target(training.target)
        for _ in range(best):
            trained.partial_fit(features, target)
    return network_of(trained, scaling)


def _search(training: Training, hidden: Sequence[int], penalty: float, epochs: int, seed: int) -> tuple[float, int]:
    """Return the least mean squared error on training questions held out, and the epoch at which it was reached."""
    outside = training.held_out()
    inside = training.of_units(~outside)
    scaling = Scaling.of(inside)
    seen, wanted = scaling.features(training.features[outside]), scaling.target(training.target[outside])
    features, target = scaling.features(inside.features), scaling.target(inside.target)
    trained = _perceptron(hidden, penalty, seed, len(target))
    least, best = np.inf, 1
    for epoch in range(1, epochs + 1):
        trained.partial_fit(features, target)
        error = float(np.square(trained.predict(seen) - wanted).mean())
        if error < least:
            least, best = error, epoch
        if epoch - best >= _PATIENCE:
            break
    return least, best


def _perceptron(hidden: Sequence[int], penalty: float, seed: int, n_units: int) -> MLPRegressor:
    # About 20 steps an epoch where there are few units; with many units, batches of 200 and so more steps.
    batch = min(n_units, max(16, min(200, n_units // 20)))
    return MLPRegressor(hidden_layer_sizes=tuple(hidden), alpha=penalty, batch_size=batch, random_state=seed)


def network_of(trained: MLPRegressor, scaling: Scaling) -> Network:
    """Return a perceptron trained by scikit-learn as plain arrays, with the scaling it was trained in."""
    return Network(
        scaling.low,
        scaling.high,
        scaling.center,
        scaling.scale,
        tuple(np.asarray(weight, dtype=np.float32) for weight in trained.coefs_),
        tuple(np.asarray(bias, dtype=np.float32) for bias in trained.intercepts_),
        scaling.target_center,
        scaling.target_scale,
    )
