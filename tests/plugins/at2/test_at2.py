"""AT2: features, ablations, the fit of head weights, their file, the estimator and the analysis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokimp_at2.ablations import ablated_log_odds, draw_masks, head_features, log_odds
from tokimp_at2.analysis import At2
from tokimp_at2.estimator import AT2
from tokimp_at2.fitting import Example, are_enough, correlation, fit_weights, folds_of, uniform_weights
from tokimp_at2.head_weights import HeadWeights, load_weights, save_weights
from tokimp_attention import Attention

import tokimp as ti
from tokimp.contracts.objective import Joint
from tokimp.errors import AnalysisError, EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention
from tokimp.testing.toy_result import toy_result

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}
FITTED = HeadWeights(np.array([[0.5, -0.25], [0.25, 0.0]]), "m", "", "token", "plain", "knockout", 3, 8, {})


@pytest.mark.parametrize("unit", ["token", "word"])
def test_with_one_weight_for_all_it_is_attention_from_the_answer(unit: str) -> None:
    """Uniform weights give ``attention:query=answer``, the mean over layers and heads."""
    chain, scorer = toy_chain("ab cd", unit=unit, answer="xy"), AdditiveScorer(SHARES)
    expected = Attention().estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(AT2().estimate(chain, scorer, Joint()).scores, expected, atol=1e-6)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_features_are_the_models(backend: str) -> None:
    """On a random llama they are the plain model's weights, a mean over the rows that predict the answer."""
    chain = random_chain(4, 8, 3)
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    expected = reference_attention(random_model("llama"), chain)[:, :, 11:14, 4:12].mean(axis=2)
    np.testing.assert_allclose(head_features(chain, scorer), expected, atol=1e-5)
    assert scorer.tokens_forwarded == len(chain)


def test_log_odds_are_finite_and_grow() -> None:
    """Log-odds of the whole answer neither overflow near probability 1 nor fall back far below it."""
    found = log_odds(np.array([-800.0, -1.0, -1e-3, -1e-12, 0.0, 0.5]))
    assert found[0] == -800
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    np.testing.assert_allclose(found[1], -1 - np.log(1 - np.exp(-1)))


@pytest.mark.parametrize("operator", ["knockout", "delete"])
def test_ablations_take_units_away(operator: str) -> None:
    """Where each unit adds its own share, an ablation's log-odds are those of what stays."""
    chain, scorer = toy_chain("ab cd", unit="word"), AdditiveScorer(SHARES)
    masks = np.array([[True, True], [True, False], [False, True], [False, False]])
    expected = log_odds(-10 + np.array([-0.25, 0.25, -0.5, 0.0]))
    np.testing.assert_allclose(ablated_log_odds(chain, scorer, masks, operator), expected)


def test_masks_depend_on_seed_and_chain_alone() -> None:
    """The same chain has the same masks in any order of calls; another seed or id has others; half of all stay."""
    chain = toy_chain("abcdabcd" * 4)
    masks = draw_masks(chain, 64, 0)
    other = replace(chain, chain=replace(chain.chain, id="other"))
    assert np.array_equal(draw_masks(chain, 64, 0), masks)
    assert not np.array_equal(draw_masks(chain, 64, 1), masks)
    assert not np.array_equal(draw_masks(other, 64, 0), masks)
    assert 0.45 < masks.mean() < 0.55


def example(number: int, theta: Any, *, question: str = "") -> Example:
    """Return an example whose outcomes some weights foretell exactly."""
    generator = np.random.default_rng(number)
    features, masks = generator.random((2, 2, 6)), generator.random((16, 6)) < 0.5
    made = Example.of(id=f"c{number}", question=question, features=features, masks=masks, outcome=np.zeros(16))
    return replace(made, outcome=3 * (made.design * theta).sum(axis=(1, 2)) - 7)


def test_a_design_is_what_weights_predict() -> None:
    """Features (0.6, 0.1) and (0.2, 0.5) of two units: equal weights tie them, the first head alone does not."""
    features = np.array([[[0.6, 0.2], [0.1, 0.5]]])
    made = Example.of(id="a", question="", features=features, masks=np.array([[True, False]]), outcome=np.zeros(1))
    assert (features * np.array([[0.5, 0.5]])[..., None]).sum(axis=(0, 1)).tolist() == [0.35, 0.35]
    np.testing.assert_allclose((made.design * np.array([[1.0, 0.0]])).sum(), 0.6 - 0.2)


def test_the_fit_finds_weights_that_foretell() -> None:
    """From outcomes that a mixture of heads makes, the fit finds the mixture, and does better than one weight."""
    theta = np.array([[0.7, -0.2], [0.0, 0.1]])
    examples = [example(number, theta) for number in range(8)]
    fitted = fit_weights(examples, 400, 1e-2)
    np.testing.assert_allclose(np.abs(fitted).sum(), 1)
    held_out = example(99, theta)
    assert correlation(fitted, held_out) > 0.99 > correlation(uniform_weights((2, 2)), held_out)
    np.testing.assert_allclose(correlation(theta, held_out), 1)


