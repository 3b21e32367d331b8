"""Rows of a step read in packs: the scores of whole sequences, in about one call a deletion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokimp_greedy import GreedyPruning
from tokimp_leave_one_out import LeaveOneOut

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Contrast, Joint, Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.errors import ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.models.packs.pack import Pack
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_deletion

UNITS = {
    "token": tuple((position,) for position in range(15)),
    "word": ((0, 1), (2,), (3,), (4, 5, 6), (7,), (8,), (9, 10), (11,), (12, 14), (13,)),
    "sentence": (tuple(range(6)), tuple(range(6, 9)), tuple(range(9, 15))),
}
# A position of the small llama takes 3 layers x 2 (keys, values) x 2 heads x 8 numbers of 4 bytes.
POSITION_BYTES = 3 * 2 * 2 * 8 * 4


@cache
def plain() -> Any:
    """Return a model that no scorer changes."""
    return random_model("llama")


def new_scorer(*, packed: bool = True, **options: Any) -> CausalLMScorer:
    """Return a scorer of the same weights."""
    scorer = load_scorer(plain(), "nnsight", device="cpu", tokenizer=byte_tokenizer(), packed=packed, **options)
    assert isinstance(scorer, CausalLMScorer)
    return scorer


@cache
def scorer(cache_memory: int = 10**8) -> CausalLMScorer:
    """Return a scorer that tests share."""
    return new_scorer(cache_memory=cache_memory)


def expected(chain: TokenizedChain, kept: Sequence[int], candidate: Sequence[int], objective: Objective) -> float:
    """Return the objective after a deletion, from whole sequences of ids built anew."""
    reasoning, answer = reference_deletion(plain(), chain, kept, candidate, chain.answer_ids)
    if isinstance(objective, Contrast):
        assert chain.wrong_answer_ids is not None
        return answer - reference_deletion(plain(), chain, kept, candidate, chain.wrong_answer_ids)[1]
    return answer if isinstance(objective, Answer) else reasoning + answer


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("objective", [Joint(), Answer(), Contrast()], ids=lambda objective: objective.name)
def test_every_step_of_a_run_scores_what_whole_sequences_score(unit: str, objective: Objective) -> None:
    """Along greedy runs by token, word and sentence, to the last unit, scores equal brute force."""
    chain = replace(random_chain(5, 15, 3, wrong_answer=2), units=UNITS[unit])
    kept = list(range(len(chain.units)))
    while kept:
        scores = score_unit_deletions(scorer(), chain, kept, objective).objective
        tokens = sorted(token for index in kept for token in chain.units[index])
        wanted = [expected(chain, tokens, chain.units[index], objective) for index in kept]
        np.testing.assert_allclose(scores, wanted, atol=1e-4)
        kept.pop(int(scores.argmax()))


@settings(max_examples=25)
@given(st.data())
def test_any_sequence_of_calls_scores_right(data: st.DataObject) -> None:
    """In any sequence of steps, with any candidates, objectives and memory, and repeated tokens, scores are right."""
    chain = random_chain(
        3, 9, 2, wrong_answer=data.draw(st.integers(1, 3)), vocabulary=data.draw(st.sampled_from([5, 250]))
    )
    subject = scorer(data.draw(st.sampled_from([0, 25 * POSITION_BYTES, 10**8])))
    kept = list(range(9))
    for _ in range(data.draw(st.integers(2, 5))):
        if data.draw(st.integers(0, 3)) == 0 or not kept:
            kept = sorted(data.draw(st.sets(st.integers(0, 8), min_size=1)))
        objective = data.draw(st.sampled_from([Joint(), Answer(), Contrast()]))
        one = st.tuples(st.sampled_from(kept))
        several = st.sets(st.sampled_from(kept)).map(lambda chosen: tuple(sorted(chosen)))
        candidates = data.draw(st.lists(one | several, min_size=1, max_size=5))
        scores = subject.score_deletions(chain, kept, candidates, objective)
        wanted = [expected(chain, kept, candidate, objective) for candidate in candidates]
        np.testing.assert_allclose(scores.objective, wanted, atol=1e-4)
        bank = subject._deletions._bank
        stored = {slot for row in (bank.base, *bank._rows.values()) if row is not None for slot in row.slots.tolist()}
        assert bank.pool.used == len(stored)
        gone = data.draw(st.sampled_from(candidates))
        kept = [position for position in kept if position not in gone]


@settings(max_examples=15)
@given(st.data())
def test_reading_up_to_a_place_gives_the_log_probabilities_of_whole_sequences(data: st.DataObject) -> None:
    """Every token that is read up to some place has the value of the shortened chain, in any sequence of calls."""
    chain = random_chain(3, 9, 2, vocabulary=data.draw(st.sampled_from([5, 250])))
    kept = list(range(9))
    for _ in range(data.draw(st.integers(2, 4))):
        until = data.draw(st.none() | st.integers(1, len(kept)))
        candidates = [(), *((position,) for position in data.draw(st.sets(st.sampled_from(kept[:until]))))]
        logprobs = scorer().deletion_logprobs(chain, kept, candidates, until=until)
        wanted = Scorer.deletion_logprobs(scorer(), chain, kept, candidates)
        if until is not None and until < len(kept):
            assert np.isnan(logprobs[:, until + 1 :]).all()
            logprobs, wanted = logprobs[:, : until + 1], wanted[:, : until + 1]
        np.testing.assert_allclose(logprobs, wanted, atol=1e-4)
        kept.remove(data.draw(st.sampled_from(kept)))


@pytest.mark.parametrize("objective", [Joint(), Answer(), Contrast()], ids=lambda objective: objective.name)
@pytest.mark.parametrize(
    "estimator",
    [GreedyPruning(strategy="exact"), GreedyPruning(strategy="fast", window=4, horizon=2, beam=3), LeaveOneOut()],
    ids=["exact", "fast", "leave_one_out"],
)
def test_estimators_find_in_packs_what_they_find_in_batches(estimator: Any, objective: Objective) -> None:
    """Exact and fast greedy pruning and leave-one-out give the same importances, to rounding."""
    chain = replace(random_chain(5, 15, 3, wrong_answer=2), units=UNITS["word"])
    packs, batches = (estimator.estimate(chain, new_scorer(packed=packed), objective) for packed in (True, False))
    np.testing.assert_allclose(packs.scores, batches.scores, atol=1e-4)


def calls(subject: CausalLMScorer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the positions of each pack that is read from now on are added."""
    sizes, read = list[int](), subject.decoder.start_pack

    def counted(pack: Pack, pool: Any) -> torch.Tensor:
        sizes.append(len(pack.ids))
        return read(pack, pool)

    monkeypatch.setattr(subject.decoder, "start_pack", counted)
    return sizes


