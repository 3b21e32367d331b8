"""Tables of a result for a terminal: how far the estimators agree, and what they cost."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tokimp.errors import SchemaError
from tokimp.estimator import IntArray
from tokimp.schema import DIAGNOSTIC_PREFIX
from tokimp.scorer import FloatArray

_TITLES = {"spearman": "Spearman", "kendall": "Kendall tau-b", "top_k_overlap": "top-k overlap", "rbo": "RBO"}


def agreement_table(result: xr.DataTree, *, partial: bool = False) -> Table:
    """Return a table of every two estimators' mean agreement, with intervals.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement``.
    partial
        Whether position is partialled out.

    Raises
    ------
    SchemaError
        If the agreement has not been computed.
    """
    node = _agreement(result)
    share = f"{node.attrs['confidence']:.0%} interval over chains"
    what = "position partialled out" if partial else "as it is"
    chosen = node.sel(partial=partial)
    pairs = list(combinations(node["estimator"].to_numpy().tolist(), 2))
    counts: list[tuple[str, ...]] = [_counts(chosen.sel(estimator=one, other=other)) for one, other in pairs]
    table = _table(f"Agreement, {what} (mean, {share})")
    table.add_column("pair", overflow="fold", min_width=_label_width(node["estimator"].to_numpy().tolist()))
    measures = node["measure"].to_numpy().tolist()
    for measure in measures:
        table.add_column(_heading(node, measure), justify="right")
    # What is the same for all pairs is said once, so that the table fits a narrow terminal.
    if len(set(counts)) == 1:
        used, left_out = counts[0]
        table.caption = f"over {used} chains" + (f"; left out: {left_out}" if left_out else "")
        counts = [()] * len(pairs)
    else:
        table.add_column("chains", justify="right")
        table.add_column("left out", overflow="fold")
    for (one, other), counted in zip(pairs, counts, strict=True):
        pair = chosen.sel(estimator=one, other=other)
        cells = [_interval(pair.sel(measure=measure)) for measure in measures]
        table.add_row(f"{escape(one)} / {escape(other)}", *cells, *counted)
    table.add_section()
    chance = [_number(float(node["chance_mean"].sel(measure=measure))) for measure in measures]
    table.add_row("[dim]by chance[/]", *chance)
    return table


def _label_width(labels: list[str]) -> int:
    """Return the width at which no short label is broken within a word."""
    return min(20, max(len(label) for label in labels) + len(" /"))


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def cost_table(result: xr.DataTree) -> Table:
    """Return a table of what each estimator cost: seconds and token positions, in all and a chain."""
    dataset = result.to_dataset()
    table = _table("Cost (positions: token positions passed through the model)")
    table.add_column("estimator", overflow="fold")
    for heading in ("chains", "seconds", "seconds a chain", "positions", "positions a chain"):
        table.add_column(heading, justify="right")
    for row, label in enumerate(dataset["estimator"].to_numpy().tolist()):
        seconds = dataset["seconds"].to_numpy()[row]
        said = ~np.isnan(seconds)
        _add_cost(table, escape(label), seconds[said], dataset["tokens_forwarded"].to_numpy()[row][said])
    table.add_section()
    _add_cost(
        table,
        "[dim]unpruned chains[/]",
        dataset["full_seconds"].to_numpy(),
        dataset["full_tokens_forwarded"].to_numpy(),
    )
    return table


def diagnostics_table(result: xr.DataTree) -> Table:
    """Return a table of what estimators say about their own scores: median and largest size over chains."""
    dataset = result.to_dataset()
    table = _table("Diagnostics (what the methods say of their own scores)")
    for heading in ("estimator", "diagnostic"):
        table.add_column(heading, overflow="fold")
    for heading in ("median", "largest size"):
        table.add_column(heading, justify="right")
    for name in (str(name) for name in dataset.data_vars if str(name).startswith(DIAGNOSTIC_PREFIX)):
        for label, values in zip(dataset["estimator"].to_numpy().tolist(), dataset[name].to_numpy(), strict=True):
            said = values[~np.isnan(values)]
            if len(said):
                shown = (f"{value:.3g}" for value in (np.median(said), np.abs(said).max()))
                table.add_row(escape(label), escape(name.removeprefix(DIAGNOSTIC_PREFIX)), *shown)
    return table


def summary_line(result: xr.DataTree) -> str:
    """Return one line: chains, tokens, records left out, model, backend, objective and unit."""
    attributes = result.attrs
    lengths = result["reasoning_length"].to_numpy()
    parts = [
        f"chains: {len(lengths)}, of {lengths.min()} to {lengths.max()} reasoning tokens",
        f"{attributes['model_id']} on {attributes['backend']} ({attributes['dtype']}, {attributes['device']})",
        f"objective {attributes['objective']}",
        f"unit {attributes['unit']}",
    ]
    if attributes["skipped_count"]:
        parts.append(f"records left out: {attributes['skipped_count']}")
    return "; ".join(parts)


def print_report(result: xr.DataTree, console: Console | None = None) -> None:
    """Print a summary, both agreement tables (where there are two estimators) and the cost table.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement``.
    console
        Where to; standard output by default.
    """
    console = console or Console()
    console.print(escape(summary_line(result)), highlight=False)
    for record in json.loads(result.attrs["skipped"]):
        console.print(escape(f"  left out: {record['where']}: {record['reason']}"), highlight=False)
    if result.sizes["estimator"] > 1:
        console.print(agreement_table(result))
        console.print(agreement_table(result, partial=True))
    console.print(cost_table(result))
    diagnostics = diagnostics_table(result)
    if diagnostics.row_count:
        console.print(diagnostics)


def _agreement(result: xr.DataTree) -> xr.Dataset:
    if "/analysis/agreement" not in result.groups:
        raise SchemaError("the result has no agreement yet; run tokimp.analyze(result, 'agreement') on it first")
    return result["analysis/agreement"].to_dataset()


def _heading(node: xr.Dataset, measure: str) -> str:
    title = _TITLES.get(measure, measure)
    if measure == "top_k_overlap":
        top_k = node.attrs["top_k"]
        return f"top {top_k} overlap" if isinstance(top_k, int) else f"top {top_k:.0%} overlap"
    return f"{title} (p={node.attrs['rbo_p']:g})" if measure == "rbo" else title


def _interval(cell: xr.Dataset) -> str:
    mean, low, high = (float(cell[name]) for name in ("mean", "low", "high"))
    if not np.isfinite(low):
        return _number(mean)
    # No space within the brackets: on a narrow terminal the interval goes below the mean in one piece.
    return f"{_number(mean)} [dim]\\[{_number(low)},{_number(high)}][/]"


def _number(value: float) -> str:
    # Adding 0 after rounding turns a negative zero into zero.
    return f"{round(value, 2) + 0.0:.2f}" if np.isfinite(value) else "-"


def _counts(pair: xr.Dataset) -> tuple[str, ...]:
    """Return how many chains a pair's means are over, and how many were left out for what."""
    first = pair.isel(measure=0)
    reasons = {"chains_short": "too short", "chains_absent": "absent", "chains_undefined": "undefined"}
    counted = {reason: int(first[name]) for name, reason in reasons.items()}
    left_out = ", ".join(f"{count} {reason}" for reason, count in counted.items() if count)
    return str(int(first["chains_used"])), left_out


def _add_cost(table: Table, name: str, seconds: FloatArray, positions: IntArray) -> None:
    if not len(seconds):
        table.add_row(name, "0", "-", "-", "-", "-")
        return
    table.add_row(
        name,
        str(len(seconds)),
        f"{seconds.sum():,.2f}",
        f"{seconds.mean():,.3f}",
        f"{positions.sum():,}",
        f"{positions.mean():,.0f}",
    )
