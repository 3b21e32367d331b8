"""Tables and figure of the agreement of estimators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.errors import SchemaError
from tokimp.report.figure_style import INK, PAPER, SILENT
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, interval_of, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node

# Share of a chain's units above which ties are mentioned; greedy pruning stopped at half leaves half of them tied.
MANY_TIES = 0.25

_TITLES = {"spearman": "Spearman", "kendall": "Kendall tau-b", "top_k_overlap": "top-k overlap", "rbo": "RBO"}

_CORRELATIONS = ("spearman", "kendall")

_SCALES = {
    "spearman": "Spearman correlation",
    "kendall": "Kendall's tau-b",
    "top_k_overlap": "share of the top k in common",
    "rbo": "rank-biased overlap",
}


def agreement_table(
    result: xr.DataTree, *, partial: bool = False, measures: Sequence[str] | None = None, node_name: str = "agreement"
) -> Table:
    """Return a table of every two estimators' mean agreement, with intervals.

    Intervals over fewer than five chains are left out, since resampling so few says nothing about other chains.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement``.
    partial
        Whether position is partialled out.
    measures
        The measures to show, in this order; all by default.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the agreement has not been computed.
    """
    node = analysis_node(result, node_name)
    labels = node["estimator"].to_numpy().tolist()
    pairs = [node.sel(partial=partial, estimator=one, other=other) for one, other in combinations(labels, 2)]
    counts = [_counts(pair) for pair in pairs]
    used = node["chains_used"].isel(measure=0)
    itself = {label: used.sel(estimator=label, other=label) for label in labels}
    followers = followers_of_position(itself) if partial else []
    # The counts that most pairs have are given once, below the table; a pair with other counts has them beside it.
    comparable = [index for index, pair in enumerate(combinations(labels, 2)) if not set(pair) & set(followers)]
    with_value = [index for index in comparable if int(pairs[index]["chains_used"].max())] or comparable
    usual = Counter(counts[index] for index in with_value).most_common(1)
    what = "position partialled out" if partial else "as it is"
    shows = mean_text(node.attrs["confidence"], max((int(pair["chains_used"].max()) for pair in pairs), default=0))
    table = new_table(f"Agreement, {what} ({shows})")
    names = [f"{escape(one)} / {escape(other)}" for one, other in combinations(labels, 2)]
    for index in comparable:
        if counts[index] != usual[0][0]:
            names[index] += f" [dim](over {counts[index]})[/]"
    table.add_column("pair")
    shown = node["measure"].to_numpy().tolist() if measures is None else list(measures)
    columns = [[interval_of(pair.sel(measure=measure)) for pair in pairs] for measure in shown]
    for measure in shown:
        table.add_column(_heading(node, measure), justify="right")
    for name, *cells in zip(names, *columns, strict=True):
        table.add_row(name, *cells)
    table.add_section()
    by_chance = node["chance_mean"]
    if "partial" in by_chance.dims:  # not in a result of an older version
        by_chance = by_chance.sel(partial=partial)
    chance = [number_text(float(by_chance.sel(measure=measure))) for measure in shown]
    table.add_row("[dim]by chance[/]", *chance)
    feet = [f"over {text}" for text, _ in usual]
    if any(0 < int(pair["chains_used"].max()) < FEWEST_FOR_AN_INTERVAL for pair in pairs):
        feet.append(f"no intervals over fewer than {FEWEST_FOR_AN_INTERVAL} chains")
    table.caption = "; ".join([*feet, *followers_text(followers), *_ties_text(node, itself, partial=partial)])
    return keep_words_whole(table)


def followers_of_position(itself: Mapping[str, xr.DataArray]) -> list[str]:
    """Return the estimators that follow position exactly, and have no value once position is partialled out.

    Parameters
    ----------
    itself
        For each estimator, the number of chains on which it is compared with itself, along ``partial``.
    """
    return [name for name, used in itself.items() if int(used.sel(partial=False)) and not int(used.sel(partial=True))]


def _ties_text(node: xr.Dataset, itself: Mapping[str, xr.DataArray], *, partial: bool) -> list[str]:
    """Return the foot's text about estimators that tie many units and have a value; an empty list without them."""
    if "tied" not in node:  # a result of an older version, which did not count ties
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
    """Return the foot's text about estimators that follow position; an empty list without them.

    Parameters
    ----------
    labels
        The estimators, as `followers_of_position` returns them.
    undefined
        Words that precede their names and say which cells have no value.
    """
    names = " and ".join(map(escape, labels))
    return [f"{undefined} {names}, of which nothing is left once position is partialled out"] if labels else []


def _heading(node: xr.Dataset, measure: str) -> str:
    """Return the heading of a measure's column, with its parameter."""
    title = _TITLES.get(measure, measure)
    if measure == "top_k_overlap":
        top_k = node.attrs["top_k"]
        return f"top {top_k} overlap" if isinstance(top_k, int) else f"top {top_k:.0%} overlap"
    return f"{title} (p={node.attrs['rbo_p']:g})" if measure == "rbo" else title


def _counts(pair: xr.Dataset) -> str:
    """Return the number of chains that a pair's means are over, and of those left out for each reason, as text."""
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


def draw_agreement(result: xr.DataTree, measure: str = "spearman", *, node_name: str = "agreement") -> Figure:
    """Draw the mean agreement of every two estimators as two matrices: as it is, and with position partialled out.

    Parameters
    ----------
    result
        A result that ``tokimp.analyze(result, "agreement")`` has been run on.
    measure
        One of the measures stored there. A pair without a value is a dash on grey.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the agreement has not been computed, or has no such measure.
    """
    node = analysis_node(result, node_name)
    measures = [str(name) for name in node["measure"].to_numpy()]
    if measure not in measures:
        raise SchemaError(f"the agreement has no measure {measure!r}; it has {', '.join(measures)}")
    names = [str(name) for name in node["estimator"].to_numpy()]
    side = 1.4 + 0.72 * len(names)
    figure = Figure(figsize=(2 * side + 1.4, side + 0.6), facecolor=PAPER, layout="constrained")
    panels = figure.subplots(1, 2)
    # Correlations go from -1 to 1, overlaps from 0 to 1.
    lowest = -1 if measure in _CORRELATIONS else 0
    titles = ("as it is", "position partialled out")
    for axis, partial, title in zip(panels, (False, True), titles, strict=True):
        mean = node["mean"].sel(measure=measure, partial=partial).to_numpy()
        axis.set_facecolor(SILENT)
        image = axis.imshow(np.ma.masked_invalid(mean), cmap="RdBu_r", vmin=-1, vmax=1)
        for row, column in np.ndindex(*mean.shape):
            value = mean[row, column]
            text, color = (f"{value:.2f}", PAPER if abs(value) > 0.6 else INK) if np.isfinite(value) else ("-", INK)
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
        axis.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8, parse_math=False)
        axis.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
        axis.set_title(f"{measure}, {title}", fontsize=9)
    scale = figure.colorbar(image, ax=panels.tolist(), shrink=0.8)
    scale.ax.set_ylim(lowest, 1)
    scale.ax.tick_params(labelsize=8)
    scale.set_label(_SCALES.get(measure, measure), fontsize=9)
    used = int(node["chains_used"].sel(measure=measure).max())
    attributes = result.attrs
    what = f"agreement, objective {attributes['objective']}, unit {attributes['unit']}"
    figure.suptitle(f"{what}; mean over {used} chain{'' if used == 1 else 's'}", fontsize=9)
    return figure
