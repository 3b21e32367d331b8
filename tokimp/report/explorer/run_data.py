"""What the whole run says, as the explorer shows it beside each chain."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tokimp.report.estimator_looks import look_of
from tokimp.report.explorer.numbers import plain_number, plain_numbers
from tokimp.report.explorer.rankings import FarApart, pair_correlations
from tokimp.report.places import unit_places
from tokimp.results.analysis_nodes import node_names
from tokimp.results.by_chain import unit_texts
from tokimp.results.views import answer_is_right

_FAR_APART_SHOWN = 10
_LONGEST_QUESTION = 400  # characters in the list of chains; the chain itself has all of it
_UNITS = {
    "answer": "nats",
    "joint": "nats",
    "answer_probability": "probability",
    "answer_per_token": "nats per token",
    "joint_per_token": "nats per token",
}
_FACTS = {
    "model": "model_id",
    "backend": "backend",
    "precision": "dtype",
    "device": "device",
    "prompt format": "prompt_format",
    "objective": "objective",
    "unit": "unit",
    "seed": "seed",
    "made": "created",
    "tokimp": "tokimp_version",
}
_ADDED = {
    "agreement": "how far every two estimators agree",
    "faithfulness": "how the likelihoods change as units are deleted",
    "answer_recovery": "whether the model still gives the same answer",
}


def find_node(result: xr.DataTree, analysis: str) -> xr.Dataset | None:
    """Return the node of an analysis, with its default settings if there are several; ``None`` if there is none."""
    names = sorted(node_names(result, analysis), key=len)
    return result[f"analysis/{names[0]}"].to_dataset() if names else None


@dataclass(slots=True)
class ChainsSummary:
    """What the page says of all chains, gathered while they are written one by one.

    Attributes
    ----------
    entries
        The list of chains.
    correlations
        Spearman correlation of every pair of estimators, [chain][pair].
    far_apart
        The units that each pair of estimators places furthest apart, [pair].
    """

    n_estimators: int
    entries: list[dict[str, Any]] = field(default_factory=list)
    correlations: list[Sequence[float]] = field(default_factory=list)
    far_apart: list[list[FarApart]] = field(init=False)

    def __post_init__(self) -> None:
        self.far_apart = [[] for _ in combinations(range(self.n_estimators), 2)]

    def add(self, chain: xr.Dataset) -> None:
        """Add the next chain, as `tokimp.results.by_chain.iterate` gives it."""
        placed = unit_places(chain)
        correlations = pair_correlations(placed)
        known = correlations[np.isfinite(correlations)]
        question = str(chain["question"].item())
        self.entries.append(
            {
                "id": str(chain["chain_id"].item()),
                "question": question[:_LONGEST_QUESTION],
                "tokens": int(chain.sizes["token"]),
                "units": placed.shape[1],
                "right": answer_is_right(chain),
                "disagreement": plain_number(1 - known.mean()) if len(known) else None,
            }
        )
        self.correlations.append(correlations.tolist())
        texts = unit_texts(chain)
        for pair, (one, other) in enumerate(combinations(range(self.n_estimators), 2)):
            distances = np.abs(placed[one] - placed[other])
            if np.isnan(distances).any():
                continue
            furthest = np.argsort(-distances, kind="stable")[:_FAR_APART_SHOWN]
            index = len(self.entries) - 1
            candidates = [
                FarApart(index, int(unit), texts[unit], (float(placed[one, unit]), float(placed[other, unit])))
                for unit in furthest
                if distances[unit] > 0
            ]
            self.far_apart[pair] = heapq.nlargest(
                _FAR_APART_SHOWN, [*self.far_apart[pair], *candidates], key=lambda unit: unit.distance
            )


def run_data(result: xr.DataTree, title: str, summary: ChainsSummary, command: str) -> dict[str, Any]:
    """Return what the page shows of the whole run, as JSON can hold it (``explorer/src/types.ts``).

    Parameters
    ----------
    result
        A result.
    title
        The heading of the page.
    summary
        What was gathered of its chains.
    command
        How an analysis is added, with ``{}`` for its name.
    """
    dataset = result.to_dataset()
    labels = [str(label) for label in dataset["estimator"].to_numpy()]
    nodes = {name: find_node(result, name) for name in _ADDED}
    return {
        "title": title,
        "facts": [[name, str(dataset.attrs[attribute])] for name, attribute in _FACTS.items()],
        "unit": str(dataset.attrs["unit"]),
        "objective": str(dataset.attrs["objective"]),
        "estimators": labels,
        "looks": [[look.hue, look.dashes] for look in map(look_of, labels)],
        "cost": [_cost(dataset.isel(estimator=row)) for row in range(dataset.sizes["estimator"])],
        "chains": summary.entries,
        "pairCorrelations": plain_numbers(np.array(summary.correlations).T) if len(summary.far_apart) else [],
        "farApart": [[_far_apart(unit) for unit in units] for units in summary.far_apart],
        "agreement": _agreement(nodes["agreement"]),
        "faithfulness": _faithfulness(nodes["faithfulness"]),
        "recovery": _recovery(nodes["answer_recovery"]),
        "missing": [
            {"what": what, "command": command.format(name)} for name, what in _ADDED.items() if nodes[name] is None
        ],
    }


def _cost(row: xr.Dataset) -> dict[str, Any]:
    positions = row["tokens_forwarded"].to_numpy()
    covered = positions >= 0
    return {
        "seconds": plain_number(float(row["seconds"].to_numpy()[covered].sum())),
        "positions": int(positions[covered].sum()),
        "chains": int(covered.sum()),
    }


def _far_apart(unit: FarApart) -> dict[str, Any]:
    return {"chain": unit.chain, "unit": unit.unit, "text": unit.text, "places": plain_numbers(unit.places)}


def _agreement(node: xr.Dataset | None) -> dict[str, Any] | None:
    if node is None:
        return None
    kinds = _kinds_of_agreement(node)

    def of_kinds(name: str, *dims: str) -> NDArray[Any]:
        return np.stack([kind[name].transpose("measure", *dims).to_numpy() for kind in kinds.values()], axis=1)

    pairs = ("estimator", "other")
    return {
        "measures": [str(name) for name in node["measure"].to_numpy()],
        "kinds": list(kinds),
        **{name: plain_numbers(of_kinds(name, *pairs)) for name in ("mean", "low", "high")},
        "chainsUsed": of_kinds("chains_used", *pairs).tolist(),
        "chance": plain_numbers(of_kinds("chance_mean")),
        "noise": plain_numbers(of_kinds("noise")),
        "confidence": float(node.attrs["confidence"]),
        "minimumUnits": int(node.attrs["minimum_units"]),
    }


def _kinds_of_agreement(node: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the agreement with position in it, and with position taken out in two ways, under the same names."""
    unknown = xr.full_like(node["measure"], np.nan, dtype=np.float64)
    names = ["mean", "low", "high", "chains_used", "chance_mean"]
    as_it_is, partialled_out = (node[names].sel(partial=partial).assign(noise=unknown) for partial in (False, True))
    kinds = {"as it is": as_it_is, "beyond place": None, "position partialled out": partialled_out}
    # Results of 0.1.0 have nothing beyond place.
    if "beyond_place_mean" in node:
        renamed = {f"beyond_place_{name}": name for name in ("mean", "low", "high")}
        beyond_place = node[[*renamed, "beyond_place_chains"]].rename({**renamed, "beyond_place_chains": "chains_used"})
        kinds["beyond place"] = beyond_place.assign(chance_mean=unknown, noise=node["noise"])
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _faithfulness(node: xr.Dataset | None) -> dict[str, Any] | None:
    if node is None:
        return None
    return {
        "measures": [
            {"name": name, "unit": _UNITS.get(name, "its own unit")} for name in map(str, node["measure"].to_numpy())
        ],
        "curves": [str(name) for name in node["curve"].to_numpy()],
        "keepRatios": plain_numbers(node["keep_ratio"]),
        "mean": plain_numbers(node["mean"].transpose("measure", "curve", "estimator", "keep_ratio")),
        **_bands(node, "measure"),
    }


def _recovery(node: xr.Dataset | None) -> dict[str, Any] | None:
    if node is None:
        return None
    return {
        "references": [str(name) for name in node["reference"].to_numpy()],
        "keepRatios": plain_numbers(node["keep_ratio"]),
        "mean": plain_numbers(node["mean"].transpose("reference", "estimator", "keep_ratio")),
        **_bands(node, "reference"),
    }


def _bands(node: xr.Dataset, along: str) -> dict[str, Any]:
    names = {"uniformMean": "uniform_mean", "uniformLow": "uniform_low", "uniformHigh": "uniform_high"}
    return {
        **{name: plain_numbers(node[stored].transpose(along, "keep_ratio")) for name, stored in names.items()},
        "draws": int(node.sizes["draw"]),
    }
