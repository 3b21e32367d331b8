"""Recomputing only what changed: the scores of the slow twin, at the cost that was worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokimp_greedy import GreedyPruning

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Contrast, Joint, Objective, Span
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.unit_deletions import score_kept, score_unit_deletions
from tokimp.errors import ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_deletion

ARCHITECTURES = ("llama", "mistral", "gemma3_text", "gpt2", "gpt_neox", "phi3", "olmo2", "qwen2", "qwen3")
# A position of the small llama takes 3 layers x 2 (keys, values) x 2 heads x 8 numbers of 4 bytes.
POSITION_BYTES = 3 * 2 * 2 * 8 * 4


@cache
def plain(architecture: str) -> Any:
    """Return a model that no scorer changes."""
    return random_model(architecture)


def new_scorer(architecture: str, cache_memory: int = 10**8, call_cost: int | None = 0) -> CausalLMScorer:
    """Return a scorer of the same weights. Where calls cost nothing, each row starts where it has to."""
    options = {"device": "cpu", "tokenizer": byte_tokenizer(), "cache_memory": cache_memory}
    loaded = load_scorer(plain(architecture), "nnsight", **options)
    assert isinstance(loaded, CausalLMScorer)
    if call_cost is not None:
        loaded.decoder.call_cost = call_cost
    return loaded


@cache
def scorer(architecture: str = "llama", cache_memory: int = 10**8) -> CausalLMScorer:
    """Return a scorer that tests share, whose calls cost nothing."""
    return new_scorer(architecture, cache_memory)


def expected(
    architecture: str, chain: TokenizedChain, kept: list[int], candidate: tuple[int, ...], objective: Objective
) -> float:
    """Return the objective after a deletion, from whole sequences of ids built anew."""
    reasoning, answer = reference_deletion(plain(architecture), chain, kept, candidate, chain.answer_ids)
    if isinstance(objective, Contrast):
        assert chain.wrong_answer_ids is not None
        return answer - reference_deletion(plain(architecture), chain, kept, candidate, chain.wrong_answer_ids)[1]
    return answer if isinstance(objective, Answer) else reasoning + answer


def prune(
    subject: CausalLMScorer, chain: TokenizedChain, objective: Objective, until: int = 0
) -> tuple[list[int], list[int], int]:
    """Prune a chain greedily; return the order of the deletions, the units left, and the positions passed."""
    kept, order, passed_before = list(range(len(chain.units))), [], subject.tokens_forwarded
    while len(kept) > until:
        scores = score_unit_deletions(subject, chain, kept, objective)
        order.append(kept.pop(int(scores.objective.argmax())))
    return order, kept, subject.tokens_forwarded - passed_before


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("objective", [Joint(), Answer(), Contrast()], ids=lambda objective: objective.name)
def test_every_step_of_a_run_scores_what_the_shortened_ids_score(architecture: str, objective: Objective) -> None:
    """Along greedy runs over units of one to three tokens, to the last, scores equal those of the slow twin."""
    chain = random_chain(5, 15, 3, wrong_answer=2)
    chain = replace(chain, units=((0, 1), (2,), (3,), (4, 5, 6), (7,), (8,), (9, 10), (11,), (12, 14), (13,)))
    kept = list(range(len(chain.units)))
    while kept:
        scores = score_unit_deletions(scorer(architecture), chain, kept, objective)
        tokens = sorted(token for unit in kept for token in chain.units[unit])
        wanted = [expected(architecture, chain, tokens, chain.units[unit], objective) for unit in kept]
        np.testing.assert_allclose(scores.objective, wanted, atol=1e-4)
        kept.pop(int(scores.objective.argmax()))
        left = sorted(token for unit in kept for token in chain.units[unit])
        loglik_kept = score_kept(scorer(architecture), chain, kept)
        wanted_kept = reference_deletion(plain(architecture), chain, left, (), chain.answer_ids)
        np.testing.assert_allclose(loglik_kept, wanted_kept, atol=1e-4)


@settings(max_examples=30)
@given(st.data())
def test_any_sequence_of_calls_scores_right(data: st.DataObject) -> None:
    """In any sequence of steps, with any candidates, objectives and memory, every score is the slow twin's."""
    chain = random_chain(3, 9, 2, wrong_answer=3, vocabulary=data.draw(st.sampled_from([5, 250])))
    subject = scorer(cache_memory=data.draw(st.sampled_from([0, 25 * POSITION_BYTES, 10**8])))
    kept = list(range(9))
    for _ in range(data.draw(st.integers(2, 6))):
        if data.draw(st.integers(0, 3)) == 0 or not kept:
            kept = sorted(data.draw(st.sets(st.integers(0, 8), min_size=1)))
        objective = data.draw(st.sampled_from([Joint(), Answer(), Contrast()]))
        one = st.tuples(st.sampled_from(kept))
        several = st.sets(st.sampled_from(kept)).map(lambda chosen: tuple(sorted(chosen)))
        candidates = data.draw(st.lists(one | several, min_size=1, max_size=5))
        scores = subject.score_deletions(chain, kept, candidates, objective)
        wanted = [expected("llama", chain, kept, candidate, objective) for candidate in candidates]
        np.testing.assert_allclose(scores.objective, wanted, atol=1e-4)
        gone = data.draw(st.sampled_from(candidates))
        kept = [position for position in kept if position not in gone]


