"""What each estimator cost: token positions and seconds a chain."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tokimp.report.estimator_looks import look_of
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.style import PAPER, QUIET, SMALL, foot, head, message, new_axes, run_text, styled


@styled
def cost(result: xr.DataTree, ax: Axes | None = None) -> Axes:
    """Draw the token positions that each estimator passed through the model for a chain, with the seconds beside them.

    The bar goes from the cheapest chain to the dearest. The axis is logarithmic; an estimator that passed none has a
    mark at its left end. The cheapest estimator is on top.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.
    """
    dataset = result.to_dataset()
    names = [str(name) for name in dataset["estimator"].to_numpy()]
    positions = dataset["tokens_forwarded"].to_numpy().astype(np.float64)
    seconds = dataset["seconds"].to_numpy()
    positions[np.isnan(seconds)] = np.nan
    covered = np.isfinite(positions).any(axis=1)
    mean, low, high = (np.full(len(names), np.nan) for _ in range(3))
    for row in np.flatnonzero(covered):
        own = positions[row][np.isfinite(positions[row])]
        mean[row], low[row], high[row] = own.mean(), own.min(), own.max()
    order = np.argsort(np.nan_to_num(mean, nan=np.inf), kind="stable")
    labels = [names[place] for place in order]
    axis = new_axes(ax, rows_height(labels, 1, 30))
    n_chains = dataset.sizes["chain"]
    if not covered.any():
        message(axis, "No estimator says what it cost.")
    else:
        _draw(axis, labels, [part[order] for part in (mean, low, high)], _seconds_texts(seconds[order]))
    head([axis], ax, "Cost of each estimator", run_text(result), f"{n_chains} chain{'' if n_chains == 1 else 's'}")
    feet = [
        "Bar: from the cheapest chain to the dearest. Right: seconds a chain, on this machine.",
        "Hollow: no position." if (mean == 0).any() else "",
        "What an earlier estimator had already asked cost a later one nothing.",
    ]
    foot([axis], ax, *feet, drawn=labels)
    return axis


def _draw(axis: Axes, labels: list[str], parts: list[np.ndarray], seconds: list[str]) -> None:
    is_none = parts[0] == 0
    some = parts[0][parts[0] > 0]
    # A logarithm has no place for zero: what passed none is marked to the left of everything else.
    floor = float(some.min()) / 3 if some.size else 1.0
    colours = [look_of(label).colour for label in labels]
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    mean, low, high = (np.where(is_none, np.nan, np.maximum(part, floor)) for part in parts)
    marks = Marks("", mean, low, high, colours=colours)
    empty = ["" if none else "no value" for none in is_none]
    draw_rows(axis, labels, [marks], "token positions passed through the model, a chain", empty=empty)
    for row in np.flatnonzero(is_none).tolist():
        axis.plot(floor, row, "o", color=colours[row], markerfacecolor=PAPER, markeredgewidth=0.8)
    for row, text in enumerate(seconds):
        axis.text(1.01, row, text, transform=axis.get_yaxis_transform(), va="center", fontsize=SMALL, color=QUIET)


def _seconds_texts(seconds: np.ndarray) -> list[str]:
    means = [row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in seconds]
    return [f"{mean:.2g} s" if np.isfinite(mean) else "" for mean in means]
