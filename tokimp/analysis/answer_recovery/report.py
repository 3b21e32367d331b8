"""Table of the answer recovery."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.concluded import concluded
from tokimp.report.answer_references import coinciding_references
from tokimp.report.early_stops import stopped_early
from tokimp.report.number_texts import few_chains, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.report.ties_text import ties_text
from tokimp.results.analysis_nodes import analysis_node


def answer_recovery_table(
    result: xr.DataTree,
    reference: str = "chain",
    ratios: Sequence[float] | None = None,
    *,
    node_name: str = "answer_recovery",
) -> Table:
    """Return a table of the share of chains that still give an answer, one row an estimator, one column a keep ratio.

    The foot names other references for which every number is the same.

    Parameters
    ----------
    result
        A result with the node ``/analysis/answer_recovery``.
    reference
        The reference whose answer counts: ``chain``, ``unpruned`` or ``gold``.
    ratios
        The keep ratios to show; all by default.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    whole = analysis_node(result, node_name)
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
    stopped = stopped_early(node["recovered"])
    if stopped:
        feet.append(f"a dash: {stopped} did not delete down to that keep ratio")
    labels = [escape(str(label)) for label in node["estimator"].to_numpy()]
    by_chain = node["recovered"].mean("keep_ratio", skipna=False) - node["uniform_recovered"].mean(
        ("draw", "keep_ratio")
    )
    gains = by_chain.transpose("estimator", "chain").to_numpy()
    said = concluded(labels, gains, "recovery less that of random orders, mean over keep ratios")
    table.caption = f"{'; '.join([*feet, *ties_text(node)])}. {said}"
    return keep_words_whole(table)
