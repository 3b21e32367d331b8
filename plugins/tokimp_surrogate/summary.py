"""Held-out predictions of surrogates, summed up: correlations, errors, and which features carry them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.analysis.statistics.correlations import MEASURES, SCOPES, associate
from tokimp.analysis.statistics.pooled import Resampling, pooled_ratio
from tokimp.chains.arrays import FloatArray
from tokimp.results.by_chain import token_slice
from tokimp_surrogate.crossfit import MODELS, Crossfit, Examples, group_drops
from tokimp_surrogate.features import KINDS, FeatureSpace
from tokimp_surrogate.targets import Target


@dataclass(frozen=True, slots=True)
class Testing:
    """How held-out predictions are tested: shuffles of each group, units a chain needs, and resampling of chains."""

    permutations: int
    minimum_units: int
    resampling: Resampling


def summarise(
    result: xr.DataTree,
    targets: Sequence[Target],
    examples: Mapping[str, Examples],
    fitted: Mapping[str, Crossfit],
    *,
    space: FeatureSpace,
    testing: Testing,
) -> xr.Dataset:
    """Return the node that ``docs/schema.md`` describes.

    Parameters
    ----------
    result, targets
        What was predicted.
    examples, fitted
        Of each target, by name.
    space
        What the features are.
    testing
        How held-out predictions are tested.
    """
    n_chains, n_tokens = result.sizes["chain"], result.sizes["token"]
    groups = space.groups() if testing.permutations else {}
    shape = (len(targets), len(MODELS))
    value = np.full((len(targets), n_tokens), np.nan)
    prediction = np.full((*shape, n_tokens), np.nan)
    correlation = np.full((*shape, len(MEASURES), len(SCOPES), 2, 3), np.nan)
    by_chain = np.full((*shape, len(MEASURES), 2, n_chains), np.nan)
    r_squared = np.full((*shape, 3), np.nan)
    drops = np.full((len(targets), len(SCOPES), len(groups), 3), np.nan)
    fold = np.full((len(targets), n_chains), -1)
    resampling = testing.resampling
    for row, target in enumerate(targets):
        one, fit = examples[target.name], fitted[target.name]
        fold[row, list(one.index)] = fit.fold
        _spread(value[row], result, one, one.target)
        mean_errors = _squared_errors(one, fit.predictions["mean"])
        for column, model in enumerate(MODELS):
            predictions = fit.predictions[model]
            _spread(prediction[row, column], result, one, predictions)
            lost, low, high = pooled_ratio(_squared_errors(one, predictions), mean_errors, resampling)
            r_squared[row, column] = 1 - float(lost), 1 - float(high), 1 - float(low)
            # A constant tells no units apart; that it differs a little from fold to fold is no prediction.
            if model != "mean":
                found = associate(one.target, predictions, resampling, testing.minimum_units)
                correlation[row, column] = found.values
                by_chain[row, column][..., list(one.index)] = found.by_chain
        if groups:
            columns = list(groups.values())
            drops[row] = group_drops(
                one,
                fit,
                columns,
                permutations=testing.permutations,
                resampling=resampling,
                minimum_units=testing.minimum_units,
            )
    dims = ("target", "model", "measure", "scope", "partial")
    ends = ("", "_low", "_high")
    parts: dict[str, Any] = {
        "value": (("target", "token"), value, {"long_name": "target of the token's unit"}),
        "prediction": (("target", "model", "token"), prediction, {"long_name": "held-out prediction of it"}),
        "fold": (("target", "chain"), fold, {"long_name": "fold the chain was held out in; -1: left out"}),
        "correlation_by_chain": (("target", "model", "measure", "partial", "chain"), by_chain),
        "chains_used": ("target", [len(examples[target.name]) for target in targets]),
        "units_used": ("target", [sum(map(len, examples[target.name].target)) for target in targets]),
        **{f"correlation{end}": (dims, correlation[..., at]) for at, end in enumerate(ends)},
        **{f"r_squared{end}": (dims[:2], r_squared[..., at]) for at, end in enumerate(ends)},
    }
    coords: dict[str, Any] = {}
    if groups:
        coords["group"] = _texts(groups)
        of_groups = ("target", "scope", "group")
        parts |= {f"group_drop{end}": (of_groups, drops[..., at]) for at, end in enumerate(ends)}
    return xr.Dataset(
        parts,
        coords={
            "target": _texts(target.name for target in targets),
            "model": _texts(MODELS),
            "measure": _texts(MEASURES),
            "scope": _texts(SCOPES),
            "partial": [False, True],
            **coords,
        },
        attrs={
            "layers": space.layers,
            "heads": space.heads,
            "features": len(space.names),
            "feature_kinds": ", ".join(KINDS),
            "confidence": resampling.confidence,
            "n_resamples": resampling.n_resamples,
            "interval": "chains resampled, models as fitted: percentile (pooled), BCa of the mean (within)",
        },
    )


def _texts(names: Iterable[str]) -> npt.NDArray[np.object_]:
    return np.array(list(names), dtype=object)


def _squared_errors(examples: Examples, predictions: Sequence[FloatArray]) -> FloatArray:
    """Return the sum of squared errors of each chain, [chain]."""
    pairs = zip(examples.target, predictions, strict=True)
    return np.array([float(np.square(target - found).sum()) for target, found in pairs])


def _spread(tokens: FloatArray, result: xr.DataTree, examples: Examples, values: Sequence[FloatArray]) -> None:
    """Write the values of units to each of their tokens, [token]."""
    units = result["unit"].to_numpy()
    for index, known, found in zip(examples.index, examples.known, values, strict=True):
        of_units = np.full(len(known), np.nan)
        of_units[known] = found
        span = token_slice(result, index)
        tokens[span] = of_units[units[span]]