@settings(max_examples=30)
@given(st.data())
def test_reading_up_to_a_place_gives_the_log_probabilities_of_the_slow_twin(data: st.DataObject) -> None:
    """In any sequence of whole and cut-off calls, every token that was read has the value of the shortened chain."""
    chain = random_chain(3, 9, 2, vocabulary=data.draw(st.sampled_from([5, 250])))
    subject = scorer(cache_memory=data.draw(st.sampled_from([0, 25 * POSITION_BYTES, 10**8])))
    kept = list(range(9))
    for _ in range(data.draw(st.integers(2, 6))):
        until = data.draw(st.none() | st.integers(1, len(kept)))
        candidates = [(), *((position,) for position in data.draw(st.sets(st.sampled_from(kept[:until]))))]
        logprobs = subject.deletion_logprobs(chain, kept, candidates, until=until)
        wanted = Scorer.deletion_logprobs(subject, chain, kept, candidates)
        if until is not None and until < len(kept):
            assert np.isnan(logprobs[:, until + 1 :]).all()
            logprobs, wanted = logprobs[:, : until + 1], wanted[:, : until + 1]
        np.testing.assert_allclose(logprobs, wanted, atol=1e-4)
        scores = subject.score_deletions(chain, kept, candidates, Joint())
        np.testing.assert_allclose(
            scores.objective,
            [expected("llama", chain, kept, candidate, Joint()) for candidate in candidates],
            atol=1e-4,
        )
        if len(kept) > 2:
            kept.remove(data.draw(st.sampled_from(kept)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fast_pruning_with_a_beam_over_all_units_is_exact_on_models(architecture: str) -> None:
    """A fast run that scores all units finds the order and numbers of an exact run, whatever it read early."""
    chain = random_chain(5, 15, 3)
    exact = GreedyPruning(strategy="exact").estimate(chain, scorer(architecture), Joint())
    fast = GreedyPruning(strategy="fast", window=3, horizon=1, beam=15).estimate(chain, scorer(architecture), Joint())
    np.testing.assert_array_equal(fast.scores, exact.scores)
    assert fast.trajectory is not None
    assert exact.trajectory is not None
    np.testing.assert_allclose(fast.trajectory.reasoning, exact.trajectory.reasoning, atol=1e-4)
    np.testing.assert_allclose(fast.trajectory.answer, exact.trajectory.answer, atol=1e-4)


def test_a_deletion_beyond_the_place_that_is_read_is_refused() -> None:
    """A candidate beyond `until` is never read, so it is an error."""
    with pytest.raises(ScorerError, match=r"deletion 0 \(5,\) must name kept positions"):
        scorer().deletion_logprobs(random_chain(3, 9, 2), list(range(9)), [(5,)], until=4)


def worked_out(order: list[int], length: int, prompt: int, answer: int) -> tuple[int, int]:
    """Return the least and the most positions that a greedy run over single tokens passes under ``joint``.

    No two rows may be equal. The first step reads the prompt and the chain up to its last token, and each row from its
    deletion on. Later, a row starts at the last deletion or at its own, whichever is further right. Where the last
    deletion was the left neighbour of an earlier one, a row may start one position earlier: what comes after both was
    perhaps never predicted in that row.
    """
    least = prompt + length - 1 + sum(length - 1 - place + answer - 1 for place in range(length))
    most, kept = least, list(range(length))
    for deleted in order[:-1]:
        gap = kept.index(deleted)
        is_beside_earlier = gap + 1 < len(kept) and kept[gap + 1] > deleted + 1
        kept.remove(deleted)
        starts = [place if place >= gap else max(place, gap - 1) for place in range(len(kept))]
        passed = sum(len(kept) - 1 - start + answer - 1 for start in starts)
        least, most = least + passed, most + passed + (gap if is_beside_earlier or gap == len(kept) else 0)
    return least, most


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_a_run_costs_what_was_worked_out(seed: int) -> None:
    """Positions passed are those counted by hand, and a fifth fewer or better than with sharing within steps only."""
    prompt, length, answer = 20, 30, 2
    chain = random_chain(prompt, length, answer, vocabulary=300, seed=seed)
    order, _, spent = prune(scorer(), chain, Joint())
    without, _, spent_without = prune(scorer(cache_memory=0), chain, Joint())
    assert order == without
    least, most = worked_out(order, length, prompt, answer)
    assert least <= spent <= most
    assert spent < 0.8 * spent_without


@pytest.mark.slow
def test_rows_that_do_not_fit_in_memory_are_read_again() -> None:
    """From no memory to enough of it the cost falls step by step, and the order of deletions stays the same."""
    chain = random_chain(20, 24, 2)
    runs = [
        prune(scorer(cache_memory=positions * POSITION_BYTES), chain, Joint()) for positions in (0, 60, 100, 200, 10**5)
    ]
    assert all(order == runs[0][0] for order, _, _ in runs)
    costs = [spent for _, _, spent in runs]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) >= 4


@pytest.mark.slow
def test_the_bank_keeps_to_its_memory() -> None:
    """Whatever the limit of memory, no more positions are stored than it allows, or than the chain itself has."""
    for positions in (0, 70, 150):
        subject, chain = scorer(cache_memory=positions * POSITION_BYTES), random_chain(20, 24, 2)
        kept = list(range(24))
        while kept:
            kept.pop(int(score_unit_deletions(subject, chain, kept, Joint()).objective.argmax()))
            pool = subject._deletions._bank.pool
            assert pool.position_bytes == POSITION_BYTES
            assert pool.used <= max(positions, 20 + 24)


def test_slots_are_released_by_the_end_of_a_run() -> None:
    """After a whole pruning only the prompt and what is left of the last rows take memory."""
    subject = scorer()
    prune(subject, random_chain(10, 20, 2), Joint())
    assert subject._deletions._bank.pool.used <= 10 + 2


def test_equal_rows_tie_exactly_whatever_was_known_of_them() -> None:
    """Deletions that leave the same ids tie to the last bit, also if only one of them was stored a step before."""
    chain = random_chain(6, 12, 3)
    ids = list(chain.reasoning_ids)
    ids[4] = ids[5] = ids[6]
    chain = replace(chain, reasoning_ids=tuple(ids))
    subject, kept = scorer(), list(range(12))
    subject.score_deletions(chain, kept, [(5,), (9,)], Joint())  # one of the three equal tokens is stored
    kept.remove(9)
    for deleted in (11, 1, 8):
        scores = subject.score_deletions(chain, kept, [(4,), (5,), (6,), (2,)], Joint())
        assert scores.objective[0] == scores.objective[1] == scores.objective[2] != scores.objective[3]
        np.testing.assert_allclose(scores.objective[1], expected("llama", chain, kept, (5,), Joint()), atol=1e-4)
        kept.remove(deleted)


def test_logits_are_formed_only_where_they_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the objective ``answer`` a call forms the logits of the answer only, and the reasoning's score is NaN."""
    subject, chain = scorer(), random_chain(8, 20, 3)
    forward, projected = subject.decoder.backend.forward, []

    def measured(input_ids: Any, **inputs: Any) -> Any:
        logits = forward(input_ids, **inputs)
        projected.append(logits.shape[1])
        return logits

    monkeypatch.setattr(subject.decoder, "_plain", None)  # all passes through the backend, which is watched
    monkeypatch.setattr(subject.decoder.backend, "forward", measured)
    scores = score_unit_deletions(subject, chain, range(20), Answer())
    assert max(projected) == 3
    assert np.isnan(scores.reasoning).all()
    assert not np.isnan(scores.answer).any()
    assert Span.REASONING not in Answer.spans


@pytest.mark.slow
def test_memory_that_runs_out_shrinks_the_bank_and_then_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """When memory runs out during a run, the order stays the same; less is stored, and fewer positions pass at once."""
    chain = random_chain(10, 16, 2)
    expected_order, _, _ = prune(scorer(), chain, Joint())
    subject = load_scorer(plain("llama"), "nnsight", device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(subject, CausalLMScorer)
    forward, calls = subject.decoder.backend.forward, 0

    def scarce(input_ids: Any, **inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (4, 12, 20):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(input_ids, **inputs)

    monkeypatch.setattr(subject.decoder, "_plain", None)  # all passes through the backend, which is watched
    monkeypatch.setattr(subject.decoder.backend, "forward", scarce)
    bank = subject._deletions._bank
    memory, positions = bank._memory, subject.budget.positions
    assert prune(subject, chain, Joint())[0] == expected_order
    assert calls > 20
    assert bank._memory < memory
    assert subject.budget.positions < positions


def test_a_negative_memory_is_refused() -> None:
    """A negative number of bytes is an error that says what is allowed."""
    with pytest.raises(ScorerError, match="cache_memory is a number of bytes, 0 or more, not -1"):
        load_scorer(plain("llama"), "nnsight", device="cpu", tokenizer=byte_tokenizer(), cache_memory=-1)


@settings(max_examples=12)
@given(st.data())
def test_any_deletion_scores_what_the_shortened_ids_score(data: st.DataObject) -> None:
    """Whatever is kept, deleted (nothing included) and batched, scores equal a forward pass over the remaining ids."""
    prompt, length, answer = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 3)))
    chain = random_chain(prompt, length, answer, seed=data.draw(st.integers(0, 9)))
    kept = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1)))
    candidates = data.draw(st.lists(st.sets(st.sampled_from(kept)).map(sorted), min_size=1, max_size=4))
    subject = new_scorer("qwen2", call_cost=None)
    subject.budget.positions = data.draw(st.integers(1, 60))
    scores = subject.score_deletions(chain, kept, candidates, Joint())
    for index, candidate in enumerate(candidates):
        reasoning, answered = reference_deletion(plain("qwen2"), chain, kept, candidate, chain.answer_ids)
        assert scores.reasoning[index] == pytest.approx(reasoning, abs=1e-4)
        assert scores.answer[index] == pytest.approx(answered, abs=1e-4)


