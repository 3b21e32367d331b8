"""Operators take units away: by deletion, by hiding them, or by putting something else in their place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tokimp_leave_one_out import LeaveOneOut
from tokimp_nnsight import NNsightScorer
from tokimp_transformer_lens import TransformerLensScorer

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.objective import Answer, Contrast, Joint, Objective, Reasoning
from tokimp.contracts.operators import (
    OPERATORS,
    Delete,
    Knockout,
    KnockoutWithLikelihoods,
    Mask,
    make_operator,
    replacement_id,
)
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError, ScorerError
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0, ".": 1.0}


@pytest.fixture(scope="module", params=[TransformerLensScorer, NNsightScorer], ids=lambda backend: backend.backend)
def scorer(request: Any) -> Scorer:
    """Return a scorer of a small llama, on each backend."""
    made: Scorer = request.param(random_model("llama"), tokenizer=byte_tokenizer(), device="cpu", dtype="float32")
    return made


def chain() -> TokenizedChain:
    """Return a short chain in words."""
    text = Chain("sum", question="2+2?", reasoning="2+2 is 4.", answer="4 it is", wrong_answer="5")
    return tokenize_chain(text, byte_tokenizer(), "plain", "word")


TAKEN = [(), (0,), (3, 4, 5), (0, 1, 2, 3, 4, 5, 6, 7, 8)]


def masked_alone(tokens: TokenizedChain, positions: tuple[int, ...], token: int, objective: Objective) -> float:
    """Return the objective of one masked chain, from the logits of plain transformers, in float64."""
    ids = [token if at in positions else own for at, own in enumerate(tokens.reasoning_ids)]
    total, left = 0.0, [at for at in range(len(ids)) if at not in positions]
    signs = [(tokens.answer_ids, 1.0)]
    if isinstance(objective, Contrast):
        assert tokens.wrong_answer_ids is not None
        signs.append((tokens.wrong_answer_ids, -1.0))
    for answer, sign in signs:
        whole = [*tokens.prompt_ids, *ids, *answer]
        with torch.no_grad():
            logprobs = random_model("llama")(torch.tensor([whole])).logits[0].double().log_softmax(dim=-1)
        begin = len(tokens.prompt_ids)
        places = [begin + len(ids) + at for at in range(len(answer))]
        if isinstance(objective, Reasoning):
            places = []
        if isinstance(objective, Joint | Reasoning):
            places += [begin + at for at in left]
        total += sign * sum(float(logprobs[place - 1, whole[place]]) for place in places)
    return total


@pytest.mark.parametrize("objective", [Answer(), Joint(), Reasoning(), Contrast()], ids=lambda each: each.name)
def test_masking_is_reading_the_replaced_ids(scorer: Scorer, objective: Objective) -> None:
    """On both backends, each masked chain scores what plain transformers gives its ids, the masked ones left out."""
    tokens, token = chain(), 46
    found = scorer.score_masks(tokens, TAKEN, token, objective)
    wanted = [masked_alone(tokens, positions, token, objective) for positions in TAKEN]
    np.testing.assert_allclose(found.objective, wanted, atol=1e-4)
    np.testing.assert_allclose(found.answer, [masked_alone(tokens, each, token, Answer()) for each in TAKEN], atol=1e-4)
    np.testing.assert_allclose(
        found.reasoning, [masked_alone(tokens, each, token, Reasoning()) for each in TAKEN], atol=1e-4
    )


@pytest.mark.parametrize("objective", [Answer(), Joint()], ids=lambda each: each.name)
def test_an_embedding_in_place_of_a_token_is_that_token(scorer: Scorer, objective: Objective) -> None:
    """A chain of equal tokens is unchanged by their mean; what is masked leaves the joint sum."""
    tokens = chain()
    alike = replace(tokens, reasoning_ids=(tokens.reasoning_ids[0],) * 9)
    found = Mask("mean").score(scorer, alike, TAKEN, objective).objective
    spans = scorer.logprobs([alike])[0]
    for value, positions in zip(found, TAKEN, strict=True):
        left = [at for at in range(9) if at not in positions]
        own = spans.reasoning[left].sum() if isinstance(objective, Joint) else 0.0
        assert value == pytest.approx(float(own + spans.answer.sum()), abs=1e-4)


def test_zeros_are_an_embedding_too(scorer: Scorer) -> None:
    """With zeros, the value is the objective of the embeddings with zeros at the masked positions."""
    tokens = chain()
    embeddings = scorer.embedding_gradients(tokens, Answer())[0].copy()
    embeddings[[3, 4, 5]] = 0
    found = Mask("zero").score(scorer, tokens, [(3, 4, 5)], Answer()).objective
    assert found[0] == pytest.approx(scorer.objective_value(tokens, Answer(), embeddings), abs=1e-6)


@pytest.mark.parametrize("objective", [Answer(), Joint(), Reasoning(), Contrast()], ids=lambda each: each.name)
def test_one_pass_of_a_knockout_gives_all_likelihoods(scorer: Scorer, objective: Objective) -> None:
    """Reasoning, answer and objective of one pass a version are those of a pass for each of the three."""
    tokens = chain()
    before = scorer.tokens_forwarded
    found = KnockoutWithLikelihoods().score(scorer, tokens, TAKEN, objective)
    between = scorer.tokens_forwarded
    for values, alone in ((found.objective, objective), (found.answer, Answer()), (found.reasoning, Reasoning())):
        np.testing.assert_allclose(values, Knockout().score(scorer, tokens, TAKEN, alone).objective, atol=1e-4)
    assert between - before < scorer.tokens_forwarded - between


@pytest.mark.parametrize("positions", [(9,), (-1,), (0, 0)])
def test_only_reasoning_can_be_masked(scorer: Scorer, positions: tuple[int, ...]) -> None:
    """A position outside the reasoning, or named twice, is refused; the message names chain and mask."""
    with pytest.raises(ScorerError, match=r"chain 'sum': mask 1 .* must name reasoning tokens \(0 to 8\)"):
        scorer.score_masks(chain(), [(), positions], 46, Answer())


def test_operators_of_an_additive_answer() -> None:
    """What is deleted or hidden takes its share along; what is masked leaves that of the replacement."""
    scorer, tokens = AdditiveScorer(SHARES, answer_base=0.0), toy_chain("abc")
    taken = [(), (0,), (1, 2)]
    assert Delete().score(scorer, tokens, taken, Answer()).objective.tolist() == [2.25, 1.75, 0.5]
    assert Knockout().score(scorer, tokens, taken, Joint()).objective.tolist() == [-0.75, -1.25, -2.5]
    assert Mask(".").score(scorer, tokens, taken, Answer()).objective.tolist() == [2.25, 2.75, 2.5]
    assert Mask(".").score(scorer, tokens, taken, Joint()).objective.tolist() == [-0.75, 0.75, 1.5]


def test_leave_one_out_by_each_operator() -> None:
    """The drop is that of the operator; deletion is the default, to the bit."""
    scorer, tokens = AdditiveScorer(SHARES), toy_chain("abc")
    plain = LeaveOneOut().estimate(tokens, scorer, Joint()).scores
    for operator, expected in (
        (LeaveOneOut(), [-0.5, -1.25, 1.0]),
        (LeaveOneOut("knockout"), [0.5, -0.25, 2.0]),
        (LeaveOneOut("mask", replacement="."), [-1.5, -2.25, 0.0]),
        (LeaveOneOut("mask", replacement=ord(".")), [-1.5, -2.25, 0.0]),
    ):
        assert operator.estimate(tokens, scorer, Joint()).scores.tolist() == expected
    assert plain.tolist() == [-0.5, -1.25, 1.0]
    assert LeaveOneOut().label == "leave_one_out"


def test_what_is_required_follows_the_operator() -> None:
    """Deletion, knockout and masking ask for one capability each; the class itself speaks of deletion."""
    assert LeaveOneOut.requires == LeaveOneOut().requires == {Capability.DELETIONS}
    assert LeaveOneOut("knockout").requires == {Capability.KNOCKOUT}
    assert LeaveOneOut("mask").requires == {Capability.LOGPROBS}
    assert LeaveOneOut("mask", replacement="mean").requires == {Capability.GRADIENTS}
    assert LeaveOneOut("shuffle").requires == {Capability.DELETIONS}  # refused when its parameters are checked


def test_operators_by_name() -> None:
    """Each name makes its operator, and only masking has a replacement."""
    assert [make_operator(name, "pad") for name in OPERATORS] == [Delete(), Knockout(), Mask("pad")]


class Special:
    """A tokenizer with an end and a few words."""

    eos_token_id, pad_token_id, unk_token_id = 7, None, 3

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return an id a word."""
        return [1] * add_special_tokens + [100 + len(word) for word in text.split()]

    def __len__(self) -> int:
        return 200


def test_what_stands_in_place_of_a_token() -> None:
    """The tokenizer's own tokens by name, a text of one token, or an id."""
    assert [replacement_id(Special(), each) for each in ("eos", "unk", "the", 12)] == [7, 3, 103, 12]


@pytest.mark.parametrize(
    ("replacement", "message"), [("pad", "no such token"), ("two words", "is 2 tokens"), (200, "has 200 tokens")]
)
def test_what_cannot_stand_in_place_is_refused(replacement: str | int, message: str) -> None:
    """A token that the tokenizer lacks, a text of several and an id beyond the last are named."""
    with pytest.raises(EstimatorError, match=message):
        replacement_id(Special(), replacement)
