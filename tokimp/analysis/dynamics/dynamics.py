"""How long a ranking stays true as a chain is pruned: made anew, frozen at the start, and at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.deletion_orders import kept_count, uniform_orders
from tokimp.analysis.dynamics.report import draw_dynamics, dynamics_table
from tokimp.analysis.statistics.intervals import RESAMPLING, mean_intervals
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, overlap_shares, pearson
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, Text, WholeNumber
from tokimp.contracts.scorer import Capability
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import iterate, unit_scores

CONTEXT_RATIOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
LOCAL, FROZEN, RANDOM = "local", "frozen", "random"


class Dynamics(Analysis):
    """Which units go next, predicted from a ranking made now, from one made at the start, and at random.

    Along the deletion path of an estimator (greedy pruning), at each context ratio, ``int(n * ratio)`` of n units are
    left. The next k deletions of the path are then predicted by

    - ``local``: every single deletion scored anew, of what is left at that point (its first is the next step of exact
      greedy pruning by definition, but for exact ties, of which the path takes the leftmost);
    - ``frozen``: the same, as it was of the whole chain;
    - ``random``: a random order, the mean of `draws`;
    - every other estimator of the result, by its label.

    ``overlap`` is the share of the actual next k that are among the predicted k, ties broken at random (an
    expectation); ``correlation`` is the Spearman correlation of the prediction with the actual order of all units that
    are left. A path that ends early says nothing about what it did not delete, and a chain has no value where fewer
    than k deletions follow, or where k is all that is left, which any prediction gets right.

    The experiment is that of Singh and Hakkani-Tür (2026), section on ranking dynamics. Means over chains, BCa
    bootstrap intervals, chains resampled. A chain of which the path's estimator says nothing is left out.

    Parameters
    ----------
    path
        Label of the estimator whose path is predicted; empty: the first one that recorded a path.
    context_ratios
        Shares of the units left, each above 0 and at most 1.
    next_units
        Values of k.
    draws
        Random orders a chain.
    confidence, n_resamples, seed
        Of the bootstrap; the seed also of the random orders.
    """

    name = "dynamics"
    requires = frozenset({Capability.DELETIONS})
    constraints = {
        "path": Text("the label of an estimator with a deletion path", may_be_empty=True),
        "context_ratios": ListOf(Number(above=0, most=1), fewest=1),
        "next_units": ListOf(WholeNumber(1), fewest=1),
        "draws": WholeNumber(1),
        **RESAMPLING,
    }

    def __init__(
        self,
        *,
        path: str = "",
        context_ratios: Sequence[float] = CONTEXT_RATIOS,
        next_units: Sequence[int] = (1, 3, 5, 10),
        draws: int = 20,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        seed: int = 0,
    ) -> None:
        self.path = path
        self.context_ratios = context_ratios
        self.next_units = next_units
        self.draws = draws
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes.

        Raises
        ------
        AnalysisError
            If no estimator of the result recorded a path, or the one named did not.
        """
        result, scoring = given.result, given.scoring
        labels = [str(label) for label in result["estimator"].to_numpy()]
        path = self._path(result, labels)
        predictors = [LOCAL, FROZEN, RANDOM, *(label for label in labels if label != path)]
        ratios = sorted({float(ratio) for ratio in self.context_ratios}, reverse=True)
        depths = sorted(set(self.next_units))
        n_chains = result.sizes["chain"]
        overlap = np.full((len(predictors), len(ratios), len(depths), n_chains), np.nan)
        correlation = np.full((len(predictors), len(ratios), n_chains), np.nan)
        for index, (chain_id, chain) in enumerate(iterate(result)):
            scores = dict(zip(labels, unit_scores(chain), strict=True))
            order = _path_order(chain.sel(estimator=path), scores[path])
            if order is None:
                continue
            tokenized = scoring.chains[index]
            n_units = len(tokenized.units)
            frozen = -_deletions(given, index, list(range(n_units)))
            draws = [_places(draw.units) for draw in uniform_orders(chain_id, n_units, self.draws, self.seed)]
            for at, ratio in enumerate(ratios):
                left = np.flatnonzero((order < 0) | (order >= n_units - kept_count(n_units, ratio)))
                # Where the path is not that far, what it would have deleted is not known.
                if (order >= 0).sum() < n_units - len(left) or len(left) < 2:
                    continue
                actual = np.where(order[left] < 0, np.inf, order[left])
                guesses: dict[str, list[FloatArray]] = {
                    LOCAL: [-_deletions(given, index, left.tolist())],
                    FROZEN: [frozen[left]],
                    RANDOM: [draw[left] for draw in draws],
                    **{label: [scores[label][left]] for label in predictors[3:]},
                }
                overlap[:, at, :, index], correlation[:, at, index] = _compare(guesses, predictors, actual, depths)
            given.report(index + 1, n_chains, chain_id, self.name)
        coords = {"predictor": np.array(predictors, dtype=object), "context_ratio": ratios, "k": depths}
        return self._node({"overlap": overlap, "correlation": correlation}, coords, path)

    def _path(self, result: xr.DataTree, labels: list[str]) -> str:
        recorded = [label for label in labels if not np.isnan(result["loglik_joint"].sel(estimator=label)).all()]
        if self.path and self.path not in recorded:
            raise AnalysisError(
                f"the result has no deletion path of {self.path!r}; those with one: {', '.join(recorded) or 'none'}"
            )
        if not recorded:
            raise AnalysisError("no estimator of the result recorded a deletion path; run one that does (greedy)")
        return self.path or recorded[0]

    def _node(self, measured: Mapping[str, FloatArray], coords: Mapping[str, Any], path: str) -> xr.Dataset:
        dims = {"overlap": ("predictor", "context_ratio", "k"), "correlation": ("predictor", "context_ratio")}
        parts: dict[str, tuple[tuple[str, ...], FloatArray]] = {}
        for name, values in measured.items():
            found = mean_intervals(values, confidence=self.confidence, n_resamples=self.n_resamples, seed=self.seed)
            parts[name] = ((*dims[name], "chain"), values)
            for end, part in zip(("mean", "low", "high"), found, strict=True):
                parts[f"{name}_{end}"] = (dims[name], part)
            parts[f"{name}_chains"] = (dims[name], (~np.isnan(values)).sum(-1))
        return xr.Dataset(
            parts,
            coords=coords,
            attrs={
                "path": path,
                "draws": self.draws,
                "confidence": self.confidence,
                "n_resamples": self.n_resamples,
                "seed": self.seed,
                "interval": "BCa bootstrap of the mean, chains resampled",
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the overlap of each prediction over the context ratio, for one k, and the correlation."""
        return [dynamics_table(result)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return overlap for each k, and correlation, over the context ratio."""
        return draw_dynamics(result)


def _path_order(chain: xr.Dataset, scores: FloatArray) -> FloatArray | None:
    """Return the step at which each unit went, [unit], -1 where it stayed; ``None`` where nothing was recorded."""
    _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
    gone = ~np.isnan(chain["loglik_joint"].to_numpy()[firsts])
    if np.isnan(scores).any() or not gone.any():
        return None
    order = np.full(len(scores), -1.0)
    order[gone] = np.argsort(np.argsort(chain["rank"].to_numpy()[firsts][gone]))
    return order


def _deletions(given: AnalysisInput, index: int, left: list[int]) -> FloatArray:
    """Return the objective after each single deletion of what is left of a chain, [unit left]."""
    scoring = given.scoring
    found = score_unit_deletions(scoring.scorer, scoring.chains[index], left, scoring.objective)
    return np.asarray(found.objective, dtype=np.float64)


def _places(units: IntArray) -> FloatArray:
    places = np.empty(len(units))
    places[units] = np.arange(len(units))
    return places


def _compare(
    guesses: Mapping[str, list[FloatArray]], predictors: list[str], actual: FloatArray, depths: list[int]
) -> tuple[FloatArray, FloatArray]:
    """Return overlap [predictor, k] and correlation [predictor] of predicted importances with the actual order."""
    overlap = np.full((len(predictors), len(depths)), np.nan)
    correlation = np.full(len(predictors), np.nan)
    known = int(np.isfinite(actual).sum())
    for row, predictor in enumerate(predictors):
        shares, correlations = [], []
        for guess in guesses[predictor]:
            if np.isnan(guess).any():
                break
            # `overlap_shares` compares the tops of two rankings; here the next to go come first.
            shares.append(overlap_shares(-guess, -np.where(np.isfinite(actual), actual, len(actual))))
            if known >= len(actual) - 1 and not is_constant(guess):
                correlations.append(pearson(mean_ranks(guess), mean_ranks(actual)))
        for column, k in enumerate(depths):
            if shares and k <= known and k < len(actual):
                overlap[row, column] = np.mean([share[k - 1] for share in shares])
        if correlations:
            correlation[row] = np.mean(correlations)
    return overlap, correlation
