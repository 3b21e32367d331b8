"""Tables and figure of the agreement of estimators within groups of units or chains."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import xarray as xr
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.report import followers_of_position, followers_text
from tokimp.analysis.agreement.row_panels import PANELS, draw_marks, draw_row_panels, mark_undefined_rows
from tokimp.report.figure_style import finish
from tokimp.report.number_texts import chains_text, interval_of, mean_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node

# A figure of more rows than these is not read.
MOST_PAIRS = 15


def agreement_within_table(result: xr.DataTree, *, partial: bool = False, node_name: str = "agreement_within") -> Table:
    """Return a table of every two estimators' mean correlation, one column a group.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement_within``.
    partial
        Whether position is partialled out.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    table = new_table(f"Spearman correlation by {node.attrs['by']}, {dict(PANELS)[partial]}")
    table.add_column("pair")
    groups = node["group"].to_numpy().tolist()
    for group in groups:
        table.add_column(escape(str(group)), justify="right")
    labels = node["estimator"].to_numpy().tolist()
    for one, other in combinations(labels, 2):
        pair = node.sel(estimator=one, other=other, partial=partial)
        table.add_row(f"{escape(one)} / {escape(other)}", *(interval_of(pair.sel(group=group)) for group in groups))
    table.add_section()
    counts = node["chains_used"].max(("partial", "estimator", "other"))
    table.add_row("[dim]chains[/]", *(str(int(counts.sel(group=group))) for group in groups))
    feet = [mean_text(node.attrs["confidence"], int(node["chains_used"].max()))]
    if partial:
        used = node["chains_used"].max("group")
        itself = {str(label): used.sel(estimator=label, other=label) for label in labels}
        feet += followers_text(followers_of_position(itself), "undefined with")
    table.caption = "; ".join(feet)
    return keep_words_whole(table)


def draw_agreement_within(result: xr.DataTree, *, node_name: str = "agreement_within") -> Figure:
    """Draw the mean correlation of every two estimators in each group: a row a pair, a mark with its interval a group.

    The left panel shows it as it is, the right one with position partialled out. Pairs without any value have no row.
    If there are more than fifteen pairs, those whose groups differ most are drawn, in the result's order: the range of
    the groups' means decides, in the panel where it is greater. Pairs with a value in one group only come after those.
    With a single group, the pairs that correlate most, with either sign, are drawn.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    defined = [
        pair
        for pair in combinations(map(str, node["estimator"].to_numpy()), 2)
        if int(node["chains_used"].sel(estimator=pair[0], other=pair[1]).max())
    ]
    pairs = _pairs_to_draw(node, defined)
    groups = [str(group) for group in node["group"].to_numpy()]
    figure, axes = draw_row_panels([f"{one} / {other}" for one, other in pairs], 0.3 + 0.12 * len(groups))
    for axis, (partial, _) in zip(axes, PANELS, strict=True):
        for index, group in enumerate(groups):
            cells = [node.sel(estimator=one, other=other, group=group, partial=partial) for one, other in pairs]
            draw_marks(axis, cells, index, len(groups), group)
        mark_undefined_rows(axis, [node.sel(estimator=one, other=other, partial=partial) for one, other in pairs])
    note = chains_text(int(node["chains_used"].max()), node.attrs["confidence"])
    if len(pairs) < len(defined):
        which = "whose groups differ most" if len(groups) > 1 else "that correlate most, with either sign"
        note += f"; the {len(pairs)} of {len(defined)} pairs {which}"
    finish(figure, axes[0], f"agreement by {node.attrs['by']}, objective {result.attrs['objective']}; {note}")
    return figure


def _pairs_to_draw(node: xr.Dataset, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the `MOST_PAIRS` pairs that tell most, in the order in which they are given.

    They are those whose groups differ most; with a single group, those with the greatest absolute correlation.
    """
    keys = []
    for one, other in pairs:
        mean = node["mean"].sel(estimator=one, other=other)
        # The maximum skips a panel in which the pair has no value.
        span = float((mean.max("group") - mean.min("group")).max()) if node.sizes["group"] > 1 else 0.0
        has_several = bool((mean.notnull().sum("group") > 1).any())
        keys.append((-has_several, -span, -float(abs(mean).max())))
    places = sorted(sorted(range(len(pairs)), key=keys.__getitem__)[:MOST_PAIRS])
    return [pairs[place] for place in places]
