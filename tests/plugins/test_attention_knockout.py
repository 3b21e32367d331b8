"""Attention knockout is the full chain's objective less that with one unit hidden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokimp_attention_knockout import AttentionKnockout
from tokimp_leave_one_out import LeaveOneOut

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.objective import Answer, Contrast, Joint, Objective
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError, ObjectiveError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0, ".": 0.0}


@given(text=st.text("abc", min_size=1, max_size=8))
def test_each_token_has_its_contribution_under_either_objective(text: str) -> None:
    """The answer loses what a hidden token adds to it; the token's own log-probability stays, also in the joint."""
    expected = [SHARES[letter] for letter in text]
    for objective in (Answer(), Joint()):
        found = AttentionKnockout().estimate(toy_chain(text), AdditiveScorer(SHARES), objective).scores
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_deletion_takes_the_units_own_logprob_as_well() -> None:
    """Leave-one-out with the joint objective differs from it by the unit's own log-probability."""
    chain, scorer = toy_chain("abc"), AdditiveScorer(SHARES, reasoning_logprob=-1.5)
    knockout, deletion = (each.estimate(chain, scorer, Joint()).scores for each in (AttentionKnockout(), LeaveOneOut()))
    np.testing.assert_allclose(deletion - knockout, -1.5, atol=1e-12)


@pytest.mark.parametrize(("unit", "expected"), [("word", [0.25, 2.5]), ("sentence", [0.25, 2.5])])
def test_units_are_hidden_as_a_whole(unit: str, expected: list[float]) -> None:
    """A word or sentence has the drop of all its tokens hidden at once."""
    chain = toy_chain("ab. ca.", unit=unit)
    found = AttentionKnockout().estimate(chain, AdditiveScorer(SHARES), Answer()).scores
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize("objective", [Joint(), Answer()], ids=lambda each: each.name)
def test_on_a_model_it_keeps_the_contract_and_deletes_nothing(backend: str, objective: Objective) -> None:
    """On a random llama the check passes, and scores differ from those of deletion, which moves what follows."""
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    text = Chain("sum", question="2+2?", reasoning="2+2 is 4. So 4.", answer="4 it is")
    chains = [tokenize_chain(text, byte_tokenizer(), "plain", unit) for unit in ("token", "word", "sentence")]
    check_estimator(AttentionKnockout(effects=True))
    check_estimator(AttentionKnockout, scorer, chains, [objective])
    knockout, deletion = (
        each.estimate(chains[1], scorer, objective).scores for each in (AttentionKnockout(), LeaveOneOut())
    )
    assert np.abs(knockout - deletion).max() > 0.1


def test_what_is_not_finite_is_an_error() -> None:
    """An objective that is not finite after a knockout is reported with the unit, not returned."""

    class Broken(AdditiveScorer):
        def score_knockouts(
            self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
        ) -> FloatArray:
            found = super().score_knockouts(chain, hidden, objective)
            found[1] = -np.inf
            return found

    with pytest.raises(EstimatorError, match=r"'joint' is .* on the full chain and -inf with token 1 hidden"):
        AttentionKnockout().estimate(toy_chain("abc"), Broken(SHARES), Joint())


def test_what_the_objective_lacks_is_an_error() -> None:
    """The objective contrast needs a wrong answer."""
    with pytest.raises(ObjectiveError, match="needs a wrong answer"):
        AttentionKnockout().estimate(toy_chain("abc"), AdditiveScorer(), Contrast())


def test_it_is_leave_one_out_by_knockout_and_shares_its_passes() -> None:
    """Both give the same numbers and effects, and in one run the second asks for no pass that the first asked for."""
    chain, scorer, memory = toy_chain("abc"), AdditiveScorer({"a": 0.5, "c": 2.0}), SubsetMemory()
    checked = CheckedScorer(scorer, memory)
    for effects in (False, True):
        first = LeaveOneOut("knockout", effects=effects).estimate(chain, checked, Joint())
        forwarded = scorer.tokens_forwarded
        second = AttentionKnockout(effects=effects).estimate(chain, checked, Joint())
        assert second.scores.tolist() == first.scores.tolist()
        if effects:
            np.testing.assert_array_equal(first.effects, second.effects)
            np.testing.assert_array_equal(first.effects_on_answer, second.effects_on_answer)
        else:
            assert scorer.tokens_forwarded == forwarded


def test_it_keeps_the_contract() -> None:
    """Attention knockout passes the check that every estimator must pass."""
    check_estimator(AttentionKnockout)
