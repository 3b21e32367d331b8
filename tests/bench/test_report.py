"""What is printed of a benchmark."""

from __future__ import annotations

import pytest
from rich.console import Console

from tokimp.bench.fidelity import Fidelity
from tokimp.bench.matmul import MatmulRate
from tokimp.bench.measurement import ChainCost, ModeCost
from tokimp.bench.record import Bench
from tokimp.bench.report import mode_table, notes
from tokimp.bench.reuse_modes import ReuseMode


def bench_of(gap: float) -> tuple[Bench, ChainCost]:
    """Return a benchmark of one chain, whose fast run lost so many of ten nats."""
    exact = Fidelity(True, 1.0, 0.0, 10.0, 1.0, 0.5)
    near = Fidelity(True, 1.0, gap, 10.0, 1.0, 0.5)
    ran = {"expected_seconds": 1.0, "expected_positions": 9.0, "seconds": 2.0, "positions": 8, "operations": 50}
    modes = (
        ModeCost(ReuseMode.FROM_SCRATCH, skipped="about 9 s expected, 1 s left of 10 s"),
        ModeCost(ReuseMode.BETWEEN_STEPS, **ran, memory=2**30, fidelity=exact),  # type: ignore[arg-type] # numbers, as above
        ModeCost(ReuseMode.FAST, **ran, memory=2**30, fidelity=near),  # type: ignore[arg-type] # likewise
    )
    chain = ChainCost("demo-00", 3, 4, 5, 4, 16.0, modes)
    return Bench({}, {}, (MatmulRate("square", 1, 1, 1, 100.0),), memory_rate=1.0, weights=0, chains=(chain,)), chain


@pytest.mark.parametrize(("gap", "shown"), [(-1e-9, "0.0%"), (-0.004, "0.0%"), (-0.02, "-0.2%"), (0.5, "5.0%")])
def test_a_gap_that_rounds_to_nothing_has_no_sign(gap: float, shown: str) -> None:
    """A fast run that ends higher than the exact one by less than is shown has a gap of 0.0%; others keep theirs."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(mode_table(*bench_of(gap)))
    fast = next(line for line in captured.get().splitlines() if line.split()[:1] == ["fast"])
    assert fast.split()[-3] == shown


def test_the_exact_mode_is_named_as_an_estimator() -> None:
    """Below the table stands which estimator does what the mode between steps does, and what was skipped."""
    assert notes(*bench_of(0.0)) == [
        "between-steps is what greedy:strategy=exact does",
        "from-scratch: skipped, about 9 s expected, 1 s left of 10 s",
    ]
