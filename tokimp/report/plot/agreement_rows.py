"""Agreement as rows of marks with intervals: pairs of estimators, groups of units, and one estimator in two results."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tokimp.report.agreement_means import Means, agreement_means, has_intervals
from tokimp.report.agreement_texts import MEASURES, WITH_POSITION, other_result_text
from tokimp.report.estimator_looks import HUES, MARKERS, look_of
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, chains_text, shown_ends
from tokimp.report.plot.label_lines import short_labels
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.style import INK, foot, head, message, new_axes, run_text, styled
from tokimp.results.analysis_nodes import analysis_node

MOST_PAIRS = 15
"""A figure of more rows than these is not read."""
_LONGEST_OF_PAIR = 30  # characters
Pair = tuple[str, str]


@styled
def agreement_pairs(
    result: xr.DataTree,
    measure: str = "spearman",
    ax: Axes | None = None,
    *,
    most: int = MOST_PAIRS,
    node_name: str = "agreement",
) -> Axes:
    """Draw the pairs of estimators that agree or disagree most beyond place, with intervals, in their order.

    Parameters
    ----------
    result
        A result that ``tokimp.analyze(result, "agreement")`` has been run on.
    measure
        One of the measures stored there.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    most
        How many pairs are drawn at most: those furthest from chance.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    SchemaError
        If the agreement has not been computed.
    """
    node = analysis_node(result, node_name).sel(measure=measure)
    means = as_it_is, beyond = agreement_means(node)
    names = [str(name) for name in node["estimator"].to_numpy()]
    known = [pair for pair in combinations(range(len(names)), 2) if np.isfinite(as_it_is.mean[pair])]

    def distance(pair: tuple[int, int]) -> float:
        return float(np.nan_to_num(abs(beyond.mean[pair] - beyond.chance), nan=-1.0))

    chosen = sorted(known, key=lambda pair: -distance(pair))[:most]
    chosen.sort(key=lambda pair: -float(np.nan_to_num(beyond.mean[pair], nan=-2.0)))
    labels = _names([(names[one], names[other]) for one, other in chosen])
    axis = new_axes(ax, rows_height(labels, 2, 30))
    if chosen:
        marks = [_marks_of(part, chosen, filled=part is beyond) for part in means]
        draw_rows(axis, labels, marks, MEASURES.get(measure, measure), chance=beyond.chance, limits=(-1, 1))
    else:
        message(axis, "No pair has a value: chains are too short, or there is one estimator.")
    chains = _chains(node, as_it_is.n_chains)
    head([axis], ax, f"Agreement of pairs: {MEASURES.get(measure, measure)}", run_text(result), chains)
    left_out = f"The {len(chosen)} of {len(known)} pairs furthest from chance." if len(chosen) < len(known) else ""
    foot([axis], ax, f"Dashed line: chance, {beyond.name}.", left_out, drawn=labels)
    return axis


def _marks_of(means: Means, pairs: Sequence[tuple[int, int]], *, filled: bool) -> Marks:
    mean, low, high = (np.array([part[pair] for pair in pairs]) for part in (means.mean, means.low, means.high))
    if not has_intervals(means):
        low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    return Marks(means.name, mean, low, high, marker="o" if filled else "D", filled=filled)


@styled
def agreement_within(
    result: xr.DataTree,
    ax: Axes | None = None,
    *,
    beyond: bool = True,
    most: int = MOST_PAIRS,
    node_name: str = "agreement_within",
) -> Axes:
    """Draw the mean correlation of pairs of estimators in each group: a row a pair, a mark with its interval a group.

    If there are more pairs than `most`, those whose groups differ most are drawn: the range of the groups' means
    over enough chains for an interval decides. Pairs with fewer than two such groups come after those. With a single
    group, the pairs that correlate most,
    with either sign, are drawn. The pair that correlates most is on top.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    beyond
        Whether what place alone gives is taken off; where that is not known, as in a result of an older version,
        whether position is partialled out.
    most
        How many pairs are drawn at most.
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
    shown, what = _beyond_place(node) if beyond else (node.sel(partial=False), WITH_POSITION[False])
    known = _pairs_with_value(shown)
    pairs = _by_mean(shown, _pairs_that_differ(shown, known)[:most])
    groups = [str(group) for group in node["group"].to_numpy()]
    axis = new_axes(ax, rows_height(_names(pairs), len(groups), 34))
    marks = [
        _marks(
            shown.sel(group=group), pairs, group, marker=MARKERS[place % len(MARKERS)], colour=HUES[place % len(HUES)]
        )
        for place, group in enumerate(groups)
    ]
    used = int(node["chains_used"].max())
    if pairs:
        draw_rows(axis, _names(pairs), marks, "Spearman correlation", chance=0.0, limits=(-1, 1))
    else:
        message(axis, f"No pair has a value ({what}).")
    head([axis], ax, f"Agreement by {node.attrs['by']}, {what}", run_text(result), _chains(node, used))
    if len(pairs) < len(known):
        which = "whose groups differ most" if len(groups) > 1 else "that correlate most, with either sign"
        foot([axis], ax, f"The {len(pairs)} of {len(known)} pairs {which}.", drawn=[*_names(pairs), *groups])
    else:
        foot([axis], ax, drawn=[*_names(pairs), *groups])
    return axis


