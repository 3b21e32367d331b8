"""Tables of the faithfulness: curves, areas, comprehensiveness and sufficiency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.concluded import concluded
from tokimp.report.early_stops import stopped_early
from tokimp.report.number_texts import interval_of, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node

_MEASURES = {
    "answer": "log-likelihood of the answer, nats",
    "answer_probability": "probability of the answer",
    "answer_per_token": "log-likelihood of the answer, nats a token",
    "joint": "log-likelihood of what is kept and the answer, nats",
    "joint_per_token": "log-likelihood of what is kept and the answer, nats a token",
}


def _ratios_of_all(value: xr.DataArray) -> str:
    """Return the foot's text that names the keep ratios to which every estimator deleted, if there are two or more."""
    known = value.sel(curve="least_first").notnull()
    reached = (known | ~known.any("keep_ratio")).all([dim for dim in known.dims if dim != "keep_ratio"])
    ratios = [f"{float(ratio):g}" for ratio in value["keep_ratio"].to_numpy()[reached.to_numpy()]]
    if len(ratios) < 2:
        return ""
    return f"; faithfulness:keep_ratios=\\[{','.join(ratios)}] asks for the ratios that all of them reach"


def faithfulness_table(result: xr.DataTree, measure: str = "answer", *, node_name: str = "faithfulness") -> Table:
    """Return a table of areas, comprehensiveness and sufficiency, one row an estimator.

    Parameters
    ----------
    result
        A result with the node ``/analysis/faithfulness``.
    measure
        The measure to show.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name).sel(measure=measure)
    used = node["chains_used"].max(("curve", "keep_ratio"))
    shows = mean_text(node.attrs["confidence"], int(used.max()))
    table = new_table(f"Faithfulness{_operator_text(node)}: {_MEASURES.get(measure, measure)} ({shows})")
    table.add_column("estimator")
    headings = ("area, least first (high)", "area, most first (low)", "comprehensiveness (high)", "sufficiency (low)")
    for heading in headings:
        table.add_column(heading, justify="right")
    for label in node["estimator"].to_numpy():
        row, count = node.sel(estimator=label), int(used.sel(estimator=label))
        areas = [interval_of(row.sel(curve=curve), "area", count) for curve in ("least_first", "most_first")]
        drops = [interval_of(row, name, count) for name in ("comprehensiveness", "sufficiency")]
        name = escape(str(label)) + (f" [dim](over {count})[/]" if count < node.sizes["chain"] else "")
        table.add_row(name, *areas, *drops)
    table.add_section()
    uniform_area = _range_text(node, "uniform_area_")
    uniform_drops = [_range_text(node, f"uniform_{name}_") for name in ("comprehensiveness", "sufficiency")]
    table.add_row("[dim]random orders[/]", uniform_area, uniform_area, *uniform_drops)
    count = node.sizes["chain"]
    feet = [
        f"over {count} chain{'' if count == 1 else 's'}",
        f"of random orders the lowest and highest of {node.sizes['draw']} draws",
    ]
    stopped = stopped_early(node["value"])
    if stopped:
        feet.append(
            f"{stopped} did not delete down to keep ratio {float(node['keep_ratio'].min()):g}: a curve that is not "
            "whole has no area, units that were not ranked no rationale; the figure shows how far the curves go"
            + _ratios_of_all(node["value"])
        )
    table.caption = "; ".join([*feet, *ties_text(node)]) + _gain_told(node)
    return keep_words_whole(table)


def _gain_told(node: xr.Dataset) -> str:
    """Return the sentence that says which estimators gain over random orders; empty for a measure without areas."""
    labels = [escape(str(label)) for label in node["estimator"].to_numpy()]
    curves = {"least_first": "least first", "most_first": "most first"}
    names = [f"{label} {text}" for text in curves.values() for label in labels]
    gains = np.concatenate([node["gain"].sel(curve=curve).to_numpy() for curve in curves])
    return f". {concluded(names, gains, 'gain over random orders')}" if np.isfinite(gains).any() else ""


def _height_told(node: xr.Dataset, columns: Sequence[tuple[str, float]]) -> str:
    """Return the sentence that says which points of curves lie apart from those of random orders."""
    labels = [str(label) for label in node["estimator"].to_numpy()]
    names, gains = [], []
    for curve, ratio in columns:
        point = node.sel(curve=curve, keep_ratio=ratio)
        uniform = point["uniform_value"].mean("draw")
        for label in labels:
            names.append(f"{escape(label)} {'least' if curve == 'least_first' else 'most'} first at {ratio:g}")
            gains.append((point["value"].sel(estimator=label) - uniform).to_numpy())
    return concluded(names, np.stack(gains), "difference from random orders")


def curve_table(
    result: xr.DataTree,
    measure: str = "joint_per_token",
    keep_ratios: Sequence[float] = (0.8, 0.5, 0.2),
    *,
    node_name: str = "faithfulness",
) -> Table:
    """Return a table of both curves at some keep ratios, one row an estimator.

    It is for measures that are about other tokens at each keep ratio: estimators are compared within a column.

    Parameters
    ----------
    result
        A result with the node ``/analysis/faithfulness``.
    measure
        The measure to show.
    keep_ratios
        The keep ratios to show, or the nearest ones that were computed.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name).sel(measure=measure)
    nearest = [float(node["keep_ratio"].sel(keep_ratio=ratio, method="nearest")) for ratio in keep_ratios]
    columns = [(curve, ratio) for curve in ("least_first", "most_first") for ratio in dict.fromkeys(nearest)]
    used = int(node["chains_used"].max())
    shows = mean_text(node.attrs["confidence"], used)
    table = new_table(f"Faithfulness{_operator_text(node)}: {_MEASURES.get(measure, measure)} ({shows})")
    table.add_column("estimator")
    for curve, ratio in columns:
        table.add_column(f"{'least' if curve == 'least_first' else 'most'} first, {ratio:g} kept", justify="right")
    for label in node["estimator"].to_numpy():
        points = [node.sel(estimator=label, curve=curve, keep_ratio=ratio) for curve, ratio in columns]
        table.add_row(escape(str(label)), *map(interval_of, points))
    table.add_section()
    at_random = [_range_text(node.sel(keep_ratio=ratio), "uniform_") for _, ratio in columns]
    table.add_row("[dim]random orders[/]", *at_random)
    feet = [f"over {used} chain{'' if used == 1 else 's'}"]
    # 0.1.0 called this measure comparable.
    if not bool(node["comparable"]) or (measure == "joint_per_token" and "operator" not in node.attrs):
        feet.append("compare within a column only: at each keep ratio these are other tokens")
    if stopped := stopped_early(node["value"]):
        feet.append(f"a dash: {stopped} did not delete down to that keep ratio")
    table.caption = f"{'; '.join(feet)}. {_height_told(node, columns)}"
    return keep_words_whole(table)


def _operator_text(node: xr.Dataset) -> str:
    """Return how units were taken away, for a title; empty for deletion."""
    return f" by {node.attrs['operator']}" if "operator" in node.attrs else ""


def _range_text(node: xr.Dataset, prefix: str) -> str:
    """Return the mean of the random orders, with the lowest and the highest draw where there are several."""
    mean, low, high = (float(node[f"{prefix}{end}"]) for end in ("mean", "low", "high"))
    if not np.isfinite(mean) or node.sizes["draw"] < 2:
        return f"[dim]{number_text(mean)}[/]"
    return f"[dim]{number_text(mean)} \\[{number_text(low)},{number_text(high)}][/]"
