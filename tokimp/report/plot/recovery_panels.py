"""Answer recovery over the keep ratio: one small panel an estimator."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from tokimp.errors import SchemaError
from tokimp.report.answer_references import REFERENCES, coinciding_references
from tokimp.report.estimator_looks import look_of
from tokimp.report.number_texts import chains_text, shown_ends
from tokimp.report.plot.small_panels import draw_band, draw_curve, draw_small_panels, panels_height
from tokimp.report.plot.style import Panels, ShownFigure, foot, head, new_figure, run_text, styled
from tokimp.results.analysis_nodes import analysis_node


@styled
def answer_recovery(
    result: xr.DataTree,
    reference: str = "chain",
    figure: ShownFigure | SubFigure | None = None,
    *,
    node_name: str = "answer_recovery",
) -> Panels:
    """Draw the share of chains for which the model still gives an answer, over the keep ratio.

    The estimators that keep the answer longest come first. Grey spans the random orders, from the lowest to the
    highest draw.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    reference
        The reference whose answer counts: ``chain``, ``unpruned`` or ``gold``.
    figure
        A figure, or a part of one, to draw in; by default a new figure, 85 mm wide.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Returns
    -------
    Panels
        The axes, one for each estimator.

    Raises
    ------
    SchemaError
        If the analysis has not been run, or has no such reference.
    """
    whole = analysis_node(result, node_name)
    known = [str(name) for name in whole["reference"].to_numpy()]
    if reference not in known:
        raise SchemaError(f"the answer recovery has no reference {reference!r}; it has {', '.join(known)}")
    node = whole.sel(reference=reference)
    ratios = node["keep_ratio"].to_numpy()

    def draw(axis: Axes, label: str) -> None:
        draw_band(axis, ratios, *(node[f"uniform_{end}"].to_numpy() for end in ("low", "high", "mean")))
        line = node.sel(estimator=label)
        low, high = shown_ends(*(line[name].to_numpy() for name in ("low", "high", "chains_used")))
        draw_curve(axis, ratios, line["mean"].to_numpy(), low, high, colour=look_of(label).colour)

    ahead = (node["mean"] - node["uniform_mean"]).mean("keep_ratio").to_numpy()
    labels = [str(node["estimator"].to_numpy()[place]) for place in np.argsort(-ahead, kind="stable")]
    made = new_figure(panels_height(len(labels), 28)) if figure is None else figure
    panels = draw_small_panels(made, labels, draw, xlabel="keep ratio", ylabel="share of chains (higher is better)")
    panels[0].set_xlim(float(ratios.max()), float(ratios.min()))
    panels[0].set_ylim(-0.04, 1.04)
    if figure is None:
        alike = next((names for names in coinciding_references(whole) if reference in names), [reference])
        whose = REFERENCES.get(reference, reference)
        same = " and ".join(REFERENCES.get(name, name) for name in alike if name != reference)
        count = int(node["chains_used"].max())
        head(panels, None, f"Answer recovery: {whose}", run_text(result), chains_text(count, node.attrs["confidence"]))
        feet = [
            "Line: the most important units are kept. Grey: random orders, from the lowest to the highest draw.",
            f"The same numbers hold for {same}." if same else "",
            _others_text(whole, alike),
            "A line ends where its estimator stopped deleting." if _some_stopped(node) else "",
        ]
        foot(panels, None, *feet, drawn=labels)
    return panels


def _others_text(whole: xr.Dataset, alike: list[str]) -> str:
    """Return the sentence that names references with other numbers; empty without any."""
    others = [names[0] for names in coinciding_references(whole) if not set(names) & set(alike)]
    asked = " and ".join(f"reference={name!r}" for name in others)
    return f"Other numbers: {asked}." if others else ""


def _some_stopped(node: xr.Dataset) -> bool:
    known = node["mean"].notnull()
    return bool((known.any("keep_ratio") & ~known.all("keep_ratio")).any())
