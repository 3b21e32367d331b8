"""Tables and figure of a benchmark: costs of each chain, and how cost grows with length."""

from __future__ import annotations

from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.bench.measurement import ChainCost, ModeCost
from tokimp.bench.record import Bench
from tokimp.bench.reuse_modes import EXACT_PRUNING, ReuseMode
from tokimp.report.terminal import new_table

_COLUMNS = ("positions", "times fewer", "seconds", "times faster", "GFLOP/s", "of peak", "GiB")
_FIDELITY = ("order", "gap", "kept alike", "Spearman")
_COLOURS = {
    ReuseMode.FROM_SCRATCH: "#000000",
    ReuseMode.WITHIN_STEPS: "#0072B2",
    ReuseMode.BETWEEN_STEPS: "#D55E00",
    ReuseMode.FAST: "#009E73",
}
_NO_VALUE = "-"


def mode_table(bench: Bench, chain: ChainCost) -> Table:
    """Return a table of what pruning one chain cost in each mode, and how close it came to the exact run.

    *Times fewer* and *times faster* compare with scoring every candidate from scratch. Positions are counted. Seconds
    are measured in the same run, or estimated and marked ``~`` where the mode from scratch did not run. *Gap* is the
    mean likelihood lost, as a share of the exact run's range. *Kept alike* is the share of the half that the exact run
    keeps which this run keeps too.
    """
    title = f"{escape(chain.chain_id)}: {chain.prompt_tokens} + {chain.reasoning_tokens} + {chain.answer_tokens} tokens"
    table = new_table(f"{title}, {chain.units} units")
    # The word of the command's option --way.
    table.add_column("way", no_wrap=True)
    for name in (*_COLUMNS, *_FIDELITY):
        table.add_column(name, justify="right")
    for cost in chain.modes:
        table.add_row(str(cost.mode), *_cost_cells(bench, chain, cost), *_fidelity_cells(cost))
    return table


def notes(bench: Bench, chain: ChainCost) -> list[str]:
    """Return lines to print below the table.

    They name the estimator that prunes as the mode between steps does, the modes that were skipped and why, and what
    the audit of the fast run found.
    """
    lines = [
        f"{cost.mode} is what {EXACT_PRUNING} does" for cost in chain.modes if cost.mode is ReuseMode.BETWEEN_STEPS
    ]
    lines += [f"{cost.mode}: skipped, {cost.skipped}" for cost in chain.modes if cost.skipped]
    for cost in chain.modes:
        steps = cost.diagnostics.get("audited_steps", 0)
        if steps:
            agreement, loss = cost.diagnostics["audit_agreement"], cost.diagnostics["audit_loss"]
            lines.append(
                f"{cost.mode}: at {steps:.0f} audited steps the choice was the best at {agreement:.0%}; "
                f"mean loss {loss:.2g} nats"
            )
    return lines


def matmul_line(bench: Bench) -> str:
    """Return a line with the rates measured for matrix products, and the model and device they were measured for."""
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
    for mode, colour in _COLOURS.items():
        run = [
            (chain.reasoning_tokens, cost)
            for chain in bench.chains
            for cost in chain.modes
            if cost.mode is mode and cost.seconds is not None
        ]
        if run:
            at = [length for length, _ in run]
            positions.plot(at, [cost.positions for _, cost in run], "o-", color=colour, label=str(mode))
            seconds.plot(at, [cost.seconds for _, cost in run], "o-", color=colour, label=str(mode))
    for axis, label in ((positions, "token positions through the model"), (seconds, "seconds")):
        axis.set(xscale="log", yscale="log", xlabel="reasoning tokens", ylabel=label)
        axis.set_xticks(sorted(set(lengths)), [str(length) for length in sorted(set(lengths))])
        axis.minorticks_off()
        axis.grid(visible=True, color="#e0e0e0")
    positions.legend(frameon=False)
    figure.suptitle(f"{bench.surroundings['model_id']}, objective {bench.surroundings['objective']['name']}")
    return figure


def _cost_cells(bench: Bench, chain: ChainCost, cost: ModeCost) -> list[str]:
    scratch = next((other for other in chain.modes if other.mode is ReuseMode.FROM_SCRATCH), None)
    if cost.seconds is None or cost.positions is None or cost.operations is None or cost.memory is None:
        expected = (cost.expected_positions, cost.expected_seconds)
        if None in expected:
            return [_NO_VALUE] * len(_COLUMNS)
        return [f"~{expected[0]:,.0f}", _NO_VALUE, f"~{expected[1]:,.0f}", *[_NO_VALUE] * 4]
    faster = _NO_VALUE
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


def _fidelity_cells(cost: ModeCost) -> list[str]:
    if cost.fidelity is None:
        return [_NO_VALUE] * len(_FIDELITY)
    near = cost.fidelity
    # A fast run may end a little higher than the exact one; a gap that rounds to zero is shown without a sign (z).
    gap = f"{near.mean_gap / near.exact_range:z.1%}" if near.exact_range else _NO_VALUE
    return ["same" if near.same_order else "other", gap, f"{near.kept_overlap:.2f}", f"{near.spearman:.2f}"]
