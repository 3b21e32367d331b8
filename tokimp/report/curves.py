"""Curves over the keep ratio: one line an estimator, with the band of random orders behind them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from rich.markup import escape

from tokimp.report.figure_style import BAND, line_look
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL


def draw_lines(axis: Axes, node: xr.Dataset) -> None:
    """Draw one line for each estimator, with intervals, over the band of random orders.

    Parameters
    ----------
    axis
        The panel to draw on.
    node
        The part of an analysis's node for one panel: ``mean``, ``low``, ``high`` and ``chains_used``
        [estimator, keep_ratio], and ``uniform_mean``, ``uniform_low`` and ``uniform_high`` [keep_ratio].
    """
    ratios = node["keep_ratio"].to_numpy()
    low, high = (node[f"uniform_{end}"].to_numpy() for end in ("low", "high"))
    axis.fill_between(ratios, low, high, color=BAND, linewidth=0, label="random orders")
    axis.plot(ratios, node["uniform_mean"].to_numpy(), color="#7a7a7a", linewidth=1, linestyle="--")
    for index, label in enumerate(node["estimator"].to_numpy()):
        line = node.sel(estimator=label)
        mean = line["mean"].to_numpy()
        spread = np.stack([mean - line["low"].to_numpy(), line["high"].to_numpy() - mean])
        # An interval over very few chains says nothing about other chains; where there is none, no bar is drawn.
        spread[:, line["chains_used"].to_numpy() < FEWEST_FOR_AN_INTERVAL] = np.nan
        axis.errorbar(
            ratios,
            mean,
            yerr=np.clip(spread, 0, None),
            label=str(label),
            **line_look(index),
            markersize=4,
            linewidth=1.3,
            elinewidth=0.8,
            capsize=2,
        )
    axis.set_xlabel("keep ratio", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    # Deleting goes to the right, as reading does.
    axis.invert_xaxis()


def stopped_early(value: xr.DataArray) -> str:
    """Return the estimators that did not delete down to every keep ratio on some chain, as text for a table.

    Parameters
    ----------
    value
        Values [estimator, keep_ratio, ...]; NaN where an estimator did not delete down to the keep ratio.

    Returns
    -------
    str
        Their labels, joined by "and"; empty if every estimator has a value at all keep ratios or at none.
    """
    known = value.notnull()
    partly_known = known.any("keep_ratio") & ~known.all("keep_ratio")
    other_dims = [dim for dim in partly_known.dims if dim != "estimator"]
    labels = value["estimator"].to_numpy()[partly_known.any(other_dims).to_numpy()]
    return " and ".join(escape(str(label)) for label in labels)
