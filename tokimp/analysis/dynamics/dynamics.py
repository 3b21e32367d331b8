"""How long a ranking predicts the next deletions as a chain is pruned: made anew, frozen at the start, at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from rich.table import Table

from tokimp.analysis.deletion_orders import kept_count, uniform_orders
from tokimp.analysis.dynamics.predictors import FROZEN, LOCAL, RANDOM, REFERENCES, predictor_names
from tokimp.analysis.dynamics.report import dynamics_table
from tokimp.analysis.statistics.intervals import (
    CONFIDENCE,
    CORRELATION,
    INTERVAL_OF_MEANS,
    SHARE,
    mean_variables,
)
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, overlap_shares, pearson
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.analysis import Analysis, AnalysisInput, Scoring
from tokimp.contracts.constraints import ListOf, Number, Text, WholeNumber
from tokimp.contracts.scorer import Capability
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.errors import AnalysisError
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate, unit_scores
from tokimp.results.ties import TIES, tie, tie_attributes, tie_variables

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure

CONTEXT_RATIOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


class Dynamics(Analysis):
    """How well the next deletions are predicted from a ranking made now, from one made at the start, and at random.

    At each context ratio along the deletion path of an estimator (greedy pruning), ``int(n * ratio)`` of n units are
    left. The next k deletions of the path are then predicted by

    - ``local``: every single deletion scored anew, from what is left at that point. Its first unit is by definition the
      next step of exact greedy pruning, except for exact ties, of which the path takes the leftmost;
    - ``frozen``: every single deletion as scored from the whole chain;
    - ``random``: a random order; the mean over `draws` orders;
    - every other estimator of the result, by its label; one that is labelled ``local``, ``frozen`` or ``random`` is
      called ``estimator local`` and so on.

    ``overlap`` is the share of the actual next k units that are among the predicted k, with ties broken at random (an
    expectation). ``correlation`` is the Spearman correlation of the prediction with the actual order of all units that
    are left. A path that ends early says nothing about the units it did not delete. A chain has no value where fewer
    than k deletions follow, or where k is all that is left, which every prediction gets right.

    This is the experiment of Singh and Hakkani-Tür (2026), section on ranking dynamics. Means are over chains, with
    their intervals. A chain about which the path's estimator says nothing is left out.

    Parameters
    ----------
    path
        Label of the estimator whose path is predicted; if empty, the first one that recorded a path.
    context_ratios
        Shares of the units left, each above 0 and at most 1.
    next_units
        The values of k: how many of the next deletions are predicted.
    draws
        Number of random orders of each chain.
    tie_threshold, tie_estimators
        Importances of these estimators, other than the path's, are cut to whole multiples of so many nats towards 0
        first; see `tokimp.results.ties.tie`. 0 cuts nothing. ``local`` and ``frozen`` are as the model gives them.
    confidence, seed
        Settings of the intervals; the seed is that of the random orders.
    """

    name = "dynamics"
    requires = frozenset({Capability.DELETIONS})
    constraints = {
        "path": Text("the label of an estimator with a deletion path", may_be_empty=True),
        "context_ratios": ListOf(Number(above=0, most=1), fewest=1),
        "next_units": ListOf(WholeNumber(1), fewest=1),
        "draws": WholeNumber(1),
        **TIES,
        **CONFIDENCE,
        "seed": WholeNumber(0),
    }

    def __init__(
        self,
        *,
        path: str = "",
        context_ratios: Sequence[float] = CONTEXT_RATIOS,
        next_units: Sequence[int] = (1, 3, 5, 10),
        draws: int = 20,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.path = path
        self.context_ratios = context_ratios
        self.next_units = next_units
        self.draws = draws
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence
        self.seed = seed

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/dynamics``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If no estimator of the result recorded a path, or the one named did not.
        SchemaError, EstimatorError
            If importances cannot be tied (`tokimp.results.ties.tie`).
        """
        result, scoring = tie(inputs.result, self.tie_threshold, self.tie_estimators), inputs.scoring
        labels = [str(label) for label in result["estimator"].to_numpy()]
        path = self._path(result, labels)
        named = predictor_names(labels, path)
        predictors = [*REFERENCES, *named.values()]
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
            # What is left at each context ratio that the path reaches; farther, the units that it would have deleted
            # are not known.
            reached = {}
            for at, ratio in enumerate(ratios):
                left = np.flatnonzero((order < 0) | (order >= n_units - kept_count(n_units, ratio)))
                if (order >= 0).sum() >= n_units - len(left) and len(left) >= 2:
                    reached[at] = left
            # Of several chains another path may be taken than of one of them alone.
            after = inputs.keep(index, partial(_ask, scoring, index, reached), what=path)
            draws = [_places(draw.units) for draw in uniform_orders(chain_id, n_units, self.draws, self.seed)]
            for at, left in reached.items():
                actual = np.where(order[left] < 0, np.inf, order[left])
                guesses: dict[str, list[FloatArray]] = {
                    LOCAL: [-after[str(at)]],
                    FROZEN: [-after[FROZEN][left]],
                    RANDOM: [draw[left] for draw in draws],
                    **{name: [scores[label][left]] for label, name in named.items()},
                }
                overlap[:, at, :, index], correlation[:, at, index] = _compare(guesses, predictors, actual, depths)
            inputs.report(index + 1, n_chains, chain_id, self.name)
        coords = {"predictor": np.array(predictors, dtype=object), "context_ratio": ratios, "k": depths}
        node = self._node({"overlap": overlap, "correlation": correlation}, coords, path)
        node = node.assign(tie_variables(result)).assign_coords(estimator=result["estimator"].variable)
        return node.assign_attrs(tie_attributes(self.tie_threshold, self.tie_estimators))

    def _path(self, result: xr.DataTree, labels: list[str]) -> str:
        """Return the label of the estimator whose path is predicted."""
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
        parts: dict[str, Any] = {}
        for name, values in measured.items():
            parts[name] = ((*dims[name], "chain"), values)
            parts |= mean_variables(
                dims[name], values, self.confidence, f"{name}_", SHARE if name == "overlap" else CORRELATION
            )
            parts[f"{name}_chains"] = (dims[name], (~np.isnan(values)).sum(-1))
        return xr.Dataset(
            parts,
            coords=coords,
            attrs={
                "path": path,
                "draws": self.draws,
                "confidence": self.confidence,
                "seed": self.seed,
                "interval": INTERVAL_OF_MEANS,
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the overlap of each prediction over the context ratio, for one k, and the correlation."""
        return [dynamics_table(result, node_name=stored_name(result, self))]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the share of the next five deletions predicted over the context ratio, a panel for each prediction."""
        return plot.dynamics(result, node_name=stored_name(result, self)).figure


def _path_order(chain: xr.Dataset, scores: FloatArray) -> FloatArray | None:
    """Return the step at which each unit was deleted, [unit], -1 if it stayed; ``None`` if no path was recorded."""
    _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
    deleted = ~np.isnan(chain["loglik_joint"].to_numpy()[firsts])
    if np.isnan(scores).any() or not deleted.any():
        return None
    order = np.full(len(scores), -1.0)
    order[deleted] = np.argsort(np.argsort(chain["rank"].to_numpy()[firsts][deleted]))
    return order


def _ask(scoring: Scoring, index: int, reached: Mapping[int, IntArray]) -> dict[str, FloatArray]:
    """Return the objective after each single deletion: from the whole chain, and from what is left at each ratio."""
    units = list(range(len(scoring.chains[index].units)))
    lefts = {FROZEN: units, **{str(at): left.tolist() for at, left in reached.items()}}
    return {name: _after_deletions(scoring, index, left) for name, left in lefts.items()}


def _after_deletions(scoring: Scoring, index: int, left: list[int]) -> FloatArray:
    """Return the objective after each single deletion from the units that are left of a chain, [unit left]."""
    scores = score_unit_deletions(scoring.scorer, scoring.chains[index], left, scoring.objective)
    return np.asarray(scores.objective, dtype=np.float64)


def _places(units: IntArray) -> FloatArray:
    """Return the place of each unit in an order of all units, [unit]."""
    places = np.empty(len(units))
    places[units] = np.arange(len(units))
    return places


def _compare(
    guesses: Mapping[str, list[FloatArray]], predictors: list[str], actual: FloatArray, depths: list[int]
) -> tuple[FloatArray, FloatArray]:
    """Return overlap, [predictor, k], and correlation, [predictor], of predictions with the actual order.

    Parameters
    ----------
    guesses
        The predicted importances of the units that are left, [unit left], by predictor; several are averaged.
    predictors
        Which predictors, in the order of the returned rows.
    actual
        The step at which each unit left is deleted, [unit left]; infinite for units that the path does not delete.
    depths
        Values of k.
    """
    overlap = np.full((len(predictors), len(depths)), np.nan)
    correlation = np.full(len(predictors), np.nan)
    known = int(np.isfinite(actual).sum())
    for row, predictor in enumerate(predictors):
        shares, correlations = [], []
        for guess in guesses[predictor]:
            if np.isnan(guess).any():
                break
            # `overlap_shares` compares the tops of two rankings; here the units that are deleted next come first.
            shares.append(overlap_shares(-guess, -np.where(np.isfinite(actual), actual, len(actual))))
            if known >= len(actual) - 1 and not is_constant(guess):
                correlations.append(pearson(mean_ranks(guess), mean_ranks(actual)))
        for column, k in enumerate(depths):
            if shares and k <= known and k < len(actual):
                overlap[row, column] = np.mean([share[k - 1] for share in shares])
        if correlations:
            correlation[row] = np.mean(correlations)
    return overlap, correlation
