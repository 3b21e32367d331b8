"""Effects: what a unit adds to the log-probability of each later unit, and of the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokimp_leave_one_out import LeaveOneOut
from tokimp_nnsight import NNsightScorer
from tokimp_transformer_lens import TransformerLensScorer

import tokimp as ti
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts import effects
from tokimp.contracts.estimator import Importance, check_importance
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0}


@pytest.fixture(scope="module", params=[TransformerLensScorer, NNsightScorer], ids=lambda backend: backend.backend)
def scorer(request: Any) -> Scorer:
    """Return a scorer of a small llama, on each backend."""
    made: Scorer = request.param(random_model("llama"), tokenizer=byte_tokenizer(), device="cpu", dtype="float32")
    return made


def chain(unit: str = "word") -> TokenizedChain:
    """Return a short chain."""
    text = Chain("sum", question="2+2?", reasoning="2+2 is 4. So 4.", answer="4 it is")
    return tokenize_chain(text, byte_tokenizer(), "plain", unit)


def bytes_scorer() -> AdditiveScorer:
    """Return an additive scorer of bytes, whose tokenizer `compare` can use."""
    made = AdditiveScorer(SHARES)
    made.tokenizer = byte_tokenizer()
    return made


@pytest.mark.parametrize("unit", ["token", "word", "sentence"])
def test_effects_add_up_to_what_a_deletion_changes(scorer: Scorer, unit: str) -> None:
    """Own log-probability, effects on later units and on the answer are together the drop of the joint objective."""
    tokens = chain(unit)
    found = LeaveOneOut(effects=True).estimate(tokens, scorer, Joint())
    assert found.effects is not None
    assert found.effects_on_answer is not None
    own = ti.sum_over_units(tokens, scorer.logprobs([tokens])[0].reasoning)
    together = own + found.effects.sum(axis=1) + found.effects_on_answer
    np.testing.assert_allclose(found.scores, together, atol=2e-4)
    answer = LeaveOneOut().estimate(tokens, scorer, Answer()).scores
    np.testing.assert_allclose(found.effects_on_answer, answer, atol=1e-4)


def test_an_effect_is_the_difference_of_two_readings(scorer: Scorer) -> None:
    """Each entry is the loss of one unit's log-probability in the shortened chain, read from nothing."""
    tokens = chain()
    found = LeaveOneOut(effects=True).estimate(tokens, scorer, Joint())
    assert found.effects is not None
    whole = scorer.logprobs([tokens])[0].reasoning
    for source, unit in enumerate(tokens.units):
        left = [at for at in range(len(tokens.reasoning_ids)) if at not in unit]
        shorter = scorer.deletion_logprobs(tokens, left, [()])[0]
        for target in range(source + 1, len(tokens.units)):
            places = list(tokens.units[target])
            without = sum(shorter[left.index(place)] for place in places)
            assert found.effects[source, target] == pytest.approx(float(whole[places].sum() - without), abs=2e-4)
    assert not np.tril(found.effects).any()


def test_masking_has_effects_too(scorer: Scorer) -> None:
    """With masks, what is not masked loses what the joint objective loses."""
    tokens = chain()
    found = LeaveOneOut("mask", replacement=".", effects=True).estimate(tokens, scorer, Joint())
    assert found.effects is not None
    assert found.effects_on_answer is not None
    own = ti.sum_over_units(tokens, scorer.logprobs([tokens])[0].reasoning)
    np.testing.assert_allclose(found.scores, own + found.effects.sum(axis=1) + found.effects_on_answer, atol=2e-4)


def test_hiding_has_effects_too(scorer: Scorer) -> None:
    """With knockouts the unit's own log-probability stays, so effects alone add up to the drop."""
    tokens = chain()
    found = LeaveOneOut("knockout", effects=True).estimate(tokens, scorer, Joint())
    assert found.effects is not None
    assert found.effects_on_answer is not None
    np.testing.assert_allclose(found.scores, found.effects.sum(axis=1) + found.effects_on_answer, atol=2e-4)


