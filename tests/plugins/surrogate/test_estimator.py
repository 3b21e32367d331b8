"""The surrogate as an estimator: what it predicts of new chains, and where it refuses to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tokimp_leave_one_out import LeaveOneOut
from tokimp_surrogate.estimator import SurrogateEstimator
from tokimp_surrogate.fitted_surrogate import FittedSurrogate, load_surrogate, save_surrogate

import tokimp as ti
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Joint
from tokimp.errors import EstimatorError, ResumeError, UnsupportedError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.toy_result import toy_result

LETTERS = "abcdefgh"
SHARES = {letter: 0.25 * index - 1.0 for index, letter in enumerate(LETTERS)}


def chains(count: int, seed: int) -> list[TokenizedChain]:
    """Return chains of random letters."""
    generator = np.random.default_rng(seed)
    return [toy_chain("".join(generator.choice(list(LETTERS), 15)), id=f"c{i}", question=f"{i}") for i in range(count)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a surrogate that the analysis fitted."""
    file = tmp_path_factory.mktemp("surrogate") / "fitted.safetensors"
    given, scorer = chains(10, seed=0), AdditiveScorer(SHARES)
    scores = [LeaveOneOut().estimate(chain, scorer, Answer()) for chain in given]
    result = toy_result({"leave_one_out": scores}, given, scorer, objective="answer")
    options: dict[str, Any] = {
        "permutations": 0,
        "epochs": 60,
        "penalties": [1.0],
        "hidden": [16],
        "folds": 2,
    }
    ti.analyze(result, "surrogate", scorer=scorer, chains=given, save=str(file), **options)
    return file


def test_it_predicts_what_deletions_would_give(path: Path) -> None:
    """On chains it was not fitted on, its scores go with the known contributions, for one pass of the model."""
    scorer = AdditiveScorer(SHARES)
    for chain in chains(3, seed=9):
        before = scorer.tokens_forwarded
        scores = SurrogateEstimator(str(path)).estimate(chain, scorer, Answer()).scores
        assert scorer.tokens_forwarded - before == len(chain)
        truth = [SHARES[letter] for letter in chain.chain.reasoning]
        assert stats.spearmanr(scores, truth).statistic > 0.85


def test_it_is_found_by_name_and_keeps_the_contract(path: Path) -> None:
    """Named with its file it is an estimator like any other."""
    estimator = ti.load_estimator(f"surrogate:path={path}")
    assert isinstance(estimator, SurrogateEstimator)
    given = [
        toy_chain("a", id="one"),
        toy_chain("so 12 - 5 = 7, and it is.", id="many"),
        toy_chain("aaaaa", id="alike"),
    ]
    check_estimator(estimator, AdditiveScorer(SHARES), given, objectives=(Answer(),))


def test_another_objective_or_unit_is_refused(path: Path) -> None:
    """The message says what it was fitted on."""
    estimator, scorer = SurrogateEstimator(str(path)), AdditiveScorer(SHARES)
    with pytest.raises(EstimatorError, match="fitted on the objective 'answer', not 'joint'"):
        estimator.estimate(toy_chain("abc"), scorer, Joint())
    with pytest.raises(EstimatorError, match="fitted on the unit 'token', not 'word'"):
        estimator.estimate(toy_chain("ab c", unit="word"), scorer, Answer())


def test_a_model_with_other_layers_or_heads_is_refused(path: Path) -> None:
    """The message gives both shapes, and the model it was fitted on."""

    class Wider(AdditiveScorer):
        attention_scales = ((0.0, 1.0, 2.0), (2.0, -1.0, 0.5))

    with pytest.raises(EstimatorError, match=r"2 layers of 2 heads \(AdditiveScorer\), and 'Wider' has 2 of 3"):
        SurrogateEstimator(str(path)).estimate(toy_chain("abc"), Wider(SHARES), Answer())


def test_without_a_file_there_is_nothing_to_predict_with(tmp_path: Path) -> None:
    """No path, no file, and a file of something else are refused before any work."""
    with pytest.raises(EstimatorError, match="give path=FILE"):
        SurrogateEstimator().validate_parameters()
    with pytest.raises(EstimatorError, match="there is no such file"):
        SurrogateEstimator(str(tmp_path / "no")).validate_parameters()
    (tmp_path / "text").write_text("hello")
    with pytest.raises(EstimatorError, match="is damaged"):
        SurrogateEstimator(str(tmp_path / "text")).validate_parameters()


def test_a_scorer_without_attention_is_refused(path: Path) -> None:
    """What it requires is checked before the run."""

    class Deaf(AdditiveScorer):
        capabilities = AdditiveScorer.capabilities - {ti.Capability.ATTENTION}

    with pytest.raises(UnsupportedError, match="requires attention"):
        ti.compare(ti.demo_chains(limit=1), Deaf(), [SurrogateEstimator(str(path))])


def test_a_run_is_not_continued_with_another_surrogate_of_the_same_name(tmp_path: Path) -> None:
    """The file's digest is part of what the run is; a file written anew is read anew."""
    scorer = ti.load_scorer("tiny")
    run = ti.compare(ti.demo_chains(limit=3), scorer, ["leave_one_out"])
    file, out = tmp_path / "s.safetensors", tmp_path / "run"
    options: dict[str, Any] = {"permutations": 0, "epochs": 1, "hidden": [2], "penalties": [1.0]}
    ti.analyze(run, "surrogate", scorer=scorer, save=str(file), **options)
    methods = [SurrogateEstimator(str(file))]
    first = ti.compare(ti.demo_chains(limit=1), scorer, methods, out=out)
    assert f'"path": "{methods[0].input_digests()["path"]}"' in first.attrs["estimator_parameters"]
    fitted = load_surrogate(file)
    save_surrogate(FittedSurrogate(replace(fitted.header, sign=-1), fitted.network), file)
    os.utime(file, ns=(1, 1))
    with pytest.raises(ResumeError, match="inputs"):
        ti.compare(ti.demo_chains(limit=1), scorer, methods, out=out)
    again = ti.compare(ti.demo_chains(limit=1), scorer, methods)
    np.testing.assert_allclose(again["importance"], -first["importance"])
