"""Several tasks beside each other: the numbers that each has alone, in fewer calls of the model."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tokimp_greedy import GreedyPruning

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.errors import ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.decoder import Decoder
from tokimp.models.loading import load_scorer
from tokimp.models.packs.pack import Pack
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAINS = [random_chain(4 + index, 9 + index, 2, seed=index) for index in range(4)]


@cache
def plain() -> Any:
    """Return a model that no scorer changes."""
    return random_model("llama")


def new_scorer(**options: Any) -> CausalLMScorer:
    """Return a scorer that reads packs."""
    scorer = load_scorer(plain(), "nnsight", device="cpu", tokenizer=byte_tokenizer(), packed=True, **options)
    assert isinstance(scorer, CausalLMScorer)
    return scorer


def greedy(index: int) -> Callable[[Scorer], tuple[FloatArray, int]]:
    """Return a task: prune a chain greedily, and tell its importances and the positions it passed."""

    def task(scorer: Scorer) -> tuple[FloatArray, int]:
        importance = GreedyPruning(strategy="exact").estimate(CHAINS[index], scorer, Joint())
        assert importance.trajectory is not None
        return importance.trajectory.reasoning + importance.trajectory.answer, scorer.tokens_forwarded

    return task


def test_tasks_get_what_each_gets_alone_and_the_same_bits_each_time() -> None:
    """Numbers agree to 1e-4 with each task alone, positions exactly, and a second run gives the same bits."""
    together = new_scorer().run_side_by_side([greedy(index) for index in range(4)])
    again = new_scorer().run_side_by_side([greedy(index) for index in range(4)])
    for index, (outcome, repeated) in enumerate(zip(together, again, strict=True)):
        assert not isinstance(outcome, BaseException)
        assert not isinstance(repeated, BaseException)
        alone, positions = greedy(index)(new_scorer())
        np.testing.assert_allclose(outcome[0], alone, atol=1e-4)
        np.testing.assert_array_equal(outcome[0], repeated[0])
        assert outcome[1] == repeated[1] == positions


def test_an_error_ends_its_own_task_alone() -> None:
    """A task that raises before, between or after its packs is an error in its place; the others end as they would."""

    def fails_at_once(scorer: Scorer) -> None:
        raise ScorerError("at once")

    def fails_later(scorer: Scorer) -> None:
        score_unit_deletions(scorer, CHAINS[3], range(len(CHAINS[3].units)), Joint())
        raise ValueError("later")

    tasks: list[Callable[[Scorer], Any]] = [fails_at_once, greedy(0), fails_later, greedy(1)]
    first, second, third, fourth = new_scorer().run_side_by_side(tasks)
    assert isinstance(first, ScorerError)
    assert str(first) == "at once"
    assert isinstance(third, ValueError)
    for index, outcome in enumerate((second, fourth)):
        assert not isinstance(outcome, BaseException)
        np.testing.assert_allclose(outcome[0], greedy(index)(new_scorer())[0], atol=1e-4)


def test_a_task_that_draws_random_numbers_draws_what_it_draws_alone() -> None:
    """The global generators are each task's own, and stand afterwards where they stood before."""

    def draws(scorer: Scorer) -> list[float]:
        numbers = []
        for kept in (9, 8, 7):
            numbers += [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002, S311 - as an estimator may
            score_unit_deletions(scorer, CHAINS[0], range(kept), Joint())
        return numbers

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002 - as above
        torch.manual_seed(5)

    seed()
    alone = draws(new_scorer())
    seed()
    state = torch.get_rng_state()
    assert new_scorer().run_side_by_side([draws, draws, greedy(1)])[:2] == [alone, alone]
    assert torch.equal(torch.get_rng_state(), state)


def test_an_interrupt_ends_all_tasks_and_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a pack is read passes through, and every task's thread is gone."""
    scorer, read, calls = new_scorer(), Decoder.start_pack, 0

    def interrupted(self: Decoder, pack: Pack, pool: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return read(self, pack, pool)

    monkeypatch.setattr(Decoder, "start_pack", interrupted)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        scorer.run_side_by_side([greedy(index) for index in range(4)])
    assert threading.active_count() == threads


def positions_a_call(scorer: CausalLMScorer, run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> float:
    """Return the positions of a mean call of the model while something runs."""
    sizes, read = list[int](), Decoder.start_pack

    def measured(self: Decoder, pack: Pack, pool: Any) -> torch.Tensor:
        sizes.append(len(pack.ids))
        return read(self, pack, pool)

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "start_pack", measured)
        run()
    return float(np.mean(sizes))


def test_eight_chains_fill_a_call_six_times_as_far_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With eight chains of one length at once, a mean call has at least six times the positions of one chain alone."""
    chains = [random_chain(6, 16, 2, seed=seed) for seed in range(8)]
    scorer = new_scorer(batch_positions=10**5)
    tasks: list[Callable[[Scorer], Any]] = [
        lambda own, chain=chain: GreedyPruning(strategy="exact").estimate(chain, own, Joint())  # type: ignore[misc] # a default
        for chain in chains
    ]
    alone = positions_a_call(scorer, lambda: tasks[0](scorer), monkeypatch)
    together = positions_a_call(scorer, lambda: scorer.run_side_by_side(tasks), monkeypatch)
    assert together >= 6 * alone


@pytest.mark.slow
def test_packs_that_do_not_fit_together_are_read_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """When memory runs out on joined packs, their halves are read, and the numbers are those of each task alone."""
    scorer, read, failures = new_scorer(), Decoder.start_pack, 0

    def scarce(self: Decoder, pack: Pack, pool: Any) -> torch.Tensor:
        nonlocal failures
        if len(pack.ids) > 90:
            failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return read(self, pack, pool)

    monkeypatch.setattr(Decoder, "start_pack", scarce)
    together = scorer.run_side_by_side([greedy(index) for index in range(4)])
    assert failures
    monkeypatch.undo()
    for index, outcome in enumerate(together):
        assert not isinstance(outcome, BaseException)
        np.testing.assert_allclose(outcome[0], greedy(index)(new_scorer())[0], atol=1e-4)


def test_the_clocks_of_tasks_add_up_to_the_time_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task has some of the seconds, and together they have most of what passed."""
    ticks = 0

    def tick() -> float:
        nonlocal ticks
        ticks += 1
        return float(ticks)

    def timed(index: int) -> Callable[[Scorer], float]:
        def task(scorer: Scorer) -> float:
            begin = scorer.clock()
            score_unit_deletions(scorer, CHAINS[index], range(len(CHAINS[index].units)), Joint())
            return scorer.clock() - begin

        return task

    scorer = new_scorer()
    monkeypatch.setattr("tokimp.models.side_by_side.time.perf_counter", tick)
    seconds = scorer.run_side_by_side([timed(index) for index in range(3)])
    assert all(isinstance(spent, float) and spent > 0 for spent in seconds)
    assert 0.4 * ticks < sum(seconds) <= ticks  # type: ignore[arg-type] # checked above


def test_what_is_read_for_a_pack_leaves_no_slot_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """When all chains are pruned to nothing, the pool of all tasks holds little more than their prompts."""
    pools = set()
    beside = Decoder.beside

    def watched(self: Decoder, read: Any, pool: Any) -> Decoder:
        pools.add(pool)
        return beside(self, read, pool)

    monkeypatch.setattr(Decoder, "beside", watched)
    new_scorer().run_side_by_side([greedy(index) for index in range(4)])
    (pool,) = pools
    assert pool.used <= sum(len(chain.prompt_ids) + 2 for chain in CHAINS)


def test_eight_chains_at_once_share_their_calls() -> None:
    """By default eight chains put at least six times as many positions into a call as one chain does."""
    chains = [random_chain(6, 36, 2, seed=seed) for seed in range(8)]

    def pruned(chain: TokenizedChain) -> Callable[[Scorer], Any]:
        return lambda scorer: GreedyPruning(strategy="exact").estimate(chain, scorer, Joint())

    alone, together = new_scorer(), new_scorer()
    for chain in chains:
        pruned(chain)(alone)
    for outcome in together.run_side_by_side([pruned(chain) for chain in chains]):
        assert not isinstance(outcome, BaseException)
    assert together.work.positions == alone.work.positions
    assert together.work.positions / together.work.calls >= 6 * alone.work.positions / alone.work.calls
