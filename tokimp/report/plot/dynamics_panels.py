"""How well the next deletions of a path are predicted: one small panel a prediction, all on the same scales."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from tokimp.report.estimator_looks import look_of
from tokimp.report.number_texts import chains_text, shown_ends
from tokimp.report.plot.small_panels import draw_curve, draw_small_panels, panels_height
from tokimp.report.plot.style import (
    QUIET,
    Panels,
    ShownFigure,
    foot,
    head,
    message,
    new_figure,
    run_text,
    styled,
)
from tokimp.results.analysis_nodes import analysis_node

# The predictions that are no estimator's, as the analysis calls them.
_LOCAL, _FROZEN, _RANDOM = "local", "frozen", "random"
_GREYS = {_LOCAL: "#3c3c3c", _FROZEN: "#6a6a6a"}


@styled
def dynamics(
    result: xr.DataTree,
    k: int | None = 5,
    figure: ShownFigure | SubFigure | None = None,
    *,
    node_name: str = "dynamics",
) -> Panels:
    """Draw the share of the next deletions that each prediction has, over the context ratio.

    Predictions that have most come first. The dashed line in every panel is the prediction at random.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    k
        How many of the next deletions are predicted: this number, or the nearest one computed. ``None`` draws the rank
        correlation with all that is left instead.
    figure
        A figure, or a part of one, to draw in; by default a new figure, 85 mm wide.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Returns
    -------
    Panels
        The axes, one for each prediction.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    name = "correlation" if k is None else "overlap"
    if k is not None:
        node = node.sel(k=k, method="nearest")
    ratios = node["context_ratio"].to_numpy()
    at_random = node.sel(predictor=_RANDOM)[f"{name}_mean"].to_numpy()

    def draw(axis: Axes, label: str) -> None:
        axis.plot(ratios, at_random, color=QUIET, linewidth=0.7, linestyle=(0, (2, 2)))
        line = node.sel(predictor=label)
        low, high = shown_ends(*(line[f"{name}_{end}"].to_numpy() for end in ("low", "high", "chains")))
        colour = _GREYS.get(label) or look_of(label.removeprefix("estimator ")).colour
        draw_curve(axis, ratios, line[f"{name}_mean"].to_numpy(), low, high, colour=colour)

    labels = _sorted_predictors(node[f"{name}_mean"])
    made = new_figure(panels_height(len(labels), 30)) if figure is None else figure
    ylabel = "rank correlation" if k is None else "share predicted"
    panels = draw_small_panels(made, labels, draw, xlabel="context ratio", ylabel=ylabel)
    panels[0].set_xlim(float(ratios.max()), float(ratios.min()))
    panels[0].set_ylim((-1.05, 1.05) if k is None else (-0.04, 1.04))
    used = int(node[f"{name}_chains"].max())
    if not used:
        message(panels[0], "No path goes to the end.")
    if figure is None:
        what = "all that is left" if k is None else f"the next {int(node['k'])}"
        title = f"Dynamics: {what} of the deletions of {node.attrs['path']}"
        head(panels, None, title, run_text(result), chains_text(used, node.attrs["confidence"]))
        feet = "local: scores asked again at this point. frozen: scores asked once at the start. Dashed: at random."
        foot(panels, None, f"Context ratio: share of the chain that is left. {feet}", drawn=labels)
    return panels


def _sorted_predictors(mean: xr.DataArray) -> list[str]:
    """Return the predictions but the one at random, those first that the path's own scores give, then by their mean."""
    names = [str(name) for name in mean["predictor"].to_numpy() if str(name) != _RANDOM]
    heights = {name: float(mean.sel(predictor=name).mean()) for name in names}
    return sorted(names, key=lambda name: (name not in _GREYS, np.isnan(heights[name]), -heights[name]))
