"""The node of the surrogate analysis: held-out predictions with their correlations, errors and group drops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.analysis.statistics.correlations import MEASURES, SCOPES, associate
from tokimp.analysis.statistics.intervals import (
    DIFFERENCE_OF_CORRELATIONS,
    INTERVAL_OF_MEANS,
    mean_p_values,
    mean_variables,
)
from tokimp.analysis.statistics.multiplicity import holm
from tokimp.analysis.statistics.pooled import INTERVAL_OF_POOLED, pooled_ratio
from tokimp.chains.arrays import FloatArray
from tokimp.results.by_chain import token_slice
from tokimp_surrogate.crossfit import MODELS, Crossfit, Examples
from tokimp_surrogate.features import KINDS, FeatureSpace
from tokimp_surrogate.group_drops import group_drops
from tokimp_surrogate.targets import Target


@dataclass(frozen=True, slots=True)
class Testing:
    """How held-out predictions are tested.

    Attributes
    ----------
    permutations
        Number of shuffles of each group of features; 0 leaves group drops out.
    minimum_units
        Chains with fewer units have no correlation within.
    confidence
        Confidence of the intervals, between 0 and 1.
    seed
        Seed of the shuffles.
    """

    permutations: int
    minimum_units: int
    confidence: float
    seed: int


def summarise(
    result: xr.DataTree,
    targets: Sequence[Target],
    examples: Mapping[str, Examples],
    fitted: Mapping[str, Crossfit],
    *,
    space: FeatureSpace,
    testing: Testing,
) -> xr.Dataset:
    """Return the node ``/analysis/surrogate``, as ``docs/schema.md`` describes it.

    Parameters
    ----------
    result
        The result.
    targets
        The targets that were predicted.
    examples, fitted
        The chains with each target and the held-out predictions, by the target's name.
    space
        The features from which they were predicted.
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
    confidence = testing.confidence
    for row, target in enumerate(targets):
        chains, fit = examples[target.name], fitted[target.name]
        fold[row, list(chains.index)] = fit.fold
        _write_to_tokens(value[row], result, chains, chains.target)
        mean_errors = _squared_errors(chains, fit.predictions["mean"])
        for column, model in enumerate(MODELS):
            predictions = fit.predictions[model]
            _write_to_tokens(prediction[row, column], result, chains, predictions)
            error, low, high = pooled_ratio(
                _squared_errors(chains, predictions), mean_errors, confidence, (0.0, np.inf)
            )
            r_squared[row, column] = 1 - float(error), 1 - float(high), 1 - float(low)
            # The mean tells no units apart; its small differences between folds are no prediction.
            if model != "mean":
                places = [np.flatnonzero(known) for known in chains.known]
                association = associate(chains.target, predictions, places, confidence, testing.minimum_units)
                correlation[row, column] = association.values
                by_chain[row, column][..., list(chains.index)] = association.by_chain
        if groups:
            drops[row] = group_drops(
                chains,
                fit,
                list(groups.values()),
                permutations=testing.permutations,
                confidence=confidence,
                seed=testing.seed,
                minimum_units=testing.minimum_units,
            )
    dims = ("target", "model", "measure", "scope", "partial")
    ends = ("", "_low", "_high")
    pearson_within = by_chain[:, :, MEASURES.index("pearson"), 0]
    adds = pearson_within[:, MODELS.index("both")] - pearson_within[:, MODELS.index("lexical")]
    p_values = mean_p_values(adds)
    parts: dict[str, Any] = {
        "value": (("target", "token"), value, {"long_name": "target of the token's unit"}),
        "prediction": (("target", "model", "token"), prediction, {"long_name": "held-out prediction of it"}),
        "fold": (("target", "chain"), fold, {"long_name": "fold the chain was held out in; -1: left out"}),
        "correlation_by_chain": (("target", "model", "measure", "partial", "chain"), by_chain),
        "chains_used": ("target", [len(examples[target.name]) for target in targets]),
        "units_used": ("target", [sum(map(len, examples[target.name].target)) for target in targets]),
        "attention_adds": (("target", "chain"), adds, {"long_name": "Pearson within, both less lexical"}),
        **mean_variables(("target",), adds, confidence, "attention_adds_", DIFFERENCE_OF_CORRELATIONS),
        "attention_adds_p_value": ("target", p_values, {"long_name": "two-sided, of no difference"}),
        "attention_adds_p_corrected": ("target", np.array(holm(p_values)), {"long_name": "Holm over all targets"}),
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
            "confidence": confidence,
            "interval": f"models as fitted; pooled: {INTERVAL_OF_POOLED}; within: {INTERVAL_OF_MEANS}",
        },
    )


def _texts(names: Iterable[str]) -> npt.NDArray[np.object_]:
    return np.array(list(names), dtype=object)


def _squared_errors(examples: Examples, predictions: Sequence[FloatArray]) -> FloatArray:
    """Return the sum of squared errors of each chain, [chain]."""
    pairs = zip(examples.target, predictions, strict=True)
    return np.array([float(np.square(target - prediction).sum()) for target, prediction in pairs])


def _write_to_tokens(tokens: FloatArray, result: xr.DataTree, examples: Examples, values: Sequence[FloatArray]) -> None:
    """Write the value of each unit with a target to all of the unit's tokens, [token]."""
    units = result["unit"].to_numpy()
    for index, known, chain_values in zip(examples.index, examples.known, values, strict=True):
        unit_values = np.full(len(known), np.nan)
        unit_values[known] = chain_values
        span = token_slice(result, index)
        tokens[span] = unit_values[units[span]]
