"""Table of the structure: the share that is kept of each category of tokens."""

from __future__ import annotations

import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.errors import SchemaError
from tokimp.report.conclusions import Estimate, conclusion
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, interval_of, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node

UNLABELLED = "(none)"


def structure_table(result: xr.DataTree, keep_ratio: float = 0.5, *, node_name: str = "structure") -> Table:
    """Return a table of the share of each category that each estimator keeps, its excess, and its mean rank.

    Parameters
    ----------
    result
        A result with the node ``/analysis/structure``.
    keep_ratio
        The keep ratio to show, or the nearest one that was computed.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run, or an older version ran it.
    """
    node = _structure_node(result, node_name)
    at = node.sel(keep_ratio=keep_ratio, method="nearest")
    ratio = float(at["keep_ratio"])
    source = node.attrs["categorizer"]
    table = new_table(f"Structure: share of a category's tokens kept at keep ratio {ratio:g} ({source})")
    table.add_column("category")
    table.add_column("tokens", justify="right")
    table.add_column("at random", justify="right")
    labels = [str(label) for label in node["estimator"].to_numpy()]
    for label in labels:
        table.add_column(escape(label), justify="right")
    for category in node["category"].to_numpy():
        cell = at.sel(category=category)
        # Shares rest on the chains that hold the category and on which the estimator reached the keep ratio.
        mean, *ends = (number_text(float(cell[name])) for name in ("uniform", "uniform_low", "uniform_high"))
        # No space within the brackets: in a narrow table the band goes below the mean in one piece.
        band = f"{mean} [dim]\\[{','.join(ends)}][/]"
        chains = int(cell["chains_with"])
        reached = [min(chains, int(at["chains_reached"].sel(estimator=label))) for label in labels]
        parts = [cell.sel(estimator=label) for label in labels]
        shares = [interval_of(part, "share", count) for part, count in zip(parts, reached, strict=True)]
        table.add_row(escape(str(category)), str(int(cell["tokens"])), band, *shares)
        excesses = [_excess_text(part) for part in parts]
        table.add_row("[dim]  beyond position[/]", "", "", *excesses)
        rank = [interval_of(part, "mean_rank", chains) for part in parts]
        table.add_row("[dim]  mean rank[/]", "", "", *rank)
    used = sorted({int(count) for count in node["chains_used"].to_numpy()})
    covered = str(used[0]) if len(used) == 1 else f"{used[0]} to {used[-1]}"
    feet = [
        f"over {covered} chains",
        f"{node.attrs['confidence']:.0%} intervals over chains",
        f"beyond position: share kept less what keeping as many units in each of {node.attrs['bands']} stretches at "
        "random would keep, of tokens in stretches whose units differ in the category",
    ]
    if used[-1] < FEWEST_FOR_AN_INTERVAL:
        feet[1] = "too few for intervals"
    stopped = [label for label in labels if _stopped_before(at, label)]
    if stopped:
        names = " and ".join(map(escape, stopped))
        feet.append(f"a dash: {names} did not delete down to that keep ratio, and ties all that was left")
    if "excess_chains" not in node:
        feet.append("a dash beyond position: an older tokimp computed it otherwise; run structure on the result again")
    elif bool((at["excess"].isnull() & at["share"].notnull()).any()):
        feet.append("a dash beyond position alone: not known, as no stretch has units that differ in the category")
    if UNLABELLED in node["category"].to_numpy():
        feet.append(f"{UNLABELLED}: tokens that have no category, such as white space")
    told = []
    for category in node["category"].to_numpy():
        for label in labels:
            cell = at.sel(category=category, estimator=label)
            value, low, high = (float(cell[f"excess{end}"]) for end in ("", "_low", "_high"))
            n_chains = int(cell["excess_chains"]) if "excess_chains" in cell else 0
            name = f"{escape(str(category))} by {escape(label)}"
            told.append(Estimate(name, value, low, high, n_chains=n_chains))
    feet = [*feet, *ties_text(node)]
    table.caption = f"{'; '.join(feet)}. {conclusion(told, 'what is kept beyond position')}"
    return keep_words_whole(table)


def _excess_text(cell: xr.Dataset) -> str:
    """Return the excess with its interval; a dash for one of an older version, which was 0 where nothing was known."""
    return interval_of(cell, "excess", int(cell["excess_chains"])) if "excess_chains" in cell else "-"


def _structure_node(result: xr.DataTree, node_name: str) -> xr.Dataset:
    """Return the node; raise `SchemaError` for one of an older version, which did not say how far estimators went."""
    node = analysis_node(result, node_name)
    if "chains_reached" not in node:
        raise SchemaError(
            "the structure of this result does not say how far its estimators deleted: an older tokimp computed it; "
            "run tokimp.analyze(result, 'structure') on it again"
        )
    return node


def _stopped_before(node: xr.Dataset, label: str) -> bool:
    """Return whether there is a keep ratio that an estimator reaches on none of the chains that it covers."""
    cell = node.sel(estimator=label)
    return bool(int(cell["chains_used"]) and (cell["share"].isnull().all("category")).any())
