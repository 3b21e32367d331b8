"""Fitted surrogates: their forward pass is scikit-learn's; their file gives back what was written, or says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.neural_network import MLPRegressor
from tokimp_surrogate.features import KINDS, FeatureSpace
from tokimp_surrogate.fitted_surrogate import FittedSurrogate, SurrogateHeader, load_surrogate, save_surrogate
from tokimp_surrogate.regressors import Scaling, Training, fit_network, network_of

from tokimp.errors import EstimatorError

SPACE = FeatureSpace(1, 2)
HEADER = SurrogateHeader(
    target="importance:leave_one_out",
    sign=1,
    objective="joint",
    unit="token",
    layers=1,
    heads=2,
    per_head=True,
    kinds=KINDS,
    model_id="toy",
    model_fingerprint="abc",
    prompt_format="plain",
    chains=4,
    units=40,
    versions={"tokimp": "0"},
)


def training(n_units: int = 40, n_features: int = len(SPACE.names), seed: int = 0) -> Training:
    """Return units of four chains whose target is a function of their features, at a level far from zero."""
    generator = np.random.default_rng(seed)
    features = (generator.normal(size=(n_units, n_features)) * 3 + 5).astype(np.float32)
    target = features[:, 0] * 2.0 - np.abs(features[:, 1]) - 90.0
    return Training(features, target.astype(np.float64), np.arange(n_units) * 4 // n_units)


def surrogate() -> FittedSurrogate:
    """Return a small surrogate."""
    return FittedSurrogate(HEADER, fit_network(training(), hidden=[5], penalties=[1.0], epochs=5, seed=0))


@settings(max_examples=10, deadline=None)
@given(hidden=st.lists(st.integers(1, 6), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_the_forward_pass_is_scikit_learns(hidden: list[int], seed: int) -> None:
    """Plain matrix products on the saved arrays give what scikit-learn predicts, for any number of layers."""
    units = training(seed=seed)
    scaling = Scaling.of(units)
    trained = MLPRegressor(hidden_layer_sizes=hidden, random_state=seed)
    for _ in range(3):
        trained.partial_fit(scaling.features(units.features), scaling.target(units.target))
    expected = trained.predict(scaling.features(units.features)) * scaling.target_scale + scaling.target_center
    np.testing.assert_allclose(network_of(trained, scaling).predict(units.features), expected, rtol=1e-5)


def test_a_surrogate_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Header and predictions are the same after a round trip, to the last bit; an old file is replaced.

    They are so beyond the features that it was fitted on, too.
    """
    path, written = tmp_path / "a.safetensors", surrogate()
    path.write_bytes(b"old")
    save_surrogate(written, path)
    read = load_surrogate(path)
    assert read.header == HEADER
    for features in (training().features, training(seed=1).features * np.float32(100)):
        np.testing.assert_array_equal(read.importance(features), written.importance(features))
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_sign_says_what_counts_as_important() -> None:
    """Of a likelihood that is left, more means less important."""
    one, features = surrogate(), training().features
    other = FittedSurrogate(replace(HEADER, sign=-1), one.network)
    np.testing.assert_array_equal(one.importance(features), -other.importance(features))


def test_features_that_do_not_vary_are_no_trouble() -> None:
    """A constant feature or target is divided by 1, and predictions stay finite."""
    units = training()
    units.features[:, 3] = 7
    constant = Training(units.features, np.full(len(units.target), 2.5), units.question)
    predicted = fit_network(constant, hidden=[3], penalties=[1.0], epochs=3, seed=0).predict(units.features)
    assert np.isfinite(predicted).all()


def test_features_beyond_the_training_units_are_read_as_the_nearest_that_was_seen() -> None:
    """However far a feature goes, the prediction is that at the end of its range; within it nothing is changed."""
    units, network = training(), surrogate().network
    low, high = units.features.min(axis=0), units.features.max(axis=0)
    np.testing.assert_array_equal(
        network.predict(np.stack([low - 1e6, high + 1e6])), network.predict(np.stack([low, high]))
    )
    one, other = network.predict(np.stack([(low + high) / 2, (low + high) / 2 + 0.1]))
    assert one != other


def test_a_file_without_ranges_is_refused(tmp_path: Path) -> None:
    """What was written before features were clipped would predict something else: the message says to fit it again."""
    path = tmp_path / "a.safetensors"
    save_surrogate(surrogate(), path)
    header = {**_header(path), "format": "tokimp surrogate 1"}
    arrays = {name: array for name, array in load_file(path).items() if name not in {"low", "high"}}
    save_file(arrays, path, metadata={"tokimp_surrogate": json.dumps(header)})
    with pytest.raises(EstimatorError, match=r"format 'tokimp surrogate 1', here 'tokimp surrogate 2'\); fit it again"):
        load_surrogate(path)


def test_a_range_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    """Clipped to ends that are the wrong way round, every value would be the same."""
    path = tmp_path / "a.safetensors"
    save_surrogate(surrogate(), path)
    arrays, header = load_file(path), _header(path)
    arrays["low"], arrays["high"] = arrays["high"], arrays["low"]
    save_file(arrays, path, metadata={"tokimp_surrogate": json.dumps(header)})
    with pytest.raises(EstimatorError, match="least value of a feature is above its greatest"):
        load_surrogate(path)


def test_files_that_are_no_surrogate_are_refused(tmp_path: Path) -> None:
    """Missing, damaged, foreign, of another format, cut short, or not finite: each says so and names the file."""
    path = tmp_path / "a.safetensors"
    with pytest.raises(EstimatorError, match=r"no such file; fit a surrogate with 'tokimp analyze"):
        load_surrogate(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(EstimatorError, match=r"a\.safetensors is damaged"):
        load_surrogate(path)
    save_file({"x": np.zeros(1, dtype=np.float32)}, path)
    with pytest.raises(EstimatorError, match="is no surrogate that this tokimp reads"):
        load_surrogate(path)
    save_surrogate(surrogate(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(EstimatorError, match="is damaged"):
        load_surrogate(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 2}, "arrays do not fit its 36 features"),
        ({"kinds": ["from_answer"]}, "its features are from_answer"),
        ({"sign": 0}, "no sign"),
        ({"depth": 5}, "weight.2"),
        ({"colour": "red"}, "colour"),
        ({"format": "tokimp surrogate 9"}, "format 'tokimp surrogate 9'"),
    ],
)
def test_headers_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """A header that contradicts the arrays is an error, not a prediction."""
    path = tmp_path / "a.safetensors"
    save_surrogate(surrogate(), path)
    header = {**_header(path), **change}
    save_file(load_file(path), path, metadata={"tokimp_surrogate": json.dumps(header)})
    with pytest.raises(EstimatorError, match=message):
        load_surrogate(path)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """NaN in a weight would make every importance NaN."""
    path = tmp_path / "a.safetensors"
    save_surrogate(surrogate(), path)
    arrays, header = load_file(path), _header(path)
    arrays["bias.0"][0] = np.nan
    save_file(arrays, path, metadata={"tokimp_surrogate": json.dumps(header)})
    with pytest.raises(EstimatorError, match="not finite"):
        load_surrogate(path)


def _header(path: Path) -> dict[str, object]:
    """Return the JSON header of a file, read without the code that is tested."""
    size = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    header: dict[str, object] = json.loads(metadata["tokimp_surrogate"])
    return header
