"""Tables of the analysis `effects`."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.concluded import concluded
from tokimp.analysis.effects.pairs import PairOfUnits, largest_differences, largest_effects
from tokimp.report.number_texts import interval_of, mean_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.effects_schema import effect_labels

_LONGEST_TEXT = 28


def reach_table(result: xr.DataTree, node_name: str = "effects") -> Table:
    """Return how far effects reach, and how much of what reaches the answer may pass through other units."""
    node = analysis_node(result, node_name)
    has_any = node["distance_share"].notnull().any(dim="distance")
    used = int(has_any.sum(dim="chain").max())
    table = new_table(f"Effects of units on later units ({mean_text(node.attrs['confidence'], used)})")
    table.add_column("estimator")
    distances = [str(text) for text in node["distance"].to_numpy()]
    for text in distances:
        table.add_column(f"on the {text} unit" if text == "next" else f"{text} units on", justify="right")
    table.add_column("mostly through others", justify="right")
    table.add_column("rank kept by paths", justify="right")
    for label in node["effect_estimator"].to_numpy():
        row = node.sel(effect_estimator=label)
        count = int(has_any.sel(effect_estimator=label).sum())
        shares = [interval_of(row.sel(distance=text), "distance_share", count) for text in distances]
        paths = [interval_of(row, name, count) for name in ("mostly_through_others", "path_agreement")]
        table.add_row(escape(str(label)), *shares, *paths)
    table.add_section()
    pairs = [f"[dim]{float(node['pair_share'].sel(distance=text)):.2f}[/]" for text in distances]
    table.add_row("[dim]share of the pairs[/]", *pairs, "", "")
    table.caption = (
        f"over {used} chain{'' if used == 1 else 's'}; shares of all absolute effects; mostly through others: share of "
        "the units whose effect on the answer may pass through later units for the larger part; rank kept by paths: "
        "Spearman of the effect on the answer with and without what passes through others"
    )
    table.caption = "; ".join([str(table.caption), *ties_text(node)])
    return keep_words_whole(table)


def strongest_table(result: xr.DataTree, count: int = 5, apart: int = 2) -> Table:
    """Return the strongest effects of each estimator between units some units apart."""
    table = new_table(f"Strongest effects between units at least {apart} apart")
    for heading in ("estimator", "chain", "unit taken away", "unit that loses"):
        table.add_column(heading)
    for heading in ("apart", "effect"):
        table.add_column(heading, justify="right")
    for label in effect_labels(result):
        for pair in largest_effects(result, label, count, apart):
            table.add_row(escape(label), *_shown(pair), str(pair.apart), f"{pair.values[0]:.2f}")
        table.add_section()
    table.caption = (
        "effect: log-probability (nats) that the second unit loses when the first is taken away; of resample, how much "
        "larger the share of continuations that hold the second is once the first is given"
    )
    return table


def disagreement_table(result: xr.DataTree, node_name: str = "effects", count: int = 5, apart: int = 2) -> Table:
    """Return how far the effects of every two estimators agree, and the pairs of units whose effects differ most."""
    node = analysis_node(result, node_name)
    table = new_table("Where two methods see other effects")
    for heading in ("methods", "Spearman", "given distance", "chain", "unit taken away", "unit that loses"):
        table.add_column(heading)
    table.add_column("effects", justify="right")
    labels = [str(label) for label in node["effect_estimator"].to_numpy()]
    for index, one in enumerate(labels):
        for other in labels[index + 1 :]:
            rows = [node.sel(effect_estimator=one, other=other, partial=partial) for partial in (False, True)]
            means = [interval_of(row, "agreement", int(row["chains_used"])) for row in rows]
            heads = [f"{escape(one)} / {escape(other)}", *means]
            pairs = largest_differences(result, one, other, count, apart)
            cells = [[*_shown(pair), " / ".join(f"{value:.2f}" for value in pair.values)] for pair in pairs]
            for row in cells or [["", "", "", ""]]:
                table.add_row(*heads, *row)
                heads = ["", "", ""]
            table.add_section()
    used = int(node["chains_used"].max())
    table.caption = (
        f"Spearman over all pairs of a chain, mean over {used} chain{'' if used == 1 else 's'}; the pairs below are "
        f"those at least {apart} units apart whose effects differ most"
    )
    compared = list(combinations(labels, 2))
    if compared:
        by_chain = [
            node["agreement"].sel(effect_estimator=one, other=other, partial=True).to_numpy() for one, other in compared
        ]
        names = [f"{escape(one)} / {escape(other)}" for one, other in compared]
        table.caption += f". {concluded(names, np.stack(by_chain), 'agreement given distance')}"
    return table


def _shown(pair: PairOfUnits) -> list[str]:
    return [escape(pair.chain_id), *(escape(_shortened(text, _LONGEST_TEXT)) for text in pair.texts)]


def _shortened(text: str, most: int) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else plain[: most - 3] + "..."