def test_an_additive_answer_has_no_effects_between_units() -> None:
    """Where nothing depends on what precedes it, a unit acts on the answer alone, by its share."""
    found = LeaveOneOut(effects=True).estimate(toy_chain("abc"), AdditiveScorer(SHARES), Answer())
    assert found.effects is not None
    assert found.effects_on_answer is not None
    assert not found.effects.any()
    np.testing.assert_allclose(found.effects_on_answer, [0.5, -0.25, 2.0], atol=1e-12)


def test_without_being_asked_for_there_are_none() -> None:
    """Effects cost passes, so an estimator gives them only when told to, and says so before."""
    found = LeaveOneOut().estimate(toy_chain("abc"), AdditiveScorer(SHARES), Answer())
    assert found.effects is None
    assert (LeaveOneOut().gives_effects, LeaveOneOut(effects=True).gives_effects) == (False, True)


@pytest.mark.parametrize(
    ("given", "on_answer", "message"),
    [
        (None, np.zeros(2), "effects on the answer without effects between units"),
        (np.zeros((2, 3)), None, r"as effects, .*\(2, 3\)"),
        (np.array([[0.0, np.nan], [0.0, 0.0]]), None, "effects that are not finite"),
        (np.array([[0.0, 1.0], [0.5, 0.0]]), None, "effects of units on themselves or on earlier ones"),
        (np.eye(2), None, "effects of units on themselves or on earlier ones"),
        (np.zeros((2, 2)), np.zeros(3), r"as effects on the answer, .*\(3,\)"),
        (np.zeros((2, 2)), np.array([np.inf, 0.0]), "effects that are not finite"),
    ],
)
def test_what_is_no_matrix_of_later_units_is_refused(given: Any, on_answer: Any, message: str) -> None:
    """The message names the chain, the estimator and what is wrong."""
    importance = Importance(np.zeros(2), effects=given, effects_on_answer=on_answer)
    with pytest.raises(EstimatorError, match=f"chain 'toy': the estimator 'mine' returned {message}"):
        check_importance(importance, toy_chain("ab"), "mine")


def test_an_embedding_in_place_of_tokens_has_no_effects() -> None:
    """It gives one number a pass; the parameter is refused before any work."""
    with pytest.raises(EstimatorError, match="replacement='mean' is not allowed; give a token"):
        LeaveOneOut("mask", replacement="mean", effects=True).validate_parameters()


def test_chains_that_are_too_long_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the chain, its number of units and what to do instead; nothing was read."""
    monkeypatch.setattr(effects, "MOST_UNITS", 3)
    scorer = bytes_scorer()
    chains = [ti.Chain("short", "?", "abc", "!"), ti.Chain("long", "?", "abcd", "!")]
    with pytest.raises(EstimatorError, match=r"chain 'long': its 4 token units are too many.*at most 3.*--unit"):
        ti.compare(chains, scorer, [LeaveOneOut(effects=True)], prompt_format="plain")
    assert scorer.tokens_forwarded == 0
    ti.compare(chains, scorer, [LeaveOneOut()], prompt_format="plain")


def test_results_that_are_too_large_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how many numbers they are, and how many a result holds."""
    monkeypatch.setattr(effects, "MOST_PAIRS", 8)
    chains = [ti.Chain(name, "?", "abc", "!") for name in ("one", "two", "three")]
    with pytest.raises(EstimatorError, match="on these 3 chains are 9 numbers, and a result holds at most 8"):
        ti.compare(chains, bytes_scorer(), [LeaveOneOut(effects=True)], prompt_format="plain")


def test_what_is_required_follows_the_operator() -> None:
    """Effects of deletion and masking need nothing more; those of a knockout its log-probabilities."""
    assert LeaveOneOut(effects=True).requires == {Capability.DELETIONS}
    assert LeaveOneOut("mask", effects=True).requires == {Capability.LOGPROBS}
    assert LeaveOneOut("knockout", effects=True).requires == {Capability.KNOCKOUT, Capability.KNOCKOUT_LOGPROBS}


@pytest.mark.parametrize(
    "estimator",
    [
        LeaveOneOut(effects=True),
        LeaveOneOut("knockout", effects=True),
        LeaveOneOut("mask", replacement=".", effects=True),
    ],
    ids=lambda estimator: estimator.label,
)
def test_it_keeps_the_contract(estimator: LeaveOneOut) -> None:
    """Leave-one-out with effects passes the check that every estimator must pass."""
    check_estimator(estimator)
