"""Table of the dynamics: how well the next deletions are predicted, over the context ratio."""

from __future__ import annotations

import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.concluded import concluded
from tokimp.analysis.dynamics.predictors import RANDOM
from tokimp.report.number_texts import chains_text, interval_of
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node


def dynamics_table(result: xr.DataTree, k: int = 5, *, node_name: str = "dynamics") -> Table:
    """Return a table of the share of the next k deletions that each prediction has, and of its rank correlation.

    Parameters
    ----------
    result
        A result with the node ``/analysis/dynamics``.
    k
        The k to show, or the nearest one that was computed.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    at = node.sel(k=k, method="nearest")
    table = new_table(
        f"Dynamics: share of the next {int(at['k'])} deletions of {escape(str(node.attrs['path']))} predicted, and "
        "rank correlation over what is left"
    )
    table.add_column("context ratio", justify="right")
    predictors = [str(name) for name in node["predictor"].to_numpy()]
    for name in predictors:
        table.add_column(escape(name), justify="right")
    most = int(at["overlap_chains"].max())
    for ratio in node["context_ratio"].to_numpy():
        cells = [at.sel(predictor=name, context_ratio=ratio) for name in predictors]
        # Short chains drop out as fewer units are left, so that a row may be about other chains than the one above.
        count = max(int(cell["overlap_chains"]) for cell in cells)
        heading = f"{ratio:.1f}" + (f" [dim](over {count})[/]" if 0 < count < most else "")
        table.add_row(heading, *(interval_of(cell, "overlap", int(cell["overlap_chains"])) for cell in cells))
        table.add_row(
            "[dim]correlation[/]",
            *(interval_of(cell, "correlation", int(cell["correlation_chains"])) for cell in cells),
        )
    counts = at["overlap_chains"].to_numpy()
    feet = [f"over at most {chains_text(int(counts.max()), node.attrs['confidence'])}"]
    others = [name for name in predictors if name != RANDOM]
    overlap = at["overlap"].mean("context_ratio")
    gains = (overlap.sel(predictor=others) - overlap.sel(predictor=RANDOM)).transpose("predictor", "chain").to_numpy()
    said = concluded([escape(name) for name in others], gains, "overlap less that of random orders, mean over ratios")
    table.caption = f"{'; '.join([*feet, *_reasons_of_dashes(at), *ties_text(node)])}. {said}"
    return keep_words_whole(table)


def _reasons_of_dashes(node: xr.Dataset) -> list[str]:
    """Return why some predictions have no value for one k: the path is too short, or the prediction is undefined.

    Random orders never rank all units alike, so they have a value exactly where the path is long enough.
    """
    counts = node[["overlap_chains", "correlation_chains"]].to_dataarray("measure")
    path_is_long_enough = counts.sel(predictor=RANDOM) > 0
    reasons = []
    if not path_is_long_enough.all():
        reasons.append("a dash in all columns: too little of the path follows; a correlation needs all of it")
    undefined = (path_is_long_enough & (counts == 0)).any(("measure", "context_ratio"))
    labels = [escape(str(label)) for label in node["predictor"].to_numpy()[undefined.to_numpy()]]
    if labels:
        reasons.append(f"a dash of {' and '.join(labels)} alone: what is left is ranked alike, or not at all")
    return reasons
