"""The planted filler: how well each estimator ranks it lowest."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tokimp.report.number_texts import chains_text, shown_ends
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.style import INK, foot, head, new_axes, run_text, styled
from tokimp.results.analysis_nodes import analysis_node


@styled
def planted(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "planted") -> Axes:
    """Draw each estimator's AUROC with its interval, by unit, by sentence, and within stretches of position.

    The estimator that tells filler best within stretches is on top.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    names = [str(label) for label in node["estimator"].to_numpy()]
    order = np.argsort(-node["within_bands"].to_numpy(), kind="stable")  # NaN goes last
    labels = [names[place] for place in order]
    auroc = node.sel(measure="auroc")
    used = node["chains_used"].max(("measure", "level")).to_numpy()
    series = (
        (f"by {result.attrs['unit']}", [auroc.sel(level="unit")[name] for name in ("mean", "low", "high")], "D"),
        ("by sentence", [auroc.sel(level="sentence")[name] for name in ("mean", "low", "high")], "s"),
        ("within stretches", [node[f"within_bands{end}"] for end in ("", "_low", "_high")], "o"),
    )
    marks = []
    # Of sentences, the two are the same.
    for name, parts, marker in series[result.attrs["unit"] == "sentence" :]:
        mean, low, high = (part.to_numpy() for part in parts)
        low, high = shown_ends(low, high, used)
        within = name == "within stretches"
        colours = [INK if within else "#7a7a7a"] * len(labels)
        marks.append(Marks(name, mean[order], low[order], high[order], marker=marker, filled=within, colours=colours))
    axis = new_axes(ax, rows_height(labels, len(marks), 34))
    draw_rows(axis, labels, marks, "AUROC: filler below the rest (1 is best)", chance=0.5, limits=(0, 1))
    count = int(used.max())
    head([axis], ax, "Planted filler", run_text(result), chains_text(count, node.attrs["confidence"]))
    feet = "Dashed line: chance. Within stretches: compared only with units at about the same place."
    foot([axis], ax, feet + _sure_text(result), drawn=labels)
    return axis


def _sure_text(result: xr.DataTree) -> str:
    """Return on how many chains the model is sure of the answer: what it does not understand, no method can tell."""
    if "full_loglik_answer_value" not in result:
        return ""
    logprobs = result["full_loglik_answer_value"].to_numpy()
    known = logprobs[~np.isnan(logprobs)]
    return f" P(answer) is above 1/2 on {int((known > np.log(0.5)).sum())} of {len(known)} chains."
