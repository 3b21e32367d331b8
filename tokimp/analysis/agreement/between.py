"""Agreement of each estimator with itself in another result: another objective, model, precision or backend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.agreement.groups_report import agreement_between_table, draw_agreement_between
from tokimp.analysis.statistics.intervals import mean_intervals
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson, position_residuals
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import iterate, unit_scores
from tokimp.results.io import load

# What may differ between the two results, and is named where it does.
_COMPARED = ("model_id", "objective", "backend", "dtype", "prompt_format", "seed", "device", "scorer")
_VERSIONS = ("tokimp_version", "torch_version", "transformers_version", "backend_version")


class AgreementBetween(Analysis):
    """Spearman correlation of each estimator's importances with those it gave in another result.

    The other result has to have the same units of the same reasoning, chain by chain: it may be of another objective,
    model (with the same tokenizer), precision, backend or seed. Chains and estimators that only one of them has are
    left out. A chain's value is the correlation over its units (ties share their mean rank), as they are, and with
    position partialled out. Means over chains, BCa bootstrap intervals, chains resampled.

    Parameters
    ----------
    other
        File of the other result (``runs/answer/results.nc``).
    confidence, n_resamples, seed
        Of the bootstrap.
    minimum_units
        Chains with fewer units are too short to rank; at least 2.
    """

    name = "agreement_between"

    def __init__(
        self,
        *,
        other: str = "",
        confidence: float = 0.95,
        n_resamples: int = 2000,
        seed: int = 0,
        minimum_units: int = 5,
    ) -> None:
        self.other = other
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed
        self.minimum_units = minimum_units

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` where no other result is named or there, or a number is out of its range."""
        wanted = "the file of another result, such as runs/answer/results.nc"
        if not self.other:
            raise self.invalid_parameter("other", wanted)
        if not Path(self.other).exists():
            raise AnalysisError(f"{self.name}: other={self.other!r}: there is no such file; give {wanted}")
        if not 0 < self.confidence < 1:
            raise self.invalid_parameter("confidence", "a number between 0 and 1")
        for name, least in (("n_resamples", 1), ("minimum_units", 2)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise self.invalid_parameter(name, f"a whole number, {least} or more")

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes.

        Raises
        ------
        AnalysisError
            If the two have no chain or no estimator in common, or a chain's tokens or units differ.
        """
        result, another = given.result, load(Path(self.other))
        labels = [name for name in result["estimator"].to_numpy().tolist() if name in another["estimator"]]
        theirs = dict(iterate(another))
        if not labels or not theirs.keys() & dict(iterate(result)).keys():
            raise AnalysisError(f"{self.other} has no {'chain' if labels else 'estimator'} in common with the result")
        values = np.full((2, len(labels), result.sizes["chain"]), np.nan)
        for index, (chain_id, chain) in enumerate(iterate(result)):
            if chain_id not in theirs:
                continue
            _check_same_units(chain_id, chain, theirs[chain_id], self.other)
            ours, others = (unit_scores(part.sel(estimator=labels)) for part in (chain, theirs[chain_id]))
            if ours.shape[1] < self.minimum_units:
                continue
            for row, (a, b) in enumerate(zip(ours, others, strict=True)):
                if np.isnan(a).any() or np.isnan(b).any():
                    continue
                for partial, standing in enumerate((mean_ranks, position_residuals)):
                    one, two = standing(a), standing(b)
                    if not (is_constant(one) or is_constant(two)):
                        values[partial, row, index] = pearson(one, two)
        mean, low, high = mean_intervals(
            values, confidence=self.confidence, n_resamples=self.n_resamples, seed=self.seed
        )
        dims = ("partial", "common")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "Spearman correlation of a chain"}),
                "mean": (dims, mean, {"long_name": "mean over the chains used"}),
                "low": (dims, low, {"long_name": "lower end of the mean's interval"}),
                "high": (dims, high, {"long_name": "upper end of the mean's interval"}),
                "chains_used": (dims, (~np.isnan(values)).sum(-1), {"long_name": "chains that have a value"}),
            },
            coords={"partial": [False, True], "common": np.array(labels, dtype=object)},
            attrs={
                "other": self.other,
                "difference": ", ".join(_differences(result, another, labels)) or "none",
                "confidence": self.confidence,
                "n_resamples": self.n_resamples,
                "seed": self.seed,
                "minimum_units": self.minimum_units,
                "interval": "BCa bootstrap of the mean, chains resampled",
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the mean correlation of every estimator that both results have."""
        return [agreement_between_table(result)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the mean correlation of every estimator that both results have."""
        return draw_agreement_between(result)


def _differences(ours: xr.DataTree, theirs: xr.DataTree, labels: Sequence[str]) -> list[str]:
    """Return in what the two results are recorded to differ, as far as the estimators of these labels are concerned."""
    names = [name for name in (*_COMPARED, *_VERSIONS) if ours.attrs[name] != theirs.attrs[name]]
    # Each backend has versions of its own.
    if "backend" in names and "backend_version" in names:
        names.remove("backend_version")
    found = [f"{name} {ours.attrs[name]} / {theirs.attrs[name]}" for name in names]
    # The fingerprint is of weights, configuration and precision: it differs wherever model or precision do.
    if ours.attrs["model_fingerprint"] != theirs.attrs["model_fingerprint"] and not {"model_id", "dtype"} & set(names):
        found.append("weights or configuration of the model")
    one, other = (json.loads(str(each.attrs["estimator_parameters"])) for each in (ours, theirs))
    changed = [label for label in labels if one.get(label) != other.get(label)]
    return [*found, *(f"parameters or files of {label}" for label in changed)]


def _check_same_units(chain_id: str, ours: xr.Dataset, theirs: xr.Dataset, other: str) -> None:
    same_text = str(ours["reasoning"].item()) == str(theirs["reasoning"].item())
    names = ("unit", "token_start", "token_end")
    if not same_text or not all(np.array_equal(ours[name].to_numpy(), theirs[name].to_numpy()) for name in names):
        what = "units" if same_text else "reasoning"
        raise AnalysisError(
            f"chain {chain_id!r} has other {what} in {other}; only results on the same tokens can be compared"
        )
