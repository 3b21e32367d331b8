"""Scores of faithfulness, whatever the analysis: a number an estimator and chain, beside random orders and position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from tokimp.analysis.statistics.intervals import mean_interval, mean_p_value
from tokimp.chains.arrays import FloatArray
from tokimp.report.number_texts import few_chains
from tokimp.results.analysis_nodes import analysis_node

CONTROLS = ("uniform", "position")
# Dimensions of a node that are no choice between scores.
_OWN_DIMS = {"estimator", "chain", "draw", "reason"}


@dataclass(frozen=True, slots=True)
class Score:
    """A score of every estimator on every chain, and its distance from the controls.

    Attributes
    ----------
    name
        What it is called: the analysis, and which of its numbers.
    higher_is_better
        Whether a higher value is more faithful.
    value
        [estimator, chain]; NaN where it is not defined.
    advantage
        By control (``uniform``: random orders of the same chain; ``position``: the order of places), how much better
        than it each estimator is, [estimator, chain]; positive is better, whichever way the score goes.
    """

    name: str
    higher_is_better: bool
    value: FloatArray
    advantage: dict[str, FloatArray]

    def of(self, row: int, confidence: float) -> dict[str, Any]:
        """Return what the card says of one estimator: means with intervals, p-values, and undefined chains."""
        summary: dict[str, Any] = {
            "score": self.name,
            "higher_is_better": self.higher_is_better,
            "value": mean_of(self.value[row], confidence),
            "undefined": int(np.isnan(self.value[row]).sum()),
        }
        for control, advantage in self.advantage.items():
            summary[f"above_{control}"] = {
                **mean_of(advantage[row], confidence),
                "p": finite(mean_p_value(advantage[row])),
            }
        return summary


def mean_of(values: FloatArray, confidence: float) -> dict[str, Any]:
    """Return mean, interval and number of the known values, as JSON holds them; ``None`` where there is none.

    Over so few chains that an interval says nothing of others (`few_chains`) it is left out.
    """
    interval, chains = mean_interval(values, confidence=confidence), int((~np.isnan(values)).sum())
    low, high = (None, None) if few_chains(chains) else (finite(interval.low), finite(interval.high))
    return {"mean": finite(interval.mean), "low": low, "high": high, "chains": chains}


def finite(value: float) -> float | None:
    """Return a number as JSON holds it: ``None`` if it is not finite."""
    return float(value) if np.isfinite(value) else None


def scores_of(result: xr.DataTree, node_name: str) -> list[Score]:
    """Return the scores that an analysis of faithfulness gives.

    ``faithfulness`` gives comprehensiveness and sufficiency of the answer. Any other analysis gives one score for each
    combination of its dimensions, if its node has ``value``, ``above_uniform`` and ``above_position``; its coordinate
    ``better`` says where a low value is good.

    Parameters
    ----------
    result
        A result with the analysis's node.
    node_name
        The node's name.
    """
    node = analysis_node(result, node_name)
    if node_name.partition(",")[0] == "faithfulness":
        return list(_of_faithfulness(result, node, node_name))
    return list(_of_comparison(node, node_name))


def _of_faithfulness(result: xr.DataTree, node: xr.Dataset, name: str) -> Iterator[Score]:
    """Yield comprehensiveness and sufficiency; the controls are random orders, and the estimator ``position``."""
    labels = [str(label) for label in result["estimator"].to_numpy()]
    operator = str(node.attrs.get("operator", "delete"))
    answer = node.sel(measure="answer")
    for measure, higher in (("comprehensiveness", True), ("sufficiency", False)):
        value = answer[measure].mean("share", skipna=False).transpose("estimator", "chain").to_numpy()
        random = answer[f"uniform_{measure}"].mean(("share", "draw")).to_numpy()
        sign = 1 if higher else -1
        advantage = {"uniform": sign * (value - random)}
        if "position" in labels:
            advantage["position"] = sign * (value - value[labels.index("position")])
        yield Score(f"{measure}, {operator}", higher, value, advantage)


def _of_comparison(node: xr.Dataset, name: str) -> Iterator[Score]:
    if not {"value", "above_uniform", "above_position"} <= set(node.data_vars):
        return
    dims = [str(dim) for dim in node["value"].dims if dim not in _OWN_DIMS]
    choices = [list(node[dim].to_numpy()) for dim in dims]
    for choice in product(*choices):
        selected = node.sel(dict(zip(dims, choice, strict=True)))
        better = str(selected["better"].item()) if "better" in selected and selected["better"].ndim == 0 else "high"
        sign = -1 if better == "low" else 1
        arrays = {
            variable: selected[variable].transpose("estimator", "chain").to_numpy()
            for variable in ("value", "above_uniform", "above_position")
        }
        yield Score(
            ", ".join([name, *(str(value) for value in choice)]),
            sign == 1,
            arrays["value"],
            {control: sign * arrays[f"above_{control}"] for control in CONTROLS},
        )
