"""Scoring whole sequences: the same numbers as with stored prefixes, for models that cannot share them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokimp.contracts.objective import Answer, Contrast, Joint, Objective
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_deletion

RECURRENT: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2}
CHAIN = random_chain(4, 9, 3, wrong_answer=2)
KEPT = [0, 1, 2, 4, 5, 7, 8]
CANDIDATES = [(4,), (), (0, 8), (1,), (2, 4, 5)]


def scorer_of(model: Any, **options: Any) -> CausalLMScorer:
    """Return a scorer that reads every row from its first token."""
    loaded = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer(), reuse_kv=False, **options)
    assert isinstance(loaded, CausalLMScorer)
    return loaded


@pytest.mark.parametrize(("architecture", "sizes"), [("mamba", RECURRENT), ("llama", {})])
@pytest.mark.parametrize("objective", [Joint(), Answer(), Contrast()], ids=lambda objective: objective.name)
def test_scores_are_those_of_the_shortened_ids(architecture: str, sizes: dict[str, Any], objective: Objective) -> None:
    """Rows of any lengths, recurrent model or not, score what a forward pass over the remaining ids gives."""
    model = random_model(architecture, **sizes)
    scores = scorer_of(model).score_deletions(CHAIN, KEPT, CANDIDATES, objective)
    for index, candidate in enumerate(CANDIDATES):
        reasoning, answer = reference_deletion(model, CHAIN, KEPT, candidate, CHAIN.answer_ids)
        assert scores.answer[index] == pytest.approx(answer, abs=1e-4)
        if isinstance(objective, Joint):
            assert scores.reasoning[index] == pytest.approx(reasoning, abs=1e-4)
            assert scores.objective[index] == pytest.approx(reasoning + answer, abs=1e-4)
        else:
            assert np.isnan(scores.reasoning[index])
        if isinstance(objective, Contrast):
            assert CHAIN.wrong_answer_ids is not None
            wrong = reference_deletion(model, CHAIN, KEPT, candidate, CHAIN.wrong_answer_ids)[1]
            assert scores.objective[index] == pytest.approx(answer - wrong, abs=1e-4)


def test_every_row_is_read_whole() -> None:
    """The positions passed are those of all rows, each from the prompt's first token to the answer's last but one."""
    subject = scorer_of(random_model("llama"))
    subject.score_deletions(CHAIN, KEPT, CANDIDATES, Joint())
    prompt, answer = len(CHAIN.prompt_ids), len(CHAIN.answer_ids)
    assert subject.tokens_forwarded == sum(prompt + len(KEPT) - len(candidate) + answer - 1 for candidate in CANDIDATES)


def test_memory_that_runs_out_halves_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the same scores come from smaller batches."""
    model, rows = random_model("llama"), []
    expected = scorer_of(model).score_deletions(CHAIN, KEPT, [(0,), (1,), (2,), (4,)], Joint())
    subject = scorer_of(model)
    forward = subject.decoder.backend.forward

    def scarce(input_ids: Any, **inputs: Any) -> Any:
        if len(input_ids) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        rows.append(len(input_ids))
        return forward(input_ids, **inputs)

    monkeypatch.setattr(subject.decoder, "_plain", None)  # all passes through the backend, where memory runs out
    monkeypatch.setattr(subject.decoder.backend, "forward", scarce)
    subject.decoder.call_cost = 1000
    scores = subject.score_deletions(CHAIN, KEPT, [(0,), (1,), (2,), (4,)], Joint())
    assert rows == [2, 2]
    np.testing.assert_allclose(scores.objective, expected.objective, atol=1e-4)
