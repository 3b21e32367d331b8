"""Tables and figure of the analysis `effects`."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.effects.pairs import PairOfUnits, largest_differences, largest_effects
from tokimp.report.figure_style import PAPER, finish, line_look
from tokimp.report.number_texts import chains_text, interval_of, mean_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.effects import effects
from tokimp.results.effects_node import read_effects
from tokimp.results.effects_schema import effect_labels

_MOST_MATRICES = 3
_LONGEST_TEXT = 28
_LABELLED_UNITS = 25
_FINE = 0.1
"""Effects below this (nats) are coloured in proportion, larger ones by their logarithm."""


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
    return keep_words_whole(table)


def strongest_table(result: xr.DataTree, count: int = 5, apart: int = 2) -> Table:
    """Return the strongest effects of each estimator between units some units apart."""
    table = new_table(f"Strongest effects between units at least {apart} apart")
    for heading in ("estimator", "chain", "unit taken away", "unit that loses"):
        table.add_column(heading)
    for heading in ("apart", "nats"):
        table.add_column(heading, justify="right")
    for label in effect_labels(result):
        for pair in largest_effects(result, label, count, apart):
            table.add_row(escape(label), *_shown(pair), str(pair.apart), f"{pair.values[0]:.2f}")
        table.add_section()
    table.caption = "nats: log-probability that the second unit loses when the first is taken away"
    return table


def disagreement_table(result: xr.DataTree, node_name: str = "effects", count: int = 5, apart: int = 2) -> Table:
    """Return how far the effects of every two estimators agree, and the pairs of units whose effects differ most."""
    node = analysis_node(result, node_name)
    table = new_table("Where two methods see other effects")
    for heading in ("methods", "Spearman", "given distance", "chain", "unit taken away", "unit that loses"):
        table.add_column(heading)
    table.add_column("nats", justify="right")
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
    return table


def draw_effects(result: xr.DataTree, chain_id: str | None = None, *, node_name: str = "effects") -> Figure:
    """Draw the effects of one chain by each estimator as a matrix, and how far effects reach over all chains.

    Parameters
    ----------
    result
        A result with the node ``/analysis/effects``.
    chain_id
        The chain whose matrices are drawn; by default the first that has two units and effects by all estimators.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run, or there is no such chain.
    """
    node = analysis_node(result, node_name)
    labels = [str(label) for label in node["effect_estimator"].to_numpy()]
    drawn = labels[:_MOST_MATRICES]
    chain_id = _shown_chain(result, drawn) if chain_id is None else chain_id
    figure = Figure(figsize=(4.4 * len(drawn) + 4.6, 4.8), facecolor=PAPER, layout="constrained")
    *matrices, reach = figure.subplots(1, len(drawn) + 1)
    for axis, label in zip(matrices, drawn, strict=True):
        _draw_matrix(figure, axis, effects(result, chain_id, label))
    distances = [str(text) for text in node["distance"].to_numpy()]
    for index, label in enumerate(labels):
        mean = node["distance_share_mean"].sel(effect_estimator=label).to_numpy()
        reach.plot(range(len(distances)), mean, label=label, **line_look(index))
    reach.plot(range(len(distances)), node["pair_share"].to_numpy(), color="#999999", label="share of the pairs")
    reach.set_xticks(range(len(distances)), distances)
    reach.set_xlabel("units apart", fontsize=9)
    reach.set_ylabel("share of all absolute effects", fontsize=9)
    reach.set_ylim(0, 1)
    run = f"objective {result.attrs['objective']}, by {result.attrs['unit']}; matrices: chain {chain_id}"
    finish(figure, reach, f"{run}; {chains_text(node.sizes['chain'], node.attrs['confidence'])}")
    return figure


def _shown_chain(result: xr.DataTree, labels: list[str]) -> str:
    found = read_effects(result)
    ids = [str(chain_id) for chain_id in result["chain_id"].to_numpy()]
    known = [chain_id for chain_id in ids if all((label, chain_id) in found for label in labels)]
    several = [chain_id for chain_id in known if len(found[labels[0], chain_id].on_answer) > 1]
    return (several or known or ids)[0]


def _draw_matrix(figure: Figure, axis: Axes, matrix: xr.DataArray) -> None:
    values = matrix.to_numpy().astype(np.float64)
    shown = np.where(np.tri(len(values), dtype=bool), np.nan, values)
    # One more column, for what the answer loses.
    shown = np.concatenate([shown, matrix["on_answer"].to_numpy()[:, None]], axis=1)
    largest = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 1.0
    limit = max(largest, 2 * _FINE)
    image = axis.imshow(shown, cmap="RdBu_r", norm=SymLogNorm(_FINE, vmin=-limit, vmax=limit), aspect="auto")
    bar = figure.colorbar(image, ax=axis, shrink=0.8)
    bar.set_label("nats lost", fontsize=8)
    axis.set_title(str(matrix.attrs["estimator"]), fontsize=9, parse_math=False)
    axis.set_xlabel("unit that loses, and the answer", fontsize=9)
    axis.set_ylabel("unit taken away", fontsize=9)
    if len(values) <= _LABELLED_UNITS:
        texts = [_shortened(str(text), 10) for text in matrix["source_text"].to_numpy()]
        axis.set_xticks(range(len(values) + 1), [*texts, "answer"], rotation=90, fontsize=6, parse_math=False)
        axis.set_yticks(range(len(values)), texts, fontsize=6, parse_math=False)


def _shown(pair: PairOfUnits) -> list[str]:
    return [escape(pair.chain_id), *(escape(_shortened(text, _LONGEST_TEXT)) for text in pair.texts)]


def _shortened(text: str, most: int) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else plain[: most - 3] + "..."
