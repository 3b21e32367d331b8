"""Scores of faithfulness, whatever the analysis: a number an estimator and chain, beside random orders and position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from tokimp.analysis.statistics.intervals import mean_interval, mean_p_value
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.report.number_texts import few_chains
from tokimp.results.analysis_nodes import analysis_node

CONTROLS = ("uniform", "position")
# Dimensions of a node that are no choice between scores.
_OWN_DIMS = {"estimator", "chain", "draw", "reason"}


@dataclass(frozen=True, slots=True)
class Score:
    """A score of every estimator, and its distance from the controls.

    Attributes
    ----------
    name
        What it is called: the analysis, and which of its numbers.
    higher_is_better
        Whether a higher value is more faithful.
    value
        [estimator, chain]; NaN where it is not defined. A score that is pooled over the chains has no value of a chain.
    advantage
        By control (``uniform``: random orders of the same chain; ``position``: the order of places), how much better
        than it each estimator is, [estimator, chain]; positive is better, whichever way the score goes.
    pooled
        For a score that is pooled over chains: mean and ends of the interval of the value (``value``) and of the
        advantages, [estimator, 3], and how many chains they are over, [estimator]. ``None`` for others.
    """

    name: str
    higher_is_better: bool
    value: FloatArray
    advantage: Mapping[str, FloatArray]
    pooled: Mapping[str, FloatArray] | None = None
    chains_used: IntArray | None = None

    def of(self, row: int, confidence: float) -> dict[str, Any]:
        """Return what the card says of one estimator: means with intervals, p-values, and undefined chains."""
        named = {"score": self.name, "higher_is_better": self.higher_is_better}
        if self.pooled is not None and self.chains_used is not None:
            used = int(self.chains_used[row])
            parts = {name: _pooled(numbers[row], used, confidence) for name, numbers in self.pooled.items()}
            return {**named, "value": parts.pop("value"), "undefined": self.value.shape[1] - used, **parts}
        differences = {
            f"above_{control}": {**mean_of(advantage[row], confidence), "p": finite(mean_p_value(advantage[row]))}
            for control, advantage in self.advantage.items()
        }
        undefined = int(np.isnan(self.value[row]).sum())
        return {**named, "value": mean_of(self.value[row], confidence), "undefined": undefined, **differences}


def _pooled(numbers: FloatArray, chains: int, confidence: float) -> dict[str, Any]:
    """Return a pooled number as `mean_of` does, with the p-value that belongs to its interval.

    The interval is one of Student's t, so half its width on the side of 0 is a known number of standard errors.
    """
    mean, low, high = (float(number) for number in numbers)
    half = mean - low if mean > 0 else high - mean
    p = np.nan
    if chains > 1 and half > 0:
        limit = stats.t.isf((1 - confidence) / 2, chains - 1)
        p = 2 * stats.t.sf(abs(mean) / half * limit, chains - 1)
    ends = (None, None) if few_chains(chains) else (finite(low), finite(high))
    return {"mean": finite(mean), "low": ends[0], "high": ends[1], "chains": chains, "p": finite(float(p))}


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
    combination of its dimensions, if its node has ``value``, ``above_uniform`` and ``above_position`` by chain, or
    means alone (``mean``, ``above_uniform_mean``, ...); its coordinate ``better`` says where a low value is good.

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
    of_chains = {"value", "above_uniform", "above_position"} <= set(node.data_vars)
    if not of_chains and not {"mean", "above_uniform_mean", "above_position_mean", "chains_used"} <= set(
        node.data_vars
    ):
        return
    dims = [str(dim) for dim in node["value" if of_chains else "mean"].dims if dim not in _OWN_DIMS]
    choices = [list(node[dim].to_numpy()) for dim in dims]
    for choice in product(*choices):
        selected = node.sel(dict(zip(dims, choice, strict=True)))
        better = str(selected["better"].item()) if "better" in selected and selected["better"].ndim == 0 else "high"
        make = _by_chain if of_chains else _over_chains
        yield make(", ".join([name, *(str(value) for value in choice)]), selected, better != "low")


def _by_chain(name: str, selected: xr.Dataset, higher: bool) -> Score:
    sign = 1 if higher else -1
    arrays = {
        variable: selected[variable].transpose("estimator", "chain").to_numpy()
        for variable in ("value", "above_uniform", "above_position")
    }
    return Score(name, higher, arrays["value"], {control: sign * arrays[f"above_{control}"] for control in CONTROLS})


def _over_chains(name: str, selected: xr.Dataset, higher: bool) -> Score:
    """Return a score of which only means over chains exist."""

    def numbers(prefix: str, sign: int) -> FloatArray:
        ends = ("mean", "low", "high") if sign > 0 else ("mean", "high", "low")
        columns = [sign * selected[f"{prefix}{end}"].to_numpy() for end in ends]
        stacked: FloatArray = np.stack(columns, axis=1)
        return stacked

    sign = 1 if higher else -1
    pooled = {"value": numbers("", 1)} | {f"above_{c}": numbers(f"above_{c}_", sign) for c in CONTROLS}
    used = selected["chains_used"].to_numpy().astype(np.int64)
    n_chains = selected.sizes.get("chain", int(used.max(initial=0)))
    return Score(name, higher, np.full((len(used), n_chains), np.nan), {}, pooled, used)
