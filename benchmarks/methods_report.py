"""The tables of benchmarks/methods.py, in Markdown: each estimator's cost, and how it does beside position and others.

Intervals are at 95 %, of means over chains. Means of paired differences and of correlations are tested against 0,
two-sided, with Holm's correction over the estimators of the column: one star is p < 0.05, two are p < 0.001.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

import tokimp as ti
from tokimp.analysis.statistics.intervals import DIFFERENCE_OF_CORRELATIONS, UNBOUNDED, mean_interval, mean_p_value
from tokimp.chains.arrays import FloatArray
from tokimp.results.analysis_nodes import analysis_node, node_names

REFERENCE = "position"
AGREEMENT = "agreement,minimum_units=3"
# With which estimators agreement is printed: by name, then as the label begins.
BESIDE = {"greedy": "greedy", "leave one out": "leave_one_out", "resample": "resample:temperature"}
_NOT_SHOWN = re.compile(r"(temperature|rollouts|folder|success|path|p_gap)=[^,]*")


def print_report(out: Path, names: Sequence[str]) -> None:
    """Print the tables of all runs that have a result."""
    for name in names:
        file = out / name / "results.nc"
        if not file.exists():
            print(f"\n## {name}: nothing yet")
            continue
        result = ti.load(file)
        print(f"\n## {name}\n\n{result.sizes['chain']} chains of {result.sizes['token']:,} tokens in all; ", end="")
        print(f"{result.attrs['model_id']} on {result.attrs['backend']}, {result.attrs['device']}\n")
        print_table(columns(result))


def columns(result: xr.DataTree) -> dict[str, list[str]]:
    """Return the table of a run by its heads: a text for each estimator."""
    labels = [str(label) for label in result.to_dataset()["estimator"].to_numpy()]
    table = {"estimator": [short(label) for label in labels]}
    seconds, positions = result["seconds"].to_numpy(), result["tokens_forwarded"].to_numpy().astype(float)
    positions[np.isnan(seconds)] = np.nan
    table["positions a chain"] = [f"{value:,.0f}" for value in np.nanmean(positions, axis=1)]
    table["seconds a chain"] = [f"{value:.3f}" for value in np.nanmean(seconds, axis=1)]
    nodes = [*node_names(result, "planted"), *node_names(result, "faithfulness")]
    if "planted" in nodes:
        planted = analysis_node(result, "planted")["value"].sel(measure="auroc", level="unit")
        table["filler AUROC"] = [interval(values, (0.0, 1.0)) for values in planted.to_numpy()]
    for operator, node in (("", "faithfulness"), (", masked", "faithfulness,operator=mask")):
        if node in nodes:
            table |= _areas(analysis_node(result, node), labels, operator)
    if AGREEMENT in node_names(result, "agreement"):
        beyond = analysis_node(result, AGREEMENT)["beyond_place"].sel(measure="spearman")
        for head, begins in BESIDE.items():
            other = next((index for index, label in enumerate(labels) if label.startswith(begins)), None)
            if other is not None:
                itself = [index == other for index in range(len(labels))]
                rows = beyond.isel(other=other).transpose("estimator", "chain").to_numpy()
                table[f"{head}, beyond place"] = tested(rows, itself, DIFFERENCE_OF_CORRELATIONS)
    return table


def _areas(node: xr.Dataset, labels: Sequence[str], operator: str) -> dict[str, list[str]]:
    """Return the columns of one way to take units away: the two areas, and how far each is better than position's."""
    areas = node["area"].sel(measure="answer")
    found = {}
    for curve, sign in (("least_first", 1), ("most_first", -1)):
        by_estimator = areas.sel(curve=curve).to_numpy()
        head = curve.replace("_", " ") + operator
        found[head] = [interval(values, (-np.inf, 0.0)) for values in by_estimator]
        if REFERENCE in labels:
            better = sign * (by_estimator - by_estimator[labels.index(REFERENCE)])
            found[f"{head}: better than position by"] = tested(
                better, [label == REFERENCE for label in labels], UNBOUNDED
            )
    return found


def tested(rows: FloatArray, itself: Sequence[bool], bounds: tuple[float, float]) -> list[str]:
    """Return means with intervals, starred where they differ from 0, Holm's correction over all rows but the own one.

    Parameters
    ----------
    rows
        [estimator, chain]
    itself
        Whether a row compares an estimator with itself; such a row is empty.
    bounds
        Least and greatest value that a mean can have.
    """
    p_values = np.array([np.nan if own else mean_p_value(row) for row, own in zip(rows, itself, strict=True)])
    adjusted = holm(p_values)
    texts = []
    for row, own, p_value in zip(rows, itself, adjusted, strict=True):
        stars = "**" if p_value < 0.001 else "*" if p_value < 0.05 else ""
        texts.append("" if own else interval(row, bounds) + stars.replace("*", "\\*"))
    return texts


def holm(p_values: FloatArray) -> FloatArray:
    """Return p-values adjusted by Holm's step-down procedure (1979); NaN stays NaN and counts as no test.

    Examples
    --------
    >>> holm(np.array([0.01, np.nan, 0.04, 0.03])).round(2).tolist()
    [0.03, nan, 0.06, 0.06]
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else []
    return adjusted


def interval(values: FloatArray, bounds: tuple[float, float] = UNBOUNDED) -> str:
    """Return a mean and its interval as text; empty where there is nothing to average."""
    found = mean_interval(np.asarray(values, dtype=np.float64), bounds=bounds)
    if np.isnan(found.mean):
        return ""
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]" if not np.isnan(found.low) else f"{found.mean:.2f}"


def short(label: str) -> str:
    """Return an estimator's label without what only says where files are and how texts were drawn."""
    name, _, parameters = label.partition(":")
    kept = [part for part in parameters.split(",") if part and not _NOT_SHOWN.fullmatch(part)]
    fitted = ", fitted" if "path=" in parameters else ""
    return f"`{name}{':' + ','.join(kept) if kept else ''}`{fitted}"


def print_table(table: dict[str, list[str]]) -> None:
    """Print a table by its heads in Markdown."""
    print("| " + " | ".join(table) + " |")
    print("|" + " --- |" * len(table))
    for row in zip(*table.values(), strict=True):
        print("| " + " | ".join(row) + " |")