@styled
def agreement_between(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "agreement_between") -> Axes:
    """Draw each estimator's mean correlation with itself in the other result: a row an estimator, with its interval.

    Hollow marks show it as it is, filled ones beyond place. The estimator that stays most alike is on
    top.

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
    names = [str(label) for label in node["common"].to_numpy()]
    beyond, what = _beyond_place(node)
    labels = [names[place] for place in np.argsort(-beyond["mean"].to_numpy(), kind="stable")]  # NaN goes last
    axis = new_axes(ax, rows_height(labels, 2, 34))
    marks = []
    colours = [look_of(label).colour for label in labels]
    for part, name, marker in ((node.sel(partial=False), WITH_POSITION[False], "D"), (beyond, what, "o")):
        mean, low, high = _three([part.sel(common=label) for label in labels])
        marks.append(Marks(name, mean, low, high, marker=marker, filled=part is beyond, colours=colours))
    draw_rows(axis, labels, marks, "Spearman correlation with the other result", chance=0.0, limits=(-1, 1))
    used = int(node["chains_used"].max())
    head([axis], ax, "Agreement with another result", run_text(result), other_result_text(node), _chains(node, used))
    foot([axis], ax, f"Only hollow: no value {what}." if _some_missing(node, beyond) else "", drawn=labels)
    return axis


def _some_missing(node: xr.Dataset, beyond: xr.Dataset) -> bool:
    return bool((node["mean"].sel(partial=False).notnull() & beyond["mean"].isnull()).any())


def _beyond_place(node: xr.Dataset) -> tuple[xr.Dataset, str]:
    """Return means, intervals and counts beyond place, and what they are called.

    Where they are not known, as in a result of an older version, they are those with position partialled out.
    """
    if "beyond_place_mean" not in node or not bool(node["beyond_place_mean"].notnull().any()):
        return node.sel(partial=True), WITH_POSITION[True]
    names = {f"beyond_place_{end}": end for end in ("mean", "low", "high")}
    return node[[*names, "beyond_place_chains"]].rename({**names, "beyond_place_chains": "chains_used"}), "beyond place"


def _pairs_with_value(node: xr.Dataset) -> list[Pair]:
    """Return the pairs that have a value on some chain, in the result's order."""
    names = [str(name) for name in node["estimator"].to_numpy()]
    counts = node["chains_used"]
    counts = counts.max([dim for dim in counts.dims if dim not in {"estimator", "other"}])
    used = counts.transpose("estimator", "other").to_numpy()
    return [(names[one], names[other]) for one, other in combinations(range(len(names)), 2) if used[one, other]]


def _pairs_that_differ(node: xr.Dataset, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs, those first whose groups differ most; with a single group, those that correlate most."""
    keys = []
    for one, other in pairs:
        pair = node.sel(estimator=one, other=other)
        mean, used = pair["mean"].to_numpy(), pair["chains_used"].to_numpy()
        known = mean[np.isfinite(mean) & (used >= FEWEST_FOR_AN_INTERVAL)]
        span = float(np.ptp(known)) if len(known) > 1 else 0.0
        keys.append((-(len(known) > 1), -span, -float(np.abs(known).max(initial=0.0))))
    return [pairs[place] for place in sorted(range(len(pairs)), key=keys.__getitem__)]


def _by_mean(node: xr.Dataset, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs, the one with the greatest mean first; over groups, the mean of the groups' means."""
    return sorted(pairs, key=lambda pair: -np.nan_to_num(_mean(node, pair), nan=-2.0))


def _mean(node: xr.Dataset, pair: Pair) -> float:
    values = node["mean"].sel(estimator=pair[0], other=pair[1]).to_numpy()
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _marks(
    node: xr.Dataset, pairs: Sequence[Pair], name: str, *, marker: str, filled: bool = True, colour: str = INK
) -> Marks:
    rows = [node.sel(estimator=one, other=other) for one, other in pairs]
    mean, low, high = _three(rows)
    return Marks(name, mean, low, high, marker=marker, filled=filled, colours=[colour] * len(rows))


def _three(rows: Sequence[xr.Dataset]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means and ends of intervals, [row]; no interval where it would be over too few chains."""
    mean, low, high = (np.array([float(row[name]) for row in rows]) for name in ("mean", "low", "high"))
    return mean, *shown_ends(low, high, np.array([int(row["chains_used"]) for row in rows]))


def _names(pairs: Sequence[Pair]) -> list[str]:
    """Return names of pairs, on two lines where one has no room for both."""
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    short = dict(zip(names, short_labels(names, _LONGEST_OF_PAIR), strict=True))
    on_one = [f"{short[one]} / {short[other]}" for one, other in pairs]
    return [text if len(text) <= _LONGEST_OF_PAIR else text.replace(" / ", " /\n") for text in on_one]


def _chains(node: xr.Dataset, used: int) -> str:
    return chains_text(used, node.attrs["confidence"])
