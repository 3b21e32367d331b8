"""Tables and figure of a benchmark: costs of each chain, and how cost grows with length."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from rich.markup import escape
from rich.table import Table

from tokimp.bench.group import GroupCost
from tokimp.bench.measurement import ChainCost, ModeCost, way_name
from tokimp.bench.record import Bench
from tokimp.bench.reuse_modes import EXACT_PRUNING, Reading, ReuseMode
from tokimp.report.estimator_looks import HUES
from tokimp.report.plot.rows import add_legend
from tokimp.report.plot.style import INK, ShownAxes, head, new_figure, prepare, styled
from tokimp.report.terminal import new_table

_COLUMNS = ("positions", "times fewer", "seconds", "times faster", "GFLOP/s", "of peak", "GiB")
_PARTS = ("trunk", "attention", "copies", "projection", "python")
_FIDELITY = ("order", "gap", "kept alike", "Spearman")
# Colour and marker; the marker tells them apart in grey.
_LOOKS = {
    ReuseMode.FROM_SCRATCH: (HUES[6], "o"),
    ReuseMode.WITHIN_STEPS: (HUES[0], "s"),
    ReuseMode.BETWEEN_STEPS: (HUES[1], "D"),
    ReuseMode.FAST: (HUES[2], "^"),
}
_LINES = {Reading.BATCHES: "-", Reading.PACKS: "--"}
_NO_VALUE = "-"


def tables(bench: Bench, measured: ChainCost | GroupCost) -> list[Table]:
    """Return the tables of a chain or of a group: costs and fidelity of a chain, and where the time went."""
    shown = [mode_table(bench, measured)] if isinstance(measured, ChainCost) else []
    return [*shown, *([] if (split := split_table(bench, measured)) is None else [split])]


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
        table.add_row(way_name(cost), *_cost_cells(bench, chain, cost), *_fidelity_cells(cost))
    return table


def split_table(bench: Bench, measured: ChainCost | GroupCost) -> Table | None:
    """Return a table of calls, of where the time went, and of what each limit alone would take; ``None`` if none ran.

    The parts of the time add up to all of it. *Of peak* and *memory* are the shares of the roofline, as
    `tokimp.bench.roofline.RooflineShares` explains.
    """
    ran = [cost for cost in measured.modes if cost.seconds is not None]
    if not ran:
        return None
    title = "calls, and where the time goes"
    if isinstance(measured, GroupCost):
        lengths = ", ".join(map(str, measured.reasoning_tokens))
        title = f"{len(measured.chain_ids)} chains at once, of {lengths} tokens: {title}"
    table = new_table(title)
    table.add_column("way", no_wrap=True)
    seconds = ("seconds", "seconds a chain") if isinstance(measured, GroupCost) else ()
    for name in (*seconds, "calls", "positions a call", *_PARTS, "of peak", "memory", "calls and Python"):
        table.add_column(name, justify="right")
    for cost in ran:
        shares, split = bench.roofline(cost), cost.split
        assert shares is not None  # noqa: S101 - a mode that ran has all of them
        assert split is not None  # noqa: S101 - as above
        in_all = [f"{cost.seconds:.1f}", f"{(cost.seconds or 0.0) / len(measured.chain_ids):.2f}"] if seconds else []  # type: ignore[union-attr] # seconds are a group's
        table.add_row(
            way_name(cost),
            *in_all,
            f"{cost.calls:,}",
            f"{cost.positions_a_call or 0:,.0f}",
            *(f"{getattr(split, part) / split.total:.0%}" for part in _PARTS),
            *(f"{share:.0%}" for share in (shares.arithmetic, shares.memory, shares.overhead)),
        )
    return table


def notes(bench: Bench, measured: ChainCost | GroupCost) -> list[str]:
    """Return lines to print below the tables.

    They name the estimator that prunes as the mode between steps does, the modes that were skipped and why, what the
    audit of the fast run found, and in one sentence for each mode what bounds it.
    """
    group = f"{len(measured.chain_ids)} chains at once, " if isinstance(measured, GroupCost) else ""
    lines = []
    if not group and any(cost.mode is ReuseMode.BETWEEN_STEPS for cost in measured.modes):
        lines.append(f"{ReuseMode.BETWEEN_STEPS} is what {EXACT_PRUNING} does")
    lines += [f"{group}{way_name(cost)}: skipped, {cost.skipped}" for cost in measured.modes if cost.skipped]
    for cost in measured.modes:
        steps = cost.diagnostics.get("audited_steps", 0)
        if steps:
            agreement, loss = cost.diagnostics["audit_agreement"], cost.diagnostics["audit_loss"]
            lines.append(
                f"{way_name(cost)}: at {steps:.0f} audited steps the choice was the best at {agreement:.0%}; "
                f"mean loss {loss:.2g} nats"
            )
    shares = [(cost, bench.roofline(cost)) for cost in measured.modes]
    lines += [f"{group}{way_name(cost)}: {share.sentence()}" for cost, share in shares if share is not None]
    return lines


def matmul_line(bench: Bench) -> str:
    """Return a line with the rates measured for matrix products and memory, and the model and device they are of."""
    rates = ", ".join(
        f"{rate.name} [{rate.rows}, {rate.inner}] x [{rate.inner}, {rate.columns}] "
        f"{rate.operations_per_second / 1e9:.1f} GFLOP/s"
        for rate in bench.matmul
    )
    where = bench.surroundings
    model = f"{where['model_id']} ({where['dtype']}, {where['device']}, {_threads(bench)})"
    return f"{model}; matrix products: {rates}; memory: {bench.memory_rate / 1e9:.1f} GB/s"


@styled
def draw_growth(bench: Bench) -> Figure:
    """Draw token positions, seconds and positions a call against the length of the reasoning, axes logarithmic."""
    figure = new_figure(150)
    positions, seconds, a_call = (figure.add_subplot(3, 1, place, axes_class=ShownAxes) for place in (1, 2, 3))
    lengths = sorted({chain.reasoning_tokens for chain in bench.chains})
    positions.plot(
        [chain.reasoning_tokens for chain in bench.chains],
        [chain.from_scratch_positions for chain in bench.chains],
        ":",
        color=INK,
        label="from-scratch, counted",
    )
    for mode, (colour, marker) in _LOOKS.items():
        for reading, style in _LINES.items():
            run = [
                (chain.reasoning_tokens, cost)
                for chain in bench.chains
                for cost in chain.modes
                if (cost.mode, cost.reading) == (mode, reading) and cost.seconds is not None
            ]
            if run:
                at, label = [length for length, _ in run], way_name(run[0][1])
                for axis, name in ((positions, "positions"), (seconds, "seconds"), (a_call, "positions_a_call")):
                    values = np.array([getattr(cost, name) for _, cost in run], dtype=np.float64)
                    axis.plot(at, values, style, color=colour, marker=marker, label=label)
    labels = ("token positions", "seconds", "token positions a call")
    for axis, label in zip((positions, seconds, a_call), labels, strict=True):
        prepare(axis)
        axis.set(xscale="log", yscale="log", xlabel="reasoning tokens", ylabel=label)
        axis.set_xticks(lengths, [str(length) for length in lengths])
        # Less than a decade would have no number with the powers of ten alone.
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:,g}")
        axis.minorticks_off()
    add_legend(positions)
    where = bench.surroundings
    model = f"model {str(where['model_id']).rstrip('/').rpartition('/')[2]}, objective {where['objective']['name']}"
    machine = f"{where['dtype']}, {where['device']}, {_threads(bench)}"
    head([positions], None, "Cost of pruning by length of the reasoning", model, machine)
    return figure


def _threads(bench: Bench) -> str:
    threads = bench.surroundings["threads"]
    return f"{threads} thread{'' if threads == 1 else 's'}"


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