def test_what_does_not_vary_says_nothing() -> None:
    """A chain whose outcomes are all alike has no correlation, and is left out of the fit."""
    theta = np.array([[0.7, -0.2], [0.0, 0.1]])
    flat = replace(example(1, theta), outcome=np.full(16, 2.0))
    assert np.isnan(correlation(theta, flat))
    np.testing.assert_array_equal(fit_weights([flat], 5, 1e-2), uniform_weights((2, 2)))
    both = fit_weights([flat, example(2, theta)], 20, 1e-2)
    np.testing.assert_allclose(both, fit_weights([example(2, theta)], 20, 1e-2))


def test_chains_of_a_question_are_held_out_together() -> None:
    """Folds part questions, not chains; three questions are the fewest."""
    texts = ["p", "q", "p", "r", "q"]
    examples = [example(at, np.ones((2, 2)), question=text) for at, text in enumerate(texts)]
    fold = folds_of(examples, 5)
    assert fold[0] == fold[2]
    assert fold[1] == fold[4]
    assert len(set(fold.tolist())) == 3
    assert are_enough(examples)
    assert not are_enough(examples[:3])


def test_weights_go_through_a_file(tmp_path: Path) -> None:
    """What is saved is read again, and used by the estimator, whose stored parameters have the file's digest."""
    path = tmp_path / "weights.safetensors"
    scorer, chain = AdditiveScorer(SHARES), toy_chain("abcd")
    saved = replace(FITTED, model_fingerprint=scorer.fingerprint())
    save_weights(saved, path)
    loaded = load_weights(path)
    np.testing.assert_array_equal(loaded.weights, saved.weights)
    assert replace(loaded, weights=saved.weights) == saved
    estimator = AT2(str(path))
    expected = (head_features(chain, scorer) * saved.weights[..., None]).sum(axis=(0, 1))
    np.testing.assert_allclose(estimator.estimate(chain, scorer, Joint()).scores, expected)
    assert set(estimator.input_digests()) == {"path"}
    with pytest.raises(EstimatorError, match=r"weights of another model.*at2:save=FILE"):
        estimator.estimate(chain, AdditiveScorer(), Joint())
    with pytest.raises(EstimatorError, match="fitted on the unit 'token', not 'word'"):
        estimator.estimate(toy_chain("ab cd", unit="word"), scorer, Joint())


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    """A missing, foreign or damaged file is an error before any work starts, which says what to do."""
    path = tmp_path / "weights.safetensors"
    with pytest.raises(EstimatorError, match="there is no such file"):
        AT2(str(path)).validate_parameters()
    path.write_bytes(b"not safetensors")
    with pytest.raises(EstimatorError, match="holds no whole weights of heads"):
        AT2(str(path)).validate_parameters()
    save_weights(FITTED, path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(EstimatorError, match="does not have the digest"):
        load_weights(path)


def compared(n_chains: int) -> Any:
    """Return a result of random chains with a question each."""
    letters = list("abcd")
    chains = [
        toy_chain("".join(np.random.default_rng(at).choice(letters, 8)), id=f"c{at}", question=f"{at}")
        for at in range(n_chains)
    ]
    scorer = AdditiveScorer(SHARES)
    rows = {"mine": [np.zeros(len(chain.units)) for chain in chains]}
    given: dict[str, Any] = {"scorer": scorer, "chains": chains, "objective": Joint()}
    return toy_result(rows, chains, scorer), given


@pytest.mark.parametrize("operator", ["knockout", "delete"])
def test_the_analysis_fits_and_tests_on_other_questions(operator: str, tmp_path: Path) -> None:
    """On a scorer one of whose heads attends by share, fitted weights foretell ablations better than one weight."""
    result, given = compared(8)
    path = tmp_path / "weights.safetensors"
    analysis = At2(operator=operator, iterations=200, learning_rate=1e-2, save=str(path))
    node = analysis_node(ti.analyze(result, analysis, **given), "at2")
    fitted, uniform = node["correlation_mean"].values
    assert fitted > 0.8 > uniform
    assert node["chains_used"].values.tolist() == [8, 8]
    np.testing.assert_array_equal(load_weights(path).weights, node["weight"].values)
    assert load_weights(path).operator == operator


def test_too_few_questions_are_refused() -> None:
    """Two questions do not suffice to fit on some and test on others."""
    result, given = compared(2)
    with pytest.raises(AnalysisError, match=r"at2: .*3 questions or more"):
        ti.analyze(result, At2(iterations=2), **given)


def test_it_keeps_the_contract() -> None:
    """The estimator passes the check that every estimator must pass."""
    check_estimator(AT2)
