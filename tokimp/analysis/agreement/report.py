"""Tables of the agreement of estimators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, interval_of, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.by_chain import iterate

# Share of a chain's units above which ties are mentioned; greedy pruning stopped at half leaves half of them tied.
MANY_TIES = 0.25

FEWEST_TO_RANK = 2
"""Units of a chain; one alone has no order."""

_TITLES = {"spearman": "Spearman", "kendall": "Kendall tau-b", "top_k_overlap": "top-k overlap", "rbo": "RBO"}


def agreement_table(
    result: xr.DataTree, *, partial: bool = False, measures: Sequence[str] | None = None, node_name: str = "agreement"
) -> Table:
    """Return a table of every two estimators' mean agreement, with intervals.

    Intervals over fewer than five chains are left out, since so few say nothing about other chains.

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
    what = "position partialled out linearly" if partial else "as it is"
    shows = mean_text(node.attrs["confidence"], max((int(pair["chains_used"].max()) for pair in pairs), default=0))
    table = new_table(f"Agreement, {what} ({shows})")
    names = [f"{escape(one)} / {escape(other)}" for one, other in combinations(labels, 2)]
    for index in comparable:
        if counts[index] != usual[0][0]:
            names[index] += f" [dim](over {counts[index]})[/]"
    table.add_column("pair")
    shown = node["measure"].to_numpy().tolist() if measures is None else list(measures)
    columns = [[interval_of(pair.sel(measure=measure)) for pair in pairs] for measure in shown]
    has_place = not partial and "place_chance_mean" in node and bool(node["place_chance_mean"].notnull().any())
    headings = [measure_heading(node, measure) for measure in shown]
    if has_place:
        columns = _alternating(columns, [_by_place(pairs, measure) for measure in shown])
    for heading in headings:
        table.add_column(heading, justify="right")
        if has_place:
            table.add_bound_column("[dim]by place[/]")
    for name, *cells in zip(names, *columns, strict=True):
        table.add_row(name, *cells)
    table.add_section()
    by_chance = node["chance_mean"]
    if "partial" in by_chance.dims:  # not in a result of an older version
        by_chance = by_chance.sel(partial=partial)
    chance = [number_text(float(by_chance.sel(measure=measure))) for measure in shown]
    table.add_row("[dim]by chance[/]", *(_alternating(chance, [""] * len(shown)) if has_place else chance))
    feet = [f"over {text}" for text, _ in usual]
    if has_place:
        feet.append("by place: agreement with scores of other chains at the same relative places")
    if any(0 < int(pair["chains_used"].max()) < FEWEST_FOR_AN_INTERVAL for pair in pairs):
        feet.append(f"no intervals over fewer than {FEWEST_FOR_AN_INTERVAL} chains")
    feet += [*followers_text(followers), *_ties_text(node, itself, partial=partial)]
    table.caption = "; ".join([*feet, *(["what is not linear in position stays"] * partial)])
    return keep_words_whole(table)


def no_agreement_text(result: xr.DataTree, node_name: str) -> str:
    """Return why no two estimators were compared, where every chain has too few units; else an empty text."""
    node = analysis_node(result, node_name)
    if int(node["chains_short"].min()) < result.sizes["chain"]:
        return ""
    units = _most_units(result)
    why = (
        f"Agreement is not known: it needs chains of {node.attrs['minimum_units']} units or more, and the longest of "
        f"these has {units}."
    )
    if units < FEWEST_TO_RANK:
        return f"{why} One unit cannot be ranked; compare smaller ones, such as tokens."
    return (
        f"{why} `tokimp analyze RUN agreement:minimum_units={units}` compares shorter ones; how far two rankings of so "
        "few units agree is much a matter of luck."
    )


def no_agreement_table(result: xr.DataTree, node_name: str) -> Table:
    """Return, where every chain has too few units, a table of how many are needed and how many there are."""
    table = new_table("Agreement")
    for heading in ("units needed", "units of the longest chain"):
        table.add_column(heading, justify="right")
    table.add_row(str(analysis_node(result, node_name).attrs["minimum_units"]), str(_most_units(result)))
    table.caption = no_agreement_text(result, node_name)
    return keep_words_whole(table)


def _most_units(result: xr.DataTree) -> int:
    return max(int(chain["unit"].max()) + 1 for _, chain in iterate(result))


def _by_place(pairs: Sequence[xr.Dataset], measure: str) -> list[str]:
    """Return the agreement that place alone makes, one text a pair."""
    return [f"[dim]{number_text(float(pair['place_chance_mean'].sel(measure=measure)))}[/]" for pair in pairs]


def _alternating(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Return the items of two sequences of one length in turns."""
    return [item for both in zip(one, other, strict=True) for item in both]


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


def measure_heading(node: xr.Dataset, measure: str) -> str:
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
