"""Ray: the contract, the bits of this process, and workers and drivers that are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tokimp_ray import RayExecutor, died_with_node

import tokimp as ti
from tests.compare.executors.acting_work import Acts
from tests.compare.executors.byte_scorer import Patient, chains, scorer
from tests.compare.executors.killed_driver import survive
from tokimp.contracts.executor import Piece
from tokimp.testing import check_executor

pytestmark = pytest.mark.slow  # Ray is optional, and a cluster of its own takes seconds to start


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    """Return two actors on a cluster that was started for them."""
    with RayExecutor(workers=2) as running:
        yield running


def test_it_keeps_the_contract(executor: RayExecutor) -> None:
    """Two actors do what the contract asks."""
    check_executor(executor)


@pytest.mark.parametrize("how", ["killed", "memory"])
def test_a_killed_actor_costs_its_piece_another_try(executor: RayExecutor, tmp_path: Path, how: str) -> None:
    """The piece is done by another process; the others are done once."""
    pieces = [Piece(number, f"piece {number}", (how if number == 1 else "", 1, number)) for number in range(3)]
    outcomes = {outcome.piece.index: outcome for outcome in executor.run(Acts(tmp_path), pieces, lambda _: None)}
    assert [outcomes[number].result for number in range(3)] == [0, 1, 4]
    tries = [{path.name.rpartition("-")[2] for path in tmp_path.glob(f"{number}-*")} for number in range(3)]
    assert [len(processes) for processes in tries] == [1, 2, 1]


def test_a_piece_that_kills_every_actor_is_given_up(executor: RayExecutor, tmp_path: Path) -> None:
    """Its outcome says how often it was tried."""
    pieces = [Piece(0, "piece 0", ("killed", 99, 0))]
    (outcome,) = executor.run(Acts(tmp_path), pieces, lambda _: None)
    assert outcome.failure is not None
    assert "piece 0 was tried 3 times, and each time its worker was lost" in str(outcome.failure.error)


@pytest.mark.parametrize(
    ("why", "blameless"),
    [
        ("The actor died because its node has died. Node Id: 0a\n\tthe actor's node was terminated unexpectedly", True),
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", False),
        ("The actor died because setting up the runtime environment failed on the node", False),
    ],
)
def test_only_an_actor_whose_node_died_is_without_blame(why: str, *, blameless: bool) -> None:
    """One that cannot be made for another reason in which a node is named is not tried again for ever."""
    ray = pytest.importorskip("ray")
    from ray.core.generated.common_pb2 import ActorDiedErrorContext  # noqa: PLC0415 - an extra

    context = ActorDiedErrorContext(error_message=why, class_name="Actor", actor_id=b"\0" * 16)
    assert died_with_node(ray.exceptions.ActorDiedError(context)) == blameless


def test_a_comparison_has_the_bits_of_this_process(executor: RayExecutor, tmp_path: Path) -> None:
    """Two actors, one of which is killed, and no actor give the same numbers."""
    given = {"prompt_format": "plain", "seed": 5}
    estimators = ["leave_one_out", Patient(), "position"]
    here = ti.compare(chains(), scorer(), estimators, **given)  # type: ignore[arg-type] # typed by its keys
    there = ti.compare(chains(), scorer(), estimators, executor=executor, **given)  # type: ignore[arg-type] # as above
    for name in ("importance", "rank", "loglik_joint", "logprob", "tokens_forwarded"):
        np.testing.assert_array_equal(here[name].to_numpy(), there[name].to_numpy(), err_msg=name)


@pytest.mark.parametrize("what", ["compare", "analyze"])
def test_it_survives_twenty_kills(tmp_path: Path, what: str) -> None:
    """Twenty kills, of actors and of the driver, end with the bits of an unbroken run."""
    killed = survive(tmp_path, "ray:workers=2,retries=20", kills=20, seed=2, what=what)
    assert sum(killed.values()) == 20
    assert min(killed.values()) > 0


def test_an_analysis_survives_the_kill_of_an_actor(tmp_path: Path) -> None:
    """An actor that is killed at a chain costs that chain another try; what was found out is that of this process."""
    assert survive(tmp_path, "ray:workers=2,retries=9", kills=1, seed=1, what="analyze") == {"worker": 1, "driver": 0}
