"""One chain of a result, as the explorer shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.report.explorer.numbers import plain_number, plain_numbers
from tokimp.report.places import unit_places
from tokimp.results.effects_node import ChainEffects, Key

Node = xr.Dataset | None
_EFFECTS_SHOWN = 5


def chain_data(
    chain: xr.Dataset, index: int, faithfulness: Node, recovery: Node, effects: Mapping[Key, ChainEffects]
) -> dict[str, Any]:
    """Return everything that the page shows of one chain, as JSON can hold it (``explorer/src/types.ts``).

    Parameters
    ----------
    chain
        The chain's part of the result, as `tokimp.results.by_chain.iterate` gives it.
    index
        The chain's place in the result.
    faithfulness, recovery
        The nodes of these analyses, for all chains; ``None`` where they have not been run.
    effects
        What units do to each other, by estimator and chain; empty where no estimator says.
    """
    text = {name: str(chain[name].item()) for name in ("system", "question", "reasoning", "answer", "gold")}
    offsets = _utf16_offsets(text["reasoning"])
    labels = chain["category"].to_numpy().astype(str)
    categories = [label for label in dict.fromkeys(labels.tolist()) if label]
    places = unit_places(chain)
    return {
        "id": str(chain["chain_id"].item()),
        **text,
        "start": offsets[chain["token_start"].to_numpy()].tolist(),
        "end": offsets[chain["token_end"].to_numpy()].tolist(),
        "unit": chain["unit"].to_numpy().tolist(),
        "logprob": plain_numbers(chain["logprob"].to_numpy()),
        "categories": categories,
        "category": [categories.index(label) if label else -1 for label in labels.tolist()],
        "fullAnswer": plain_number(chain["full_loglik_answer"].item()),
        "fullJoint": plain_number(chain["full_loglik_joint"].item()),
        "lanes": [_lane(chain, row, placed, effects) for row, placed in enumerate(places)],
        "faithfulness": None if faithfulness is None else _faithfulness(faithfulness.isel(chain=index)),
        "recovery": None if recovery is None else _recovery(recovery.isel(chain=index)),
    }


def _lane(
    chain: xr.Dataset, row: int, places: FloatArray, effects: Mapping[Key, ChainEffects]
) -> dict[str, Any] | None:
    importance = chain["importance"].to_numpy()[row]
    if np.isnan(importance).all():
        return None
    _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
    rank = chain["rank"].to_numpy()[row, firsts]
    return {
        "importance": plain_numbers(importance[firsts]),
        "rank": rank.tolist(),
        # Rounded importances may tie where they do not; whole numbers are short, so mean places are doubled.
        "doubledPlace": np.rint(2 * places * (len(places) - 1)).astype(int).tolist(),
        "trajectory": _trajectory(chain, row, firsts, rank),
        "effects": _effects(effects.get((str(chain["estimator"].to_numpy()[row]), str(chain["chain_id"].item())))),
    }


def _effects(effects: ChainEffects | None) -> dict[str, Any] | None:
    """Return each unit's effect on the answer, and its largest effects on others and of others on it."""
    if effects is None:
        return None
    matrix = effects.matrix()
    return {
        "onAnswer": plain_numbers(effects.on_answer),
        "actsOn": [_largest(row) for row in matrix],
        "actedOnBy": [_largest(column) for column in matrix.T],
    }


def _largest(values: FloatArray) -> list[list[Any]]:
    """Return the units with the largest effects, whatever their sign, each with its effect in nats."""
    order = np.argsort(-np.abs(values), kind="stable")[:_EFFECTS_SHOWN]
    return [[int(unit), plain_number(float(values[unit]))] for unit in order if values[unit] != 0]


def _trajectory(chain: xr.Dataset, row: int, firsts: IntArray, rank: IntArray) -> dict[str, Any] | None:
    """Return the log-likelihoods after each deletion; ``None`` for an estimator that does not delete in sequence."""
    joint = chain["loglik_joint"].to_numpy()[row, firsts]
    deleted = ~np.isnan(joint)
    if not deleted.any():
        return None
    steps = firsts[deleted][np.argsort(rank[deleted])]
    return {span: plain_numbers(chain[f"loglik_{span}"].to_numpy()[row, steps]) for span in ("answer", "joint")}


def _faithfulness(node: xr.Dataset) -> dict[str, Any]:
    value = node["value"].transpose("measure", "curve", "estimator", "keep_ratio").to_numpy()
    return {"value": plain_numbers(value), **_band(node["uniform_value"].transpose("measure", "draw", "keep_ratio"))}


def _band(draws: xr.DataArray) -> dict[str, Any]:
    """Return the mean of random orders and their lowest and highest draw, [measure, keep ratio] each."""
    summaries = {"uniformMean": draws.mean("draw"), "uniformLow": draws.min("draw"), "uniformHigh": draws.max("draw")}
    return {name: plain_numbers(values.to_numpy()) for name, values in summaries.items()}


def _recovery(node: xr.Dataset) -> dict[str, Any]:
    written = node["written"].transpose("estimator", "keep_ratio").to_numpy()
    return {
        "recovered": plain_numbers(node["recovered"].transpose("reference", "estimator", "keep_ratio").to_numpy()),
        "written": [[str(value) for value in row] for row in written],
        "unpruned": str(node["written_unpruned"].item()),
    }


def _utf16_offsets(text: str) -> IntArray:
    """Return where each character begins as a browser counts, [character + 1]: some characters count twice there."""
    widths: Sequence[int] = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return np.array(list(accumulate(widths, initial=0)), dtype=np.int64)
