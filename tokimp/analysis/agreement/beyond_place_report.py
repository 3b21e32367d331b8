"""Table of what estimators agree on beyond place, beside its controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.report import agreement_table, measure_heading
from tokimp.report.conclusions import Estimate, conclusion
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, few_chains, interval_text, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node


def agreement_tables(result: xr.DataTree, node_name: str) -> list[Callable[..., Table]]:
    """Return what makes each table of an agreement: as it is, and beyond place.

    Where nothing is known beyond place, as of chains of one question or of a node of an older version, the second table
    is that with position partialled out linearly.
    """
    node = analysis_node(result, node_name)
    known = "beyond_place" in node and int(_off_diagonal(node["beyond_place_chains"]).max()) > 0
    return [agreement_table, beyond_place_table if known else partial(agreement_table, partial=True)]


def beyond_place_table(
    result: xr.DataTree, *, measures: Sequence[str] | None = None, node_name: str = "agreement"
) -> Table:
    """Return a table of every two estimators' mean agreement beyond place, with intervals and controls.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement``.
    measures
        The measures to show, in this order; all by default. The controls are of Spearman's correlation, and stand where
        it does.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the agreement has not been computed.
    """
    node = analysis_node(result, node_name)
    labels = [str(label) for label in node["estimator"].to_numpy()]
    shown = node["measure"].to_numpy().tolist() if measures is None else list(measures)
    used = int(_off_diagonal(node["beyond_place_chains"]).max())
    table = new_table(f"Agreement beyond place ({mean_text(node.attrs['confidence'], used)})")
    table.add_column("pair")
    has_controls, has_random = "spearman" in shown, "random_weights_mean" in node
    for measure in shown:
        table.add_column(measure_heading(node, measure), justify="right")
    if has_controls:
        table.add_column("Spearman, surprisal taken out", justify="right")
        if has_random:
            table.add_column("Spearman, random weights", justify="right")
    for one, other in combinations(labels, 2):
        pair = node.sel(estimator=one, other=other)
        cells = [_cell(pair.sel(measure=measure), "beyond_place") for measure in shown]
        if has_controls:
            of_spearman = pair.sel(measure="spearman")
            cells.append(_cell(of_spearman, "without_surprisal"))
            if has_random:
                cells.append(_cell(of_spearman, "random_weights"))
        table.add_row(f"{escape(one)} / {escape(other)}", *cells)
    table.add_section()
    noise = [f"±{number_text(float(node['noise'].sel(measure=measure)))}" for measure in shown]
    table.add_row("[dim]random orders[/]", *[f"[dim]{text}[/]" for text in noise])
    table.caption = _foot(node, labels, used)
    return keep_words_whole(table)


def _cell(pair: xr.Dataset, name: str) -> str:
    mean, low, high = (float(pair[f"{name}_{end}"]) for end in ("mean", "low", "high"))
    chains = f"{name}_chains" if f"{name}_chains" in pair else "beyond_place_chains"
    return interval_text(mean, low, high, int(pair[chains]))


def _off_diagonal(values: xr.DataArray) -> xr.DataArray:
    """Return the values of pairs of different estimators."""
    different = values["estimator"].to_numpy()[:, None] != values["other"].to_numpy()[None, :]
    return values.where(xr.DataArray(different, dims=("estimator", "other")), 0)


def _foot(node: xr.Dataset, labels: Sequence[str], used: int) -> str:
    """Return what the table is over, how it was made, what its chains can show, and what is told from chance."""
    if not used:
        return (
            "not known: place alone is seen where scores of chains of other questions stand beside a chain's own, and "
            "these chains are of one question, or too short to rank"
        )
    feet = [
        f"over {used} chain{'' if used == 1 else 's'}; agreement less that with scores of other chains (up to "
        f"{int(node.attrs['others'])}) at the same relative places; random orders: how far from chance they stay"
    ]
    feet += ties_text(node)
    if few_chains(used):
        return "; ".join([*feet, f"no intervals over fewer than {FEWEST_FOR_AN_INTERVAL} chains"])
    pairs = list(combinations(labels, 2))
    spearman = node.sel(measure="spearman")
    smallest = [float(spearman["smallest_found"].sel(estimator=one, other=other)) for one, other in pairs]
    if np.isfinite(smallest).any():
        feet.append(
            f"so many chains show a Spearman agreement of {np.nanmedian(smallest):.2f} (the median pair) with "
            "probability 0.8, without correction"
        )
    estimates = []
    for one, other in pairs:
        pair = spearman.sel(estimator=one, other=other)
        n_chains, p_value = int(pair["beyond_place_chains"]), float(pair["p_corrected"])
        estimates.append(Estimate.of(f"{escape(one)} / {escape(other)}", pair, "beyond_place", n_chains, p_value))
    count = int(np.isfinite([estimate.p_value for estimate in estimates]).sum())
    correction = f"Holm over {count} pair{'' if count == 1 else 's'}; the other measures are exploratory"
    about = conclusion(estimates, "Spearman agreement beyond place", correction=correction)
    return f"{'; '.join(feet)}. {about}"
