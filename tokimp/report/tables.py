"""Tables of a result for a terminal: its summary, what the estimators cost, and their diagnostics."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.report.diagnostic_meanings import diagnostic_meaning
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.schema import DIAGNOSTIC_PREFIX


def cost_table(result: xr.DataTree) -> Table:
    """Return a table of what each estimator cost: seconds and token positions, in all and per chain."""
    dataset = result.to_dataset()
    table = new_table("Cost (positions: token positions passed through the model)")
    labels = dataset["estimator"].to_numpy().tolist()
    table.add_column("estimator")
    for heading in ("chains", "seconds", "seconds a chain", "positions", "positions a chain"):
        table.add_column(heading, justify="right")
    for row, label in enumerate(labels):
        seconds = dataset["seconds"].to_numpy()[row]
        covered = ~np.isnan(seconds)
        _add_cost(table, escape(label), seconds[covered], dataset["tokens_forwarded"].to_numpy()[row][covered])
    table.add_section()
    _add_cost(
        table,
        "[dim]unpruned chains[/]",
        dataset["full_seconds"].to_numpy(),
        dataset["full_tokens_forwarded"].to_numpy(),
    )
    if len(labels) > 1:
        table.caption = "what an earlier method of the run had already asked costs a later one nothing"
    return keep_words_whole(table)


def diagnostics_table(result: xr.DataTree) -> Table:
    """Return a table of the diagnostics that estimators give: the median and the largest size over chains."""
    dataset = result.to_dataset()
    table = new_table("Diagnostics (what the methods say of their own scores)")
    for heading in ("estimator", "diagnostic"):
        table.add_column(heading)
    for heading in ("median", "largest size"):
        table.add_column(heading, justify="right")
    names = [str(name) for name in dataset.data_vars if str(name).startswith(DIAGNOSTIC_PREFIX)]
    meanings = dict[str, str]()
    for row, label in enumerate(dataset["estimator"].to_numpy().tolist()):
        for name in names:
            values = dataset[name].to_numpy()[row]
            said = values[~np.isnan(values)]
            if len(said):
                shown = (f"{value:.3g}" for value in (np.median(said), np.abs(said).max()))
                diagnostic = name.removeprefix(DIAGNOSTIC_PREFIX)
                table.add_row(escape(label), escape(diagnostic), *shown)
                meanings[diagnostic] = diagnostic_meaning(diagnostic)
    # Below and not beside the numbers: lines of a table are to fit on a terminal.
    explained = [f"{escape(diagnostic)}: {meaning}" for diagnostic, meaning in sorted(meanings.items()) if meaning]
    table.caption = "\n".join([*explained, "What to make of them: docs/methods.md, Diagnostics"])
    return keep_words_whole(table)


def summary_line(result: xr.DataTree) -> str:
    """Return one line about a result: chains, tokens, records left out, model, backend, objective and unit."""
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