def test_a_full_pruning_passes_a_quarter_of_the_positions_that_scoring_from_scratch_does() -> None:
    """Reading nothing twice passes 3.5 times fewer positions than the paper's procedure, and deletes the same."""
    prompt, length, answer = 30, 24, 6
    # As for a large model, where calls cost little beside positions.
    chain, subject = random_chain(prompt, length, answer), new_scorer("qwen2", call_cost=8)
    orders, spent = [], []
    for reuse in (True, False):
        subject.decoder.reuse_kv = reuse
        kept, order, passed_before = list(range(length)), [], subject.tokens_forwarded
        while kept:
            order.append(kept.pop(int(score_unit_deletions(subject, chain, kept, Joint()).objective.argmax())))
        orders.append(order)
        spent.append(subject.tokens_forwarded - passed_before)
    published = sum(n * (prompt + n + answer) for n in range(1, length + 1))
    assert orders[0] == orders[1]
    assert published / spent[0] > 3.5
    assert spent[1] == published - 2 * sum(range(1, length + 1))  # a row's deleted and last token are not read


def test_deletions_that_leave_the_same_ids_tie_exactly_and_are_scored_once() -> None:
    """Deleting either of two equal neighbours scores the same to the last bit, at the cost of one."""
    subject, chain = new_scorer("qwen2", call_cost=None), random_chain(6, 12, 4)
    ids = list(chain.reasoning_ids)
    ids[4] = ids[5] = ids[6]
    twins = replace(chain, reasoning_ids=tuple(ids))
    model, costs = plain("qwen2"), []
    for version in (twins, chain):
        passed_before = subject.tokens_forwarded
        scores = score_unit_deletions(subject, version, range(12), Joint())
        costs.append(subject.tokens_forwarded - passed_before)
        answer = version.answer_ids
        expected = [sum(reference_deletion(model, version, range(12), (unit,), answer)) for unit in range(12)]
        np.testing.assert_allclose(scores.objective, expected, atol=1e-4)
        if version is twins:
            assert scores.objective[4] == scores.objective[5] == scores.objective[6]
    assert costs[0] < costs[1]
