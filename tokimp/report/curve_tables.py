"""Tables of what the curves over the keep ratio come to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.report.curves import analysis_node, coinciding_references
from tokimp.report.terminal import few_chains, interval_text, keep_words_whole, mean_text, new_table, number_text

_MEASURES = {
    "answer": "log-likelihood of the answer, nats",
    "answer_probability": "probability of the answer",
    "joint": "joint log-likelihood, nats",
    "joint_per_token": "joint log-likelihood, nats a token",
}


def faithfulness_table(result: xr.DataTree, measure: str = "answer") -> Table:
    """Return a table of areas, comprehensiveness and sufficiency, one row an estimator.

    Parameters
    ----------
    result
        A result with the node ``/analysis/faithfulness``.
    measure
        One of its measures.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, "faithfulness").sel(measure=measure)
    used = node["chains_used"].max(("curve", "keep_ratio"))
    shows = mean_text(node.attrs["confidence"], int(used.max()))
    table = new_table(f"Faithfulness: {_MEASURES.get(measure, measure)} ({shows})")
    table.add_column("estimator")
    headings = ("area, least first (high)", "area, most first (low)", "comprehensiveness (high)", "sufficiency (low)")
    for heading in headings:
        table.add_column(heading, justify="right")
    for label in node["estimator"].to_numpy():
        row, count = node.sel(estimator=label), int(used.sel(estimator=label))
        areas = [_interval(row.sel(curve=curve), "area_", count) for curve in ("least_first", "most_first")]
        drops = [_interval(row, f"{name}_", count) for name in ("comprehensiveness", "sufficiency")]
        name = escape(str(label)) + (f" [dim](over {count})[/]" if count < node.sizes["chain"] else "")
        table.add_row(name, *areas, *drops)
    table.add_section()
    area, more = _range(node, "uniform_area_"), ("comprehensiveness", "sufficiency")
    table.add_row("[dim]random orders[/]", area, area, *(_range(node, f"uniform_{name}_") for name in more))
    feet = [f"over {_chains(node)}", f"of random orders the lowest and highest of {node.sizes['draw']} draws"]
    stopped = _stopped_early(node["value"])
    if stopped:
        feet.append(
            f"{stopped} did not delete down to keep ratio {float(node['keep_ratio'].min()):g}: a curve that is not "
            "whole has no area, units that were not ranked no rationale; the figure shows how far the curves go"
        )
    table.caption = "; ".join(feet)
    return keep_words_whole(table)


def answer_recovery_table(
    result: xr.DataTree, reference: str = "chain", ratios: Sequence[float] | None = None
) -> Table:
    """Return a table of the share of chains that still give an answer, one row an estimator, one column a keep ratio.

    The foot names the references for which every number is the same.

    Parameters
    ----------
    result
        A result with the node ``/analysis/answer_recovery``.
    reference
        Whose answer: ``chain``, ``unpruned`` or ``gold``.
    ratios
        Which keep ratios; all by default.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    whole = analysis_node(result, "answer_recovery")
    node = whole.sel(reference=reference)
    whose = {"chain": "the chain's answer", "unpruned": "the model's own unpruned", "gold": "the right answer"}
    alike = next((names for names in coinciding_references(whole) if reference in names), [])
    shown = node["keep_ratio"].to_numpy().tolist() if ratios is None else list(ratios)
    table = new_table(f"Answer recovery: share of chains that give {whose[reference]}, by keep ratio")
    table.add_column("estimator")
    for ratio in shown:
        table.add_column(f"{ratio:g}", justify="right")
    for label in node["estimator"].to_numpy():
        means = node["mean"].sel(estimator=label)
        table.add_row(escape(str(label)), *(number_text(float(means.sel(keep_ratio=ratio))) for ratio in shown))
    table.add_section()
    uniform = (number_text(float(node["uniform_mean"].sel(keep_ratio=ratio))) for ratio in shown)
    table.add_row("[dim]random orders[/]", *uniform)
    count = int(node["chains_used"].max())
    feet = [f"over {count} chain{'' if count == 1 else 's'}"]
    feet.append("too few for intervals" if few_chains(count) else "intervals are in the result and the figure")
    others = [whose[name] for name in alike if name != reference]
    if others:
        feet.insert(1, f"the same numbers hold for {' and '.join(others)}")
    stopped = _stopped_early(node["recovered"])
    if stopped:
        feet.append(f"a dash: {stopped} did not delete down to that keep ratio")
    table.caption = "; ".join(feet)
    return keep_words_whole(table)


def _stopped_early(value: xr.DataArray) -> str:
    """Return the estimators that have a value of some chain at some keep ratios only, as text; empty where none has."""
    known = value.notnull()
    part = known.any("keep_ratio") & ~known.all("keep_ratio")
    others = [dim for dim in part.dims if dim != "estimator"]
    return " and ".join(escape(str(label)) for label in value["estimator"].to_numpy()[part.any(others).to_numpy()])


def _interval(row: xr.Dataset, prefix: str, count: int) -> str:
    mean, low, high = (float(row[f"{prefix}{end}"]) for end in ("mean", "low", "high"))
    return interval_text(mean, low, high, count)


def _range(node: xr.Dataset, prefix: str) -> str:
    mean, low, high = (float(node[f"{prefix}{end}"]) for end in ("mean", "low", "high"))
    if not np.isfinite(mean) or node.sizes["draw"] < 2:
        return f"[dim]{number_text(mean)}[/]"
    return f"[dim]{number_text(mean)} \\[{number_text(low)},{number_text(high)}][/]"


def _chains(node: xr.Dataset) -> str:
    return f"{node.sizes['chain']} chain{'' if node.sizes['chain'] == 1 else 's'}"
