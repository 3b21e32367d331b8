"""Agreement of estimators in parts of the data: by category of token, by position, on right and on wrong chains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.agreement.groups_report import agreement_within_table, draw_agreement_within
from tokimp.analysis.statistics.intervals import mean_intervals
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson, position_residuals
from tokimp.analysis.token_labels import token_labels
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Chain
from tokimp.chains.datasets.correctness import is_right
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.registry import load_categorizer
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import iterate, unit_scores

KINDS = ("category", "position", "correctness")
Units = np.ndarray[tuple[int], np.dtype[np.int64]]


class AgreementWithin(Analysis):
    """Spearman correlation of every two estimators within groups of units, or of chains.

    - ``by=category``: among the units of a chain that have one category (that of most of the unit's tokens);
    - ``by=position``: among the units of one of `bands` equal stretches of a chain, named ``0.0-0.2`` and so on;
    - ``by=correctness``: among all units, of the chains whose answer is right and of those whose answer is wrong, by
      the rule of the data (chains without a right answer to compare with are left out).

    A chain's value is the correlation of the ranks of the group's units (ties share their mean), as they are, and with
    position partialled out within the group. Chains with fewer than `minimum_units` in a group, and those on which an
    estimator is constant there, have none. Means over chains, BCa bootstrap intervals, chains resampled.

    Parameters
    ----------
    by
        ``category``, ``position`` or ``correctness``.
    categorizer
        Of ``by=category``: specification of a categorizer (``rules``); empty: the chain file's categories.
    bands
        Of ``by=position``: stretches of a chain.
    confidence, n_resamples, seed
        Of the bootstrap.
    minimum_units
        At least 3: two units agree or do not.
    """

    name = "agreement_within"

    def __init__(
        self,
        *,
        by: str = "category",
        categorizer: str = "",
        bands: int = 5,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        seed: int = 0,
        minimum_units: int = 5,
    ) -> None:
        self.by = by
        self.categorizer = categorizer
        self.bands = bands
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed
        self.minimum_units = minimum_units

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for an unknown grouping, or a probability or number out of its range."""
        if self.by not in KINDS:
            raise self.invalid_parameter("by", " or ".join(repr(kind) for kind in KINDS))
        if not 0 < self.confidence < 1:
            raise self.invalid_parameter("confidence", "a number between 0 and 1")
        for name, least in (("bands", 1), ("n_resamples", 1), ("minimum_units", 3)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise self.invalid_parameter(name, f"a whole number, {least} or more")
        if self.categorizer:
            load_categorizer(self.categorizer)

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes.

        Raises
        ------
        AnalysisError
            If there are no groups: no token has a category, or no chain has a right answer to compare with.
        """
        result = given.result
        labels = result["estimator"].to_numpy().tolist()
        grouped = [list(self._groups(result, index, chain)) for index, chain in enumerate(self._chains(result))]
        groups = sorted({group for chain in grouped for group, _ in chain})
        if not groups:
            raise AnalysisError("no chain has a right answer ('gold') to compare its answer with")
        values = np.full((len(groups), 2, len(labels), len(labels), len(grouped)), np.nan)
        for index, (_, chain) in enumerate(iterate(result)):
            scores = unit_scores(chain)
            for group, units in grouped[index]:
                if len(units) < self.minimum_units:
                    continue
                for partial, standing in enumerate((mean_ranks, position_residuals)):
                    found = _correlations([standing(row[units]) for row in scores])
                    values[groups.index(group), partial, :, :, index] = found
        mean, low, high = mean_intervals(
            values, confidence=self.confidence, n_resamples=self.n_resamples, seed=self.seed
        )
        dims = ("group", "partial", "estimator", "other")
        return xr.Dataset(
            {
                "value": ((*dims, "chain"), values, {"long_name": "Spearman correlation in a group of a chain"}),
                "mean": (dims, mean, {"long_name": "mean over the chains used"}),
                "low": (dims, low, {"long_name": "lower end of the mean's interval"}),
                "high": (dims, high, {"long_name": "upper end of the mean's interval"}),
                "chains_used": (dims, (~np.isnan(values)).sum(-1), {"long_name": "chains that have a value"}),
            },
            coords={
                "group": np.array(groups, dtype=object),
                "partial": [False, True],
                "estimator": result["estimator"].variable,
                "other": ("other", np.array(labels, dtype=object)),
            },
            attrs={
                "by": self.by,
                "categorizer": self.categorizer,
                "confidence": self.confidence,
                "n_resamples": self.n_resamples,
                "seed": self.seed,
                "minimum_units": self.minimum_units,
                "interval": "BCa bootstrap of the mean, chains resampled",
            },
        )

    def _chains(self, result: xr.DataTree) -> list[xr.Dataset]:
        """Return the chains, their tokens labelled anew if that is asked for."""
        if self.by != "category":
            return [chain for _, chain in iterate(result)]
        labels = token_labels(result, load_categorizer(self.categorizer) if self.categorizer else None, self.name)
        ends = np.cumsum(result["reasoning_length"].to_numpy())
        parts = np.split(labels, ends[:-1])
        return [chain.assign(category=("token", part)) for (_, chain), part in zip(iterate(result), parts, strict=True)]

    def _groups(self, result: xr.DataTree, index: int, chain: xr.Dataset) -> Iterator[tuple[str, Units]]:
        """Yield each group of a chain and its units."""
        units = chain["unit"].to_numpy()
        every = np.arange(int(units.max()) + 1)
        if self.by == "correctness":
            names = ("chain_id", "question", "reasoning", "answer", "gold")
            chain_id, question, reasoning, answer, gold = (str(result[name].to_numpy()[index]) for name in names)
            right = is_right(Chain(chain_id, question, reasoning, answer, gold=gold or None))
            if right is not None:
                yield ("right" if right else "wrong"), every
        elif self.by == "position":
            band = every * self.bands // len(every)
            for number in range(self.bands):
                yield f"{number / self.bands:.2g}-{(number + 1) / self.bands:.2g}", np.flatnonzero(band == number)
        else:
            labels = chain["category"].to_numpy().astype(str)
            commonest = np.array([_commonest(labels[units == unit]) for unit in every])
            for label in sorted(set(commonest.tolist()) - {""}):
                yield label, np.flatnonzero(commonest == label)

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the mean correlation of every pair in every group, as it is and with position partialled out."""
        if result.sizes["estimator"] < 2:
            return []
        return [agreement_within_table(result, partial=partial) for partial in (False, True)]

    def figure(self, result: xr.DataTree) -> Figure | None:
        """Return the mean correlation of pairs in every group; nothing of a lone estimator."""
        return draw_agreement_within(result) if result.sizes["estimator"] > 1 else None


def _correlations(standings: list[FloatArray]) -> FloatArray:
    found = np.full((len(standings), len(standings)), np.nan)
    for one, other in combinations_with_replacement(range(len(standings)), 2):
        a, b = standings[one], standings[other]
        if not (np.isnan(a).any() or np.isnan(b).any() or is_constant(a) or is_constant(b)):
            found[one, other] = found[other, one] = pearson(a, b)
    return found


def _commonest(labels: np.ndarray[tuple[int], np.dtype[np.str_]]) -> str:
    """Return the label of most tokens, the first of equally common ones."""
    return max(dict.fromkeys(labels.tolist()), key=labels.tolist().count)
