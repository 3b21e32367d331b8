"""What a scorer does whatever its backend: memory, counting, limits, sampling, fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tokimp.contracts.objective import Contrast, Joint
from tokimp.errors import ObjectiveError, ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.fingerprint import model_fingerprint
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import CONTEXT_LENGTH, byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention


def load(architecture: str = "llama", model: Any = None, **options: Any) -> CausalLMScorer:
    """Return a scorer of a small random model."""
    model = model or random_model(architecture)
    scorer = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer(), **options)
    assert isinstance(scorer, CausalLMScorer)
    return scorer


@pytest.fixture(scope="module")
def scorer() -> CausalLMScorer:
    """A scorer that no test changes but for what it has counted."""
    return load()


def spent(scorer: CausalLMScorer, call: Any) -> int:
    """Return the token positions that a call passes through the model."""
    before = scorer.tokens_forwarded
    call()
    return scorer.tokens_forwarded - before


def test_every_position_that_passes_through_the_model_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """tokens_forwarded is rows times positions of every forward pass, padding included, whatever is asked for."""
    scorer = load()
    seen = 0
    decoder = scorer.model.model.forward

    def counting(*arguments: Any, **inputs: Any) -> Any:
        nonlocal seen
        seen += (arguments[0] if arguments else inputs["input_ids"]).numel()
        return decoder(*arguments, **inputs)

    monkeypatch.setattr(scorer.model.model, "forward", counting)
    chains = [random_chain(3, 9, 2, wrong_answer=4), random_chain(5, 4, 1, seed=1)]
    calls = [
        lambda: scorer.logprobs(chains),
        lambda: scorer.score_deletions(chains[0], range(9), [[0], [4], [8], [2, 3]], Contrast()),
        lambda: scorer.attention(chains[0]),
        lambda: scorer.embedding_gradients(chains[0], Contrast()),
        lambda: scorer.objective_value(chains[0], Joint()),
        lambda: scorer.generate([chain.prompt_ids for chain in chains], max_new_tokens=5, n=2, temperature=1.0),
    ]
    for call in calls:
        seen = 0
        assert spent(scorer, call) == seen > 0


def test_unequal_chains_are_padded_to_the_longest_less_its_last_token(scorer: CausalLMScorer) -> None:
    """A batch costs its rows times the longest chain, whose last token predicts nothing and is not read."""
    chains = [random_chain(3, 9, 2), random_chain(5, 4, 1, seed=1)]
    assert spent(scorer, lambda: scorer.logprobs(chains)) == 2 * (3 + 9 + 2 - 1)


def test_the_prompt_is_read_once_for_all_steps_of_a_chain(scorer: CausalLMScorer) -> None:
    """A later step reads nothing of prompt and chain that was read; a run that begins anew costs what it cost first."""
    chain = random_chain(40, 6, 1)
    first = spent(scorer, lambda: scorer.score_deletions(chain, range(6), [[5]], Joint()))
    second = spent(scorer, lambda: scorer.score_deletions(chain, range(5), [[4]], Joint()))
    assert first == 40 + 5
    assert second == 1  # what follows the token before the deletion was not asked for in the first step
    assert spent(scorer, lambda: scorer.score_deletions(chain, range(6), [[5]], Joint())) == first


def test_scores_do_not_depend_on_what_was_scored_before(scorer: CausalLMScorer) -> None:
    """A run that begins anew gives bit for bit what it gave; one that continues from some step, the same to 1e-4."""
    chain = random_chain(7, 12, 2)
    kept = list(range(1, 12))
    first = scorer.deletion_scores(chain, range(12), [[index] for index in range(12)], Joint())
    unbroken = scorer.deletion_scores(chain, kept, [[index] for index in kept], Joint())
    continued = load().deletion_scores(chain, kept, [[index] for index in kept], Joint())
    np.testing.assert_allclose(unbroken, continued, atol=1e-4)
    again = scorer.deletion_scores(chain, range(12), [[index] for index in range(12)], Joint())
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(scorer.deletion_scores(chain, kept, [[index] for index in kept], Joint()), unbroken)


@pytest.mark.parametrize("reuse_kv", [True, False])
def test_a_batch_that_does_not_fit_is_halved_and_the_size_remembered(
    *, reuse_kv: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When memory runs out, scores are what they are with enough of it, and later batches are small from the start."""
    scorer, chain = load(reuse_kv=reuse_kv), random_chain(5, 14, 3, wrong_answer=2)
    candidates = [[index] for index in range(14)]
    expected = scorer.deletion_scores(chain, range(14), candidates, Contrast())
    lengths = [random_chain(4, length, 1, seed=length) for length in (9, 3, 5)]
    plenty = scorer.logprobs(lengths)
    forward, failures = scorer.decoder.backend.forward, 0

    def scarce(input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        nonlocal failures
        if input_ids.numel() > 30:
            failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(input_ids, **inputs)

    monkeypatch.setattr(scorer.decoder, "_plain", None)  # all passes through the backend, where memory runs out
    monkeypatch.setattr(scorer.decoder.backend, "forward", scarce)
    np.testing.assert_allclose(scorer.deletion_scores(chain, range(14), candidates, Contrast()), expected, atol=1e-4)
    assert failures > 0
    assert scorer.budget.positions <= 45
    failures = 0
    scorer.deletion_scores(chain, range(14), candidates, Contrast())
    for found, wanted in zip(scorer.logprobs(lengths), plenty, strict=True):
        np.testing.assert_allclose(found.reasoning, wanted.reasoning, atol=1e-4)
    assert failures <= 1


def test_a_chain_that_does_not_fit_alone_is_one_clear_error(
    scorer: CausalLMScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a single chain runs out of memory, every number says so in the same words."""

    def scarce(*arguments: Any, **inputs: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(scorer.decoder, "_plain", None)  # all passes through the backend, where memory runs out
    for name in ("forward", "forward_attention", "forward_embeddings"):
        monkeypatch.setattr(scorer.decoder.backend, name, scarce)
    chain = random_chain(3, 4, 1)
    for call in (
        lambda: scorer.logprobs([chain]),
        lambda: scorer.score_deletions(chain, range(4), [[0]], Joint()),
        lambda: scorer.attention(chain),
        lambda: scorer.embedding_gradients(chain, Joint()),
        lambda: scorer.objective_value(chain, Joint()),
    ):
        with pytest.raises(ScorerError, match="does not fit in memory"):
            call()


def test_logits_in_pieces_are_the_same_and_cost_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor of logits exceeds its budget; pieces change neither log-probabilities nor positions passed."""
    whole, pieces = load(), load(logits_budget=300 * 7)
    largest, forward = 0, pieces.decoder.backend.forward

    def measured(input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        nonlocal largest
        logits = forward(input_ids, **inputs)
        largest = max(largest, logits.numel())
        return logits

    monkeypatch.setattr(pieces.decoder.backend, "forward", measured)
    chains = [random_chain(4, 20, 2), random_chain(6, 11, 3, seed=1)]
    for expected, found in zip(whole.logprobs(chains), pieces.logprobs(chains), strict=True):
        np.testing.assert_allclose(found.reasoning, expected.reasoning, atol=1e-4)
        np.testing.assert_allclose(found.answer, expected.answer, atol=1e-4)
    candidates = [[0], [5], [19]]
    scores = [scorer.deletion_scores(chains[0], range(20), candidates, Joint()) for scorer in (whole, pieces)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    assert whole.tokens_forwarded == pieces.tokens_forwarded
    assert largest <= 300 * 7


def test_chains_that_the_model_cannot_read_are_refused(scorer: CausalLMScorer) -> None:
    """Too long, without a prompt, with ids of another tokenizer, without a wrong answer: each error names the chain."""
    assert scorer.context_length == CONTEXT_LENGTH
    scorer.logprobs([random_chain(10, CONTEXT_LENGTH - 12, 2)])
    with pytest.raises(ScorerError, match=r"random-0.*129 tokens.*at most 128"):
        scorer.logprobs([random_chain(11, CONTEXT_LENGTH - 12, 2)])
    with pytest.raises(ScorerError, match=r"random-0.*prompt has no tokens"):
        scorer.attention(random_chain(0, 4, 1))
    with pytest.raises(ScorerError, match=r"random-0.*not in the vocabulary"):
        scorer.embedding_gradients(random_chain(3, 9, 2, vocabulary=9000), Joint())
    with pytest.raises(ObjectiveError, match="needs a wrong answer"):
        scorer.score_deletions(random_chain(3, 4, 1), range(4), [[0]], Contrast())


def test_a_model_that_names_no_limit_reads_any_length() -> None:
    """Where the configuration gives no context length, chains of any length are read."""
    scorer = load(model=random_model("bloom", hidden_size=32, n_layer=2, n_head=4))
    assert scorer.context_length is None
    assert scorer.logprobs([random_chain(3, 300, 1)])[0].reasoning.shape == (300,)


def test_no_candidates_and_no_chains_give_nothing(scorer: CausalLMScorer) -> None:
    """Empty questions have empty answers."""
    assert scorer.logprobs([]) == []
    assert scorer.generate([]) == []
    assert scorer.deletion_scores(random_chain(3, 4, 1), range(4), [], Joint()).shape == (0,)


def test_attention_comes_in_the_order_of_the_layers_asked_for_and_reduced(scorer: CausalLMScorer) -> None:
    """Layers may repeat, count from the end and come in any order; the reduction is applied to each."""
    chain = random_chain(3, 8, 2)
    expected = reference_attention(random_model("llama"), chain)
    found = scorer.attention(chain, layers=[2, -3, 2], reduce=lambda heads: heads.amax(dim=0))
    np.testing.assert_allclose(found, expected[[2, 0, 2]].max(axis=1), atol=1e-5)
    for layers in ([3], [-4], []):
        with pytest.raises(ScorerError, match="layers 0 to 2"):
            scorer.attention(chain, layers=layers)


def test_stand_in_embeddings_are_where_value_and_gradient_are_taken(scorer: CausalLMScorer) -> None:
    """The value and gradient are those at the embeddings given; another token's embeddings score as that token read."""
    chain, other = random_chain(3, 6, 2), random_chain(3, 6, 2, seed=1)
    stand_ins, _ = scorer.embedding_gradients(other, Joint())
    embeddings, gradients = scorer.embedding_gradients(chain, Joint(), stand_ins)
    np.testing.assert_array_equal(embeddings, stand_ins)
    step = np.zeros_like(embeddings)
    step[2, 5] = 1e-2
    values = [scorer.objective_value(chain, Joint(), embeddings + sign * step) for sign in (1, -1)]
    assert (values[0] - values[1]) / 2e-2 == pytest.approx(gradients[2, 5], rel=0.02, abs=0.01)
    with pytest.raises(ScorerError, match=r"shape \(6, 32\), not \(5, 32\)"):
        scorer.objective_value(chain, Joint(), embeddings[:5])


def test_sampling_depends_on_the_seed_and_not_on_the_batch(scorer: CausalLMScorer) -> None:
    """The same seed writes the same texts, alone or in a batch; another seed or place writes others."""
    prompts = [random_chain(length, 1, 1, seed=length).prompt_ids for length in (4, 9)]
    texts = scorer.generate(prompts, max_new_tokens=12, n=3, temperature=1.5, seed=1)
    assert scorer.generate(prompts, max_new_tokens=12, n=3, temperature=1.5, seed=1) == texts
    assert scorer.generate(prompts[:1], max_new_tokens=12, n=3, temperature=1.5, seed=1) == texts[:1]
    assert scorer.generate(prompts, max_new_tokens=12, n=3, temperature=1.5, seed=2) != texts
    assert len({text for row in texts for text in row}) > 1


def test_samples_follow_the_models_distribution(scorer: CausalLMScorer) -> None:
    """The first sampled token's frequencies are softmax(logits / temperature)."""
    prompt = random_chain(5, 1, 1).prompt_ids
    with torch.no_grad():
        logits = random_model("llama")(torch.tensor([prompt])).logits[0, -1]
    expected = torch.softmax(logits / 0.5, dim=-1)
    best = int(expected.argmax())
    text = scorer.tokenizer.decode([best], skip_special_tokens=True)
    same = [index for index in range(259) if scorer.tokenizer.decode([index], skip_special_tokens=True) == text]
    written = scorer.generate([prompt], max_new_tokens=1, n=1500, temperature=0.5)[0]
    share = float(expected[same].sum())
    assert abs(written.count(text) / 1500 - share) < 4 * (share * (1 - share) / 1500) ** 0.5 + 1e-9


def test_generation_stays_within_the_context(scorer: CausalLMScorer) -> None:
    """A long prompt gets what room is left, without shortening others; a full one is an error."""
    learned = load("gpt2")
    prompts = [random_chain(CONTEXT_LENGTH - 3, 1, 1).prompt_ids, random_chain(4, 1, 1).prompt_ids]
    texts = learned.generate(prompts, max_new_tokens=20)
    assert texts[1] == learned.generate(prompts[1:], max_new_tokens=20)[0]
    assert texts[0] == learned.generate(prompts[:1], max_new_tokens=3)[0]
    with pytest.raises(ScorerError, match="prompt 0: 128 tokens and one to write"):
        learned.generate([random_chain(CONTEXT_LENGTH, 1, 1).prompt_ids])
    with pytest.raises(ScorerError, match="no tokens"):
        learned.generate([[]])
    with pytest.raises(ScorerError, match="temperature >= 0"):
        learned.generate(prompts, temperature=-1.0)


def test_a_checkpoints_own_sampling_settings_are_left_aside() -> None:
    """A repetition penalty in the checkpoint does not change the most likely token."""
    model, prompt = random_model("llama"), random_chain(6, 1, 1).prompt_ids
    expected = load(model=model).generate([prompt], max_new_tokens=12)
    model.generation_config.repetition_penalty = 50.0
    assert load(model=model).generate([prompt], max_new_tokens=12) == expected


def test_the_fingerprint_tells_weights_configuration_and_precision_apart() -> None:
    """Equal models have equal fingerprints; one changed or moved weight, option or precision makes another."""
    model = random_model("gpt2")
    expected = model_fingerprint(model)
    assert model_fingerprint(random_model("gpt2")) == expected
    weight = model.transformer.h[1].mlp.c_fc.weight.data
    kept = weight[3, 4].item()
    weight[3, 4] = torch.nextafter(weight[3, 4], torch.tensor(9.0))
    assert model_fingerprint(model) != expected
    weight[3, 4] = kept
    assert model_fingerprint(model) == expected
    weight[[0, 1]] = weight[[1, 0]]
    assert model_fingerprint(model) != expected
    weight[[0, 1]] = weight[[1, 0]]
    assert model_fingerprint(model.half()) != expected
    assert model_fingerprint(random_model("gpt2", layer_norm_epsilon=1e-4)) != expected
