"""Tables of a result for a terminal: how far the estimators agree, and what they cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import xarray as xr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tokimp.contracts.estimator import IntArray
from tokimp.contracts.scorer import FloatArray
from tokimp.errors import SchemaError
from tokimp.report.terminal import (
    FEWEST_FOR_AN_INTERVAL,
    console_for,
    interval_text,
    keep_words_whole,
    mean_text,
    new_table,
    number_text,
    print_whole,
    table_widths,
)
from tokimp.results.schema import DIAGNOSTIC_PREFIX

# Share of a chain's units; greedy pruning stopped at half leaves half of them tied.
MANY_TIES = 0.25
_TITLES = {"spearman": "Spearman", "kendall": "Kendall tau-b", "top_k_overlap": "top-k overlap", "rbo": "RBO"}


def agreement_table(result: xr.DataTree, *, partial: bool = False, measures: Sequence[str] | None = None) -> Table:
    """Return a table of every two estimators' mean agreement, with intervals.

    Intervals over fewer than five chains are left out: resampling so few says nothing about other chains.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement``.
    partial
        Whether position is partialled out.
    measures
        Which measures, in this order; all by default.

    Raises
    ------
    SchemaError
        If the agreement has not been computed.
    """
    node = _agreement(result)
    chosen = node.sel(partial=partial)
    labels = node["estimator"].to_numpy().tolist()
    pairs = [chosen.sel(estimator=one, other=other) for one, other in combinations(labels, 2)]
    counts = [_counts(pair) for pair in pairs]
    used = node["chains_used"].isel(measure=0)
    itself = {label: used.sel(estimator=label, other=label) for label in labels}
    followers = followers_of_position(itself) if partial else []
    # What holds for most pairs that can be compared is said once, below the table; what differs stands with its pair.
    comparable = [index for index, pair in enumerate(combinations(labels, 2)) if not set(pair) & set(followers)]
    ranked = [index for index in comparable if int(pairs[index]["chains_used"].max())] or comparable
    usual = Counter(counts[index] for index in ranked).most_common(1)
    what = "position partialled out" if partial else "as it is"
    shows = mean_text(node.attrs["confidence"], max((int(pair["chains_used"].max()) for pair in pairs), default=0))
    table = new_table(f"Agreement, {what} ({shows})")
    names = [f"{escape(one)} / {escape(other)}" for one, other in combinations(labels, 2)]
    for index in comparable:
        if counts[index] != usual[0][0]:
            names[index] += f" [dim](over {counts[index]})[/]"
    table.add_column("pair")
    shown = node["measure"].to_numpy().tolist() if measures is None else list(measures)
    columns = [[_interval(pair.sel(measure=measure)) for pair in pairs] for measure in shown]
    for measure in shown:
        table.add_column(_heading(node, measure), justify="right")
    for name, *cells in zip(names, *columns, strict=True):
        table.add_row(name, *cells)
    table.add_section()
    chance = [number_text(float(node["chance_mean"].sel(measure=measure))) for measure in shown]
    table.add_row("[dim]by chance[/]", *chance)
    feet = [f"over {said}" for said, _ in usual]
    if any(0 < int(pair["chains_used"].max()) < FEWEST_FOR_AN_INTERVAL for pair in pairs):
        feet.append(f"no intervals over fewer than {FEWEST_FOR_AN_INTERVAL} chains")
    table.caption = "; ".join([*feet, *followers_text(followers), *_ties_text(node, itself, partial=partial)])
    return keep_words_whole(table)


def followers_of_position(itself: Mapping[str, xr.DataArray]) -> list[str]:
    """Return the estimators that follow position exactly: nothing of them is left once position is partialled out.

    Parameters
    ----------
    itself
        Of each estimator, on how many chains it is compared with itself, along ``partial``.
    """
    return [name for name, used in itself.items() if int(used.sel(partial=False)) and not int(used.sel(partial=True))]


def _ties_text(node: xr.Dataset, itself: Mapping[str, xr.DataArray], *, partial: bool) -> list[str]:
    """Return what the foot says of estimators that tie many units and have a value: nothing, or one text."""
    if "tied" not in node:  # computed before ties were counted
        return []
    share = node["tied"].mean("chain")
    shown = [
        escape(label)
        for label, used in itself.items()
        if int(used.sel(partial=partial)) and float(share.sel(estimator=label)) > MANY_TIES
    ]
    if not shown:
        return []
    what = "given position, ties are told apart by place" if partial else "overlap and RBO of many ties tell little"
    return [f"{' and '.join(shown)}: more than {MANY_TIES:.0%} of the units tie; {what}, so trust Spearman alone"]


def followers_text(labels: Sequence[str], undefined: str = "undefined with") -> list[str]:
    """Return what the foot of a table, position partialled out, says of those that follow it: nothing, or one text.

    `undefined` goes before their names: it says of which cells the foot speaks.
    """
    names = " and ".join(map(escape, labels))
    left = "of which nothing is left once position is partialled out"
    return [f"{undefined} {names}, {left}"] if labels else []


def cost_table(result: xr.DataTree) -> Table:
    """Return a table of what each estimator cost: seconds and token positions, in all and a chain."""
    dataset = result.to_dataset()
    table = new_table("Cost (positions: token positions passed through the model)")
    labels = dataset["estimator"].to_numpy().tolist()
    table.add_column("estimator")
    for heading in ("chains", "seconds", "seconds a chain", "positions", "positions a chain"):
        table.add_column(heading, justify="right")
    for row, label in enumerate(labels):
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
    return keep_words_whole(table)


def diagnostics_table(result: xr.DataTree) -> Table:
    """Return a table of what estimators say about their own scores: median and largest size over chains."""
    dataset = result.to_dataset()
    table = new_table("Diagnostics (what the methods say of their own scores)")
    for heading in ("estimator", "diagnostic"):
        table.add_column(heading)
    for heading in ("median", "largest size"):
        table.add_column(heading, justify="right")
    for name in (str(name) for name in dataset.data_vars if str(name).startswith(DIAGNOSTIC_PREFIX)):
        for label, values in zip(dataset["estimator"].to_numpy().tolist(), dataset[name].to_numpy(), strict=True):
            said = values[~np.isnan(values)]
            if len(said):
                shown = (f"{value:.3g}" for value in (np.median(said), np.abs(said).max()))
                table.add_row(escape(label), escape(name.removeprefix(DIAGNOSTIC_PREFIX)), *shown)
    return keep_words_whole(table)


def summary_line(result: xr.DataTree) -> str:
    """Return one line: chains, tokens, records left out, model, backend, objective and unit."""
    attributes = result.attrs
    lengths = result["reasoning_length"].to_numpy()
    shortest, longest = int(lengths.min()), int(lengths.max())
    extent = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    parts = [
        f"chains: {len(lengths)}, of {extent} reasoning tokens",
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
    tables = [cost_table(result)]
    diagnostics = diagnostics_table(result)
    if diagnostics.row_count:
        tables.append(diagnostics)
    agreements: list[Table] = []
    if result.sizes["estimator"] > 1:
        agreements = [agreement_table(result, partial=partial) for partial in (False, True)]
    console = console or console_for([*agreements, *tables])
    console.print(escape(summary_line(result)), highlight=False)
    for record in json.loads(result.attrs["skipped"]):
        console.print(escape(f"  left out: {record['where']}: {record['reason']}"), highlight=False)
    for partial, whole in zip((False, True), agreements, strict=False):
        _print_agreement(console, result, whole, partial=partial)
    for table in tables:
        print_whole(console, table)


def _print_agreement(console: Console, result: xr.DataTree, whole: Table, *, partial: bool) -> None:
    """Print an agreement table; where the console is too narrow for all measures, as several tables."""
    if table_widths(console, whole).minimum <= console.width:
        print_whole(console, whole)
        return
    measures = _agreement(result)["measure"].to_numpy().tolist()
    for begin in range(0, len(measures), 2):
        print_whole(console, agreement_table(result, partial=partial, measures=measures[begin : begin + 2]))


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
    return interval_text(mean, low, high, int(cell["chains_used"]))


def _counts(pair: xr.Dataset) -> str:
    """Return how many chains a pair's means are over, and how many were left out for what."""
    first = pair.isel(measure=0)
    reasons = {
        "chains_short": f"too short (under {pair.attrs['minimum_units']} units)",
        "chains_absent": "absent",
        "chains_undefined": "undefined",
    }
    counted = {reason: int(first[name]) for name, reason in reasons.items()}
    left_out = ", ".join(f"{count} {reason}" for reason, count in counted.items() if count)
    used = int(first["chains_used"])
    return f"{used} chain{'' if used == 1 else 's'}" + (f"; left out: {left_out}" if left_out else "")


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