@pytest.mark.parametrize("logits_budget", [300, 2**26])
@pytest.mark.parametrize(("length", "each"), [(36, 1), (60, 3)])
def test_exact_pruning_makes_little_more_than_one_call_a_deletion(
    length: int, each: int, logits_budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 1.2 calls a deletion, by token and by sentence, however few logits may be formed together."""
    subject = new_scorer(logits_budget=logits_budget, batch_positions=10**4)
    units = tuple(tuple(range(begin, begin + each)) for begin in range(0, length, each))
    chain = replace(random_chain(6, length, 2), units=units)
    sizes = calls(subject, monkeypatch)
    passed = subject.tokens_forwarded
    GreedyPruning(strategy="exact").estimate(chain, subject, Joint())
    assert len(sizes) <= 1.2 * len(units)
    assert sum(sizes) == subject.tokens_forwarded - passed


@pytest.mark.parametrize("strategy", ["exact", "fast"])
def test_pruning_by_the_answer_makes_little_more_than_one_call_a_deletion(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where calls are dear, what reasoning is left is scored for many steps together: at most 1.2 calls a deletion."""
    subject, chain = new_scorer(), random_chain(6, 36, 2)
    subject.decoder.call_cost = 1024
    sizes = calls(subject, monkeypatch)
    GreedyPruning(strategy=strategy, window=2, beam=3).estimate(chain, subject, Answer())
    assert len(sizes) <= 1.2 * 36


def test_where_calls_are_dear_fast_pruning_makes_little_more_than_one_a_deletion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a GPU's call cost, a step scores the units near the last deletion at once, in place of a look before."""
    subject, chain = new_scorer(), random_chain(6, 60, 2)
    subject.decoder.call_cost = 1024
    sizes = calls(subject, monkeypatch)
    GreedyPruning(strategy="fast", audit=0).estimate(chain, subject, Joint())
    assert len(sizes) <= 1.2 * 60
    subject.decoder.call_cost, cheap = 0, len(sizes)
    GreedyPruning(strategy="fast", audit=0).estimate(chain, subject, Joint())
    assert len(sizes) - cheap > 1.8 * 60


def test_packs_pass_no_more_positions_than_rows_alone() -> None:
    """Packs read each row from its own start: not one position more than batches of rows that start where they must."""
    chain = random_chain(10, 24, 2)
    packs, batches = new_scorer(), new_scorer(packed=False)
    batches.decoder.call_cost = 0
    for subject in (packs, batches):
        GreedyPruning(strategy="exact").estimate(chain, subject, Joint())
    assert packs.tokens_forwarded <= batches.tokens_forwarded


def test_a_pack_that_does_not_fit_is_halved_and_the_size_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """When memory runs out in a pack, scores stay right, no slot is lost, and later packs are small from the start."""
    subject, chain = new_scorer(), random_chain(5, 14, 3, wrong_answer=2)
    read, failures = subject.decoder.start_pack, 0

    def scarce(pack: Pack, pool: Any) -> torch.Tensor:
        nonlocal failures
        if len(pack.ids) > 40:
            failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return read(pack, pool)

    monkeypatch.setattr(subject.decoder, "start_pack", scarce)
    scores = score_unit_deletions(subject, chain, range(14), Contrast()).objective
    np.testing.assert_allclose(
        scores, [expected(chain, range(14), (unit,), Contrast()) for unit in range(14)], atol=1e-4
    )
    assert failures
    assert subject.budget.positions <= 80
    failures, bank = 0, subject._deletions._bank
    score_unit_deletions(subject, chain, range(13), Contrast())
    assert not failures
    stored = {slot for row in (bank.base, *bank._rows.values()) if row is not None for slot in row.slots.tolist()}
    assert bank.pool.used == len(stored)


def test_a_single_row_that_does_not_fit_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """When not even one row fits, the error says how long it is and what to do, and nothing is left in the pool."""
    subject = new_scorer()

    def full(pack: Pack, pool: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(subject.decoder, "start_pack", full)
    with pytest.raises(ScorerError, match=r"a single sequence of .* does not fit in memory .*use a shorter chain"):
        score_unit_deletions(subject, random_chain(5, 6, 2), range(6), Joint())
    assert subject._deletions._bank.pool.used == 0


def test_equal_rows_tie_exactly() -> None:
    """Deletions that leave the same ids tie to the last bit, also where one of them was stored a step before."""
    chain = random_chain(6, 12, 3)
    ids = list(chain.reasoning_ids)
    ids[4] = ids[5] = ids[6]
    chain, kept = replace(chain, reasoning_ids=tuple(ids)), list(range(12))
    scorer().score_deletions(chain, kept, [(5,), (9,)], Joint())
    kept.remove(9)
    for deleted in (11, 1, 8):
        scores = scorer().score_deletions(chain, kept, [(4,), (5,), (6,), (2,)], Joint()).objective
        assert scores[0] == scores[1] == scores[2] != scores[3]
        assert scores[1] == pytest.approx(expected(chain, kept, (5,), Joint()), abs=1e-4)
        kept.remove(deleted)
