"""A real language model: SmolLM2-135M-Instruct, read from its GGUF file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tokimp as ti
from tokimp.chains.arrays import FloatArray
from tokimp.errors import ScorerError
from tokimp.models.loading import LoadedModel, load_model
from tokimp.testing import smollm2_folder

pytestmark = pytest.mark.real_model

QUESTION = "Ann has 3 apples and buys 4 more. How many apples does she have?"
CHAIN = ti.Chain("apples", QUESTION, "She starts with 3 and adds 4, so 3 + 4 = 7.", "#### 7", wrong_answer="#### 9")


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """Return the model and its tokenizer, loaded once, or skip with the reason."""
    try:
        return load_model(smollm2_folder(), device="cpu", dtype="float32")
    except ScorerError as error:
        pytest.skip(f"SmolLM2 is not to be had: {error}")


@pytest.fixture(scope="module", params=["transformer_lens", "nnsight"])
def scorer(request: pytest.FixtureRequest, loaded: LoadedModel) -> ti.Scorer:
    """Return SmolLM2 on each backend."""
    # A model object is copied by the scorer, so the one that was loaded stays plain.
    return ti.load_scorer(loaded.model, request.param, tokenizer=loaded.tokenizer, device="cpu")


def reference(loaded: LoadedModel, tokens: ti.TokenizedChain, reasoning: tuple[int, ...]) -> FloatArray:
    """Return plain transformers' log-probabilities of some reasoning and the answer."""
    ids = torch.tensor([tokens.prompt_ids + reasoning + tokens.answer_ids])
    with torch.no_grad():
        logits = loaded.model(ids).logits[0].log_softmax(-1)
    begin = len(tokens.prompt_ids)
    values: FloatArray = logits[begin - 1 : -1].gather(-1, ids[0, begin:, None])[:, 0].numpy()
    return values


@pytest.mark.slow
def test_its_chat_template_lays_the_chain_out(scorer: ti.Scorer) -> None:
    """The prompt ends where the assistant begins, and the answer ends the turn."""
    tokens = ti.tokenize_chain(CHAIN, scorer.tokenizer)
    assert tokens.prompt_format == "chat"
    assert scorer.tokenizer.decode(tokens.prompt_ids).endswith(f"{QUESTION}<|im_end|>\n<|im_start|>assistant\n")
    assert scorer.tokenizer.decode(tokens.reasoning_ids) == CHAIN.reasoning
    assert scorer.tokenizer.decode(tokens.answer_ids) == "\n#### 7<|im_end|>\n"


def test_it_gives_the_numbers_of_plain_transformers(scorer: ti.Scorer, loaded: LoadedModel) -> None:
    """Log-probabilities and deletion scores equal those of whole sequences through the unwrapped model, to 1e-4."""
    tokens = ti.tokenize_chain(CHAIN, scorer.tokenizer)
    found = scorer.logprobs([tokens])[0]
    expected = reference(loaded, tokens, tokens.reasoning_ids)
    np.testing.assert_allclose(np.concatenate([found.reasoning, found.answer]), expected, atol=1e-4)
    places = [0, 7, len(tokens.reasoning_ids) - 1]
    kept = range(len(tokens.reasoning_ids))
    scores = scorer.deletion_scores(tokens, kept, [(place,) for place in places], ti.load_objective("joint"))
    for place, score in zip(places, scores, strict=True):
        left = tokens.reasoning_ids[:place] + tokens.reasoning_ids[place + 1 :]
        assert score == pytest.approx(reference(loaded, tokens, left).sum(dtype=np.float64), abs=1e-3)


def test_the_result_of_the_sum_matters_to_the_answer(scorer: ti.Scorer) -> None:
    """Of all words, deleting "7." costs the answer's lead over a wrong one most: the answer is copied from there."""
    tokens = ti.tokenize_chain(CHAIN, scorer.tokenizer, unit="word")
    importance = ti.load_estimator("leave_one_out").estimate(tokens, scorer, ti.load_objective("contrast"))
    words = CHAIN.reasoning.split()
    assert len(words) == len(importance.scores)
    assert words[int(importance.scores.argmax())] == "7."


def test_it_continues_a_prompt_in_english(scorer: ti.Scorer) -> None:
    """Greedy generation on the chat prompt names the sum."""
    tokens = ti.tokenize_chain(CHAIN, scorer.tokenizer)
    ((text,),) = scorer.generate([tokens.prompt_ids], max_new_tokens=24)
    assert "apples" in text
