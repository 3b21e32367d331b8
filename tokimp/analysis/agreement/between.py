"""Agreement of each estimator with itself in another result, of another objective, model, precision or backend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from rich.table import Table

from tokimp.analysis.agreement.between_report import agreement_between_table
from tokimp.analysis.agreement.other_chains import is_ranking, products
from tokimp.analysis.agreement.place_variables import other_chains, place_variables, rank_features
from tokimp.analysis.agreement.report import FEWEST_TO_RANK
from tokimp.analysis.statistics.intervals import (
    CONFIDENCE,
    CORRELATION,
    INTERVAL_OF_MEANS,
    mean_variables,
)
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson, position_residuals
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import WholeNumber
from tokimp.errors import AnalysisError
from tokimp.report import plot
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import iterate, unit_scores
from tokimp.results.io import load
from tokimp.results.selection import sel
from tokimp.results.ties import TIES, tie, tie_attributes, tied_share

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure

# Attributes in which the two results may differ; those that do are named.
_COMPARED = ("model_id", "objective", "backend", "dtype", "prompt_format", "seed", "device", "scorer")
_VERSIONS = ("tokimp_version", "torch_version", "transformers_version", "backend_version")


class AgreementBetween(Analysis):
    """Spearman correlation of each estimator's importances with those it gave in another result.

    The other result must have the same units of the same reasoning, chain by chain. It may be of another objective,
    model (with the same tokenizer), precision, backend or seed. Chains and estimators that only one of the results has
    are left out. A chain's value is the correlation over its units (ties share their mean rank), as they are and with
    position partialled out linearly. ``beyond_place`` is the correlation as it is less the one that place alone makes
    (as in `tokimp.analysis.agreement.agreement.Agreement`): with the scores that the other result gives *other* chains,
    at the same places. Only chains that the estimator ranks in both results count there. Means are over chains, with
    their intervals; p-values are corrected for all estimators (Holm).

    Parameters
    ----------
    other
        File of the other result, such as ``runs/answer/results.nc``.
    others
        The most other chains whose scores are put beside those of each chain.
    tie_threshold
        Units that matter less than this tie in both results (`tokimp.results.ties.tie`); nats. 0 leaves importances as
        they are.
    tie_estimators
        Labels or names of the estimators whose importances are in nats, and so have the threshold; of those that both
        results have.
    confidence
        Confidence of the intervals, between 0 and 1.
    minimum_units
        Chains with fewer units are too short to rank; at least 2.
    """

    name = "agreement_between"
    constraints = {"others": WholeNumber(1), **TIES, **CONFIDENCE, "minimum_units": WholeNumber(FEWEST_TO_RANK)}

    def __init__(
        self,
        *,
        other: str = "",
        others: int = 10,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
        minimum_units: int = 5,
    ) -> None:
        self.other = other
        self.others = others
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence
        self.minimum_units = minimum_units

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, or if the other result is not named or not there."""
        super().validate_parameters()
        wanted = "the file of another result, such as runs/answer/results.nc"
        if not self.other:
            raise self.invalid_parameter("other", wanted)
        if not Path(self.other).exists():
            raise AnalysisError(f"{self.name}: other={self.other!r}: there is no such file; give {wanted}")

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/agreement_between``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If the two results have no chain or no estimator in common, or a chain's tokens or units differ.
        SchemaError, EstimatorError
            If importances cannot be tied (`tokimp.results.ties.tie`).
        """
        result, other_result = inputs.result, load(Path(self.other))
        labels = [name for name in result["estimator"].to_numpy().tolist() if name in other_result["estimator"]]
        by_id = dict(iterate(other_result))
        if not labels or not by_id.keys() & dict(iterate(result)).keys():
            raise AnalysisError(f"{self.other} has no {'chain' if labels else 'estimator'} in common with the result")
        result, other_result = (
            tie(sel(tree, estimator=labels), self.tie_threshold, self.tie_estimators) for tree in (result, other_result)
        )
        by_id = dict(iterate(other_result))
        values = np.full((2, len(labels), result.sizes["chain"]), np.nan)
        tied = np.full((2, len(labels), result.sizes["chain"]), np.nan)
        both: dict[int, FloatArray] = {}
        for index, (chain_id, chain) in enumerate(iterate(result)):
            if chain_id not in by_id:
                continue
            other_chain = by_id[chain_id]
            _check_same_units(chain_id, chain, other_chain, self.other)
            scores = np.stack([unit_scores(part) for part in (chain, other_chain)], axis=1)
            tied[:, :, index] = [[tied_share(row) for row in rows] for rows in scores.swapaxes(0, 1)]
            if scores.shape[-1] < self.minimum_units:
                continue
            both[index] = scores
            for row, (a, b) in enumerate(scores):
                if np.isnan(a).any() or np.isnan(b).any():
                    continue
                for at, ranked_by in enumerate((mean_ranks, position_residuals)):
                    ranks, other_ranks = ranked_by(a), ranked_by(b)
                    if not (is_constant(ranks) or is_constant(other_ranks)):
                        values[at, row, index] = pearson(ranks, other_ranks)
        chance = self._chance_by_place(result, both, len(labels))
        dims = ("partial", "common")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "Spearman correlation of a chain"}),
                **mean_variables(dims, values, self.confidence, bounds=CORRELATION),
                "chains_used": (dims, (~np.isnan(values)).sum(-1), {"long_name": "chains that have a value"}),
                "tied": (("common", "chain"), tied[0], {"long_name": "share of units that tie"}),
                "tied_other": (("common", "chain"), tied[1], {"long_name": "share that tie in the other result"}),
                **place_variables(dims[1:], values[0], chance, np.ones(len(labels)), self.confidence),
            },
            coords={"partial": [False, True], "common": np.array(labels, dtype=object)},
            attrs={
                "other": self.other,
                "difference": ", ".join(_differences(result, other_result, labels)) or "none",
                "confidence": self.confidence,
                "minimum_units": self.minimum_units,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
                "others": self.others,
                "interval": INTERVAL_OF_MEANS,
            },
        )

    def _chance_by_place(self, result: xr.DataTree, both: Mapping[int, FloatArray], n_labels: int) -> FloatArray:
        """Return the correlation that place alone makes, [label, chain].

        Parameters
        ----------
        result
            The result.
        both
            The scores that both results give a chain, [label, result, unit], by the chain's index.
        n_labels
            Number of labels.
        """
        chance = np.full((n_labels, result.sizes["chain"]), np.nan)
        features = partial(rank_features, units=slice(None))
        for row in range(n_labels):
            # Only chains that it ranks in both results count: as others too, of which there are at most so many.
            known = {index: scores[row] for index, scores in both.items() if all(map(is_ranking, scores[row]))}
            numbers = np.array(list(known), dtype=np.int64)
            others = other_chains(result, known, self.others, self.minimum_units, numbers)
            for place, (index, pair) in enumerate(known.items()):
                means = [others.mean_features(place, at, features) for at in (0, 1)]
                chance[row, index] = products([features(scores) for scores in pair], means, 1)[0, 0, 1]
        return chance

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the mean correlation of every estimator that both results have."""
        return [agreement_between_table(result, node_name=stored_name(result, self))]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the mean correlation of every estimator that both results have."""
        return plot.root_figure(plot.agreement_between(result, node_name=stored_name(result, self)))


def _differences(result: xr.DataTree, other: xr.DataTree, labels: Sequence[str]) -> list[str]:
    """Return the recorded differences between two results that concern the estimators of these labels."""
    names = [name for name in (*_COMPARED, *_VERSIONS) if result.attrs[name] != other.attrs[name]]
    # Versions of two different backends cannot be compared.
    if "backend" in names and "backend_version" in names:
        names.remove("backend_version")
    differences = [f"{name} {result.attrs[name]} / {other.attrs[name]}" for name in names]
    # The fingerprint covers weights, configuration and precision, so it differs wherever model or precision do.
    same_fingerprint = result.attrs["model_fingerprint"] == other.attrs["model_fingerprint"]
    if not same_fingerprint and not {"model_id", "dtype"} & set(names):
        differences.append("weights or configuration of the model")
    described, other_described = (json.loads(str(tree.attrs["estimator_parameters"])) for tree in (result, other))
    changed = [label for label in labels if described.get(label) != other_described.get(label)]
    return [*differences, *(f"parameters or files of {label}" for label in changed)]


def _check_same_units(chain_id: str, chain: xr.Dataset, other: xr.Dataset, other_name: str) -> None:
    """Raise `AnalysisError` unless a chain has the same reasoning, tokens and units in the other result."""
    same_text = str(chain["reasoning"].item()) == str(other["reasoning"].item())
    names = ("unit", "token_start", "token_end")
    if not same_text or not all(np.array_equal(chain[name].to_numpy(), other[name].to_numpy()) for name in names):
        what = "units" if same_text else "reasoning"
        raise AnalysisError(
            f"chain {chain_id!r} has other {what} in {other_name}; only results on the same tokens can be compared"
        )
