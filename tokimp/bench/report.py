"""What a benchmark measured: a table for each chain, and how cost grows with length."""

from __future__ import annotations

from matplotlib.figure import Figure
from rich.table import Table

from tokimp.bench import Bench, ChainCost, Way, WayCost
from tokimp.bench.reuse_modes import EXACT_PRUNING
from tokimp.report.terminal import new_table

_COLUMNS = ("positions", "times fewer", "seconds", "times faster", "GFLOP/s", "of peak", "GiB")
_FIDELITY = ("order", "gap", "kept alike", "Spearman")
_COLOURS = {
    Way.FROM_SCRATCH: "#000000",
    Way.WITHIN_STEPS: "#0072B2",
    Way.BETWEEN_STEPS: "#D55E00",
    Way.FAST: "#009E73",
}
_NOTHING = "-"


def way_table(bench: Bench, chain: ChainCost) -> Table:
    """Return what each way of pruning one chain cost, and how close it came to the exact run.

    *Times fewer* and *times faster* compare with scoring every candidate from scratch: positions are counted, seconds
    measured in the same run, or, marked ``~``, estimated where that way did not run. *Gap* is the mean likelihood lost
    along the way as a share of the exact run's range; *kept alike* the share of the exact run's kept half.
    """
    title = f"{chain.chain_id}: {chain.prompt_tokens} + {chain.reasoning_tokens} + {chain.answer_tokens} tokens"
    table = new_table(f"{title}, {chain.units} units")
    table.add_column("way", no_wrap=True)
    for name in (*_COLUMNS, *_FIDELITY):
        table.add_column(name, justify="right")
    for cost in chain.ways:
        table.add_row(str(cost.way), *_cost_cells(bench, chain, cost), *_fidelity_cells(cost))
    return table


def notes(bench: Bench, chain: ChainCost) -> list[str]:
    """Return what the table has no room for: what a way is called elsewhere, what was skipped, the fast run's audit."""
    lines = [f"{cost.way} is what {EXACT_PRUNING} does" for cost in chain.ways if cost.way is Way.BETWEEN_STEPS]
    lines += [f"{cost.way}: skipped, {cost.skipped}" for cost in chain.ways if cost.skipped]
    for cost in chain.ways:
        steps = cost.diagnostics.get("audited_steps", 0)
        if steps:
            agreement, loss = cost.diagnostics["audit_agreement"], cost.diagnostics["audit_loss"]
            lines.append(
                f"{cost.way}: at {steps:.0f} audited steps the choice was the best at {agreement:.0%}; "
                f"mean loss {loss:.2g} nats"
            )
    return lines


def matmul_line(bench: Bench) -> str:
    """Return the measured rates of the device, and where they were measured."""
    rates = ", ".join(
        f"{rate.name} [{rate.rows}, {rate.inner}] x [{rate.inner}, {rate.columns}] "
        f"{rate.operations_per_second / 1e9:.1f} GFLOP/s"
        for rate in bench.matmul
    )
    where = bench.surroundings
    model = f"{where['model_id']} ({where['dtype']}, {where['device']}, {where['threads']} threads)"
    return f"{model}; matrix products: {rates}"


def draw_growth(bench: Bench) -> Figure:
    """Draw token positions and seconds against the length of the reasoning, both axes logarithmic."""
    figure = Figure(figsize=(10.0, 4.2), facecolor="#ffffff", layout="constrained")
    positions, seconds = figure.subplots(1, 2)
    lengths = [chain.reasoning_tokens for chain in bench.chains]
    positions.plot(
        lengths,
        [chain.from_scratch_positions for chain in bench.chains],
        ":",
        color="#000000",
        label="from-scratch, counted",
    )
    for way, colour in _COLOURS.items():
        run = [
            (chain.reasoning_tokens, cost)
            for chain in bench.chains
            for cost in chain.ways
            if cost.way is way and cost.seconds is not None
        ]
        if run:
            at = [length for length, _ in run]
            positions.plot(at, [cost.positions for _, cost in run], "o-", color=colour, label=str(way))
            seconds.plot(at, [cost.seconds for _, cost in run], "o-", color=colour, label=str(way))
    for axis, label in ((positions, "token positions through the model"), (seconds, "seconds")):
        axis.set(xscale="log", yscale="log", xlabel="reasoning tokens", ylabel=label)
        axis.set_xticks(sorted(set(lengths)), [str(length) for length in sorted(set(lengths))])
        axis.minorticks_off()
        axis.grid(visible=True, color="#e0e0e0")
    positions.legend(frameon=False)
    figure.suptitle(f"{bench.surroundings['model_id']}, objective {bench.surroundings['objective']['name']}")
    return figure


def _cost_cells(bench: Bench, chain: ChainCost, cost: WayCost) -> list[str]:
    scratch = next((other for other in chain.ways if other.way is Way.FROM_SCRATCH), None)
    if cost.seconds is None or cost.positions is None or cost.operations is None or cost.memory is None:
        expected = (cost.expected_positions, cost.expected_seconds)
        if None in expected:
            return [_NOTHING] * len(_COLUMNS)
        return [f"~{expected[0]:,.0f}", _NOTHING, f"~{expected[1]:,.0f}", *[_NOTHING] * 4]
    faster = _NOTHING
    if scratch is not None and scratch.seconds is not None:
        faster = f"{scratch.seconds / cost.seconds:.1f}"
    elif scratch is not None and scratch.expected_seconds is not None:
        faster = f"~{scratch.expected_seconds / cost.seconds:.1f}"
    return [
        f"{cost.positions:,}",
        f"{chain.from_scratch_positions / cost.positions:.1f}",
        f"{cost.seconds:.1f}",
        faster,
        f"{cost.operations / cost.seconds / 1e9:.1f}",
        f"{bench.share_of_peak(cost):.0%}",
        f"{cost.memory / 2**30:.2f}",
    ]


def _fidelity_cells(cost: WayCost) -> list[str]:
    if cost.fidelity is None:
        return [_NOTHING] * len(_FIDELITY)
    found = cost.fidelity
    # A fast run may end a little higher than the exact one; what rounds to nothing has no sign (z).
    gap = f"{found.mean_gap / found.exact_range:z.1%}" if found.exact_range else _NOTHING
    return ["same" if found.same_order else "other", gap, f"{found.kept_overlap:.2f}", f"{found.spearman:.2f}"]
