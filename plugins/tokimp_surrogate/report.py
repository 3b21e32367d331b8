"""Tables of the surrogate analysis."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.report.conclusions import Estimate, conclusion
from tokimp.report.number_texts import few_chains, interval_of
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node

MODELS = {
    "mlp": "attention, perceptron",
    "ridge": "attention, ridge",
    "lexical": "ids of tokens, ridge",
    "both": "attention and ids, ridge",
    "position": "position alone, perceptron",
    "mean": "mean",
}
_SCOPES = {"pooled": "all units", "within": "within chains"}
FEWEST_TO_LEARN_FROM = 20
MOST_LAYERS = 10


def surrogate_table(result: xr.DataTree, measure: str = "pearson", *, node_name: str = "surrogate") -> Table:
    """Return a table of the correlations of held-out predictions with targets, one row a model and target.

    Parameters
    ----------
    result
        A result with the node ``/analysis/surrogate``.
    measure
        ``pearson`` or ``spearman``.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    intervals = "" if few_chains(int(node["chains_used"].max())) else f"; {node.attrs['confidence']:.0%} intervals"
    table = new_table(
        f"Surrogate: {'Pearson' if measure == 'pearson' else 'Spearman'} correlation on held-out chains "
        f"({int(node.attrs['features'])} attention features{intervals})"
    )
    table.add_column("target")
    table.add_column("predicted from")
    columns = [(scope, partial) for partial in (False, True) for scope in node["scope"].to_numpy()]
    for scope, partial in columns:
        table.add_column(_SCOPES[str(scope)] + (", beyond position" if partial else ""), justify="right")
    table.add_column("R squared", justify="right")
    for target in node["target"].to_numpy():
        of_target = node.sel(target=target)
        used = int(of_target["chains_used"])
        for index, model in enumerate(node["model"].to_numpy()):
            row = of_target.sel(model=model)
            cells = [row.sel(measure=measure, scope=scope, partial=partial) for scope, partial in columns]
            texts = [interval_of(cell, "correlation", used) for cell in cells]
            name = escape(str(target)) if not index else ""
            table.add_row(name, MODELS.get(str(model), str(model)), *texts, interval_of(row, "r_squared", used))
        table.add_section()
    chains, units = (sorted({int(count) for count in node[name].to_numpy()}) for name in ("chains_used", "units_used"))
    table.caption = (
        f"over {_span(chains)} chains, {_span(units)} units, each predicted by models fitted on other questions; "
        "all units: levels of chains count; beyond position: partialled out within each chain"
    )
    if node.attrs["left_out"]:
        table.caption += f"; left out, of too few questions: {escape(str(node.attrs['left_out']))}"
    few = node["target"].to_numpy()[node["chains_used"].to_numpy() < FEWEST_TO_LEARN_FROM]
    if len(few):
        names = " and ".join(escape(str(target)) for target in few)
        whose = f", as of {names}," if len(few) < node.sizes["target"] else ""
        table.caption += (
            f"; fewer than {FEWEST_TO_LEARN_FROM} chains{whose} are too few to learn much from: a low or negative "
            "R squared says little of what attention could tell"
        )
    if "attention_adds_mean" in node:  # not in a node of an older version
        table.caption += f". {_what_attention_adds(node)}"
    return keep_words_whole(table)


def _what_attention_adds(node: xr.Dataset) -> str:
    """Return the sentence that says whether attention predicts what the ids of tokens do not."""
    rows = [node.sel(target=target) for target in node["target"].to_numpy()]
    estimates = [
        Estimate.of(
            escape(str(row["target"].item())),
            row,
            "attention_adds",
            int(row["attention_adds"].notnull().sum()),
            float(row["attention_adds_p_corrected"]),
        )
        for row in rows
    ]
    said = conclusion(
        estimates,
        "what attention adds to the ids of tokens (Pearson within chains)",
        correction=f"Holm over {len(rows)} target{'' if len(rows) == 1 else 's'}",
    )
    return f"Ids alone: of the token before, the unit's own, and the next. {said}"


def group_table(result: xr.DataTree, *, node_name: str = "surrogate") -> list[Table]:
    """Return a table of what the perceptron's correlation loses if a group of features is shuffled.

    It has one row a group and target: every kind of feature, and of many layers those with the greatest loss within
    chains. The list is empty if no group was shuffled.

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
    if "group_drop" not in node:
        return []
    table = new_table("Surrogate: what Pearson's correlation loses where the features of a group are shuffled")
    table.add_column("target")
    table.add_column("features")
    scopes = [str(scope) for scope in node["scope"].to_numpy()]
    for scope in scopes:
        table.add_column(_SCOPES[scope], justify="right")
    for target in node["target"].to_numpy():
        of_target = node.sel(target=target)
        used = int(of_target["chains_used"])
        for index, group in enumerate(groups_to_show(of_target)):
            cells = [of_target.sel(scope=scope, group=group) for scope in scopes]
            texts = [interval_of(cell, "group_drop", used) for cell in cells]
            table.add_row(escape(str(target)) if not index else "", escape(group), *texts)
        table.add_section()
    table.caption = "of the perceptron on attention, on held-out chains; shuffled among all units, or within each chain"
    if _has_more_layers(node):
        table.caption += (
            f"; of {int(node.attrs['layers'])} layers the {MOST_LAYERS} with the greatest loss within chains, for each "
            "target; the result holds all"
        )
    return [keep_words_whole(table)]


def _has_more_layers(node: xr.Dataset) -> bool:
    """Return whether there are more layers than a table or a figure has room for."""
    return int(node.attrs["layers"]) > MOST_LAYERS


def groups_to_show(of_target: xr.Dataset) -> list[str]:
    """Return the groups of features to show for one target: all kinds, and the layers with the greatest loss."""
    groups = [str(group) for group in of_target["group"].to_numpy()]
    layers = [group for group in groups if group.startswith("layer ")]
    lost = of_target["group_drop"].sel(scope="within", group=layers).to_numpy()
    # NaN sorts last.
    shown = {layers[place] for place in np.argsort(-lost, kind="stable")[:MOST_LAYERS]}
    return [group for group in groups if group not in layers or group in shown]


def _span(counts: list[int]) -> str:
    """Return one count, or the least and the greatest of several in ascending order, as text."""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
