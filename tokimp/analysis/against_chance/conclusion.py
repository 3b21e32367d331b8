"""What may be concluded from estimators' differences from random orders and from position, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from tokimp.analysis.statistics.multiplicity import holm
from tokimp.report.conclusions import MOST_NAMED
from tokimp.report.number_texts import few_chains

REFERENCES = ("uniform", "position")
VERDICTS = ("better", "worse", "same", "few")


@dataclass(frozen=True, slots=True)
class Panel:
    """One number of a node, for a column of a table, a panel of a figure, or a clause of a sentence.

    Attributes
    ----------
    heading
        What it is called.
    where
        Which part of the node it is: a coordinate of each dimension but ``operator``, ``estimator`` and ``chain``.
    better
        ``high`` or ``low``: which values are good.
    prefix
        What the names of its variables begin with.
    """

    heading: str
    where: Mapping[str, str] = field(default_factory=dict)
    better: str = "high"
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Which estimators are told from chance.

    Attributes
    ----------
    by_reference
        For each of `REFERENCES` the labels of the estimators under each of `VERDICTS`: better and worse than the
        reference; ``same``, not told from it; ``few``, known on too few chains.
    n_comparisons
        How many p-values were corrected for each other.
    """

    by_reference: Mapping[str, Mapping[str, list[str]]]
    n_comparisons: int

    def is_told(self, reference: str, label: str) -> bool:
        """Return whether an estimator is better or worse than a reference."""
        found = self.by_reference[reference]
        return label in found["better"] or label in found["worse"]

    @property
    def is_any_told(self) -> bool:
        """Whether any estimator is told from any reference."""
        return any(found["better"] or found["worse"] for found in self.by_reference.values())


def verdicts(node: xr.Dataset, panel: Panel, operators: Sequence[str]) -> Verdicts:
    """Sort the estimators by whether they are told from both references by every one of some operators.

    An estimator is told from a reference if the p-value of their mean difference is below 1 - confidence by every
    operator, with the same sign. So it is the largest p-value over operators that counts (an intersection-union test:
    Berger 1982, Technometrics 24), corrected by Holm for all estimators and both references. The intervals, which are
    not corrected, must leave out 0 too.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    panel
        Which number.
    operators
        Names of operators; empty if the node has none.
    """
    part = node.sel(dict(panel.where))
    rows = part.sel(operator=list(operators)) if operators else part.expand_dims("operator")
    labels = [str(label) for label in node["estimator"].to_numpy()]
    few = np.vectorize(few_chains)(rows[f"{panel.prefix}chains_used"].min("operator").to_numpy())
    differences, low, high, p_values = (
        np.stack(
            [
                rows[f"{panel.prefix}above_{reference}_{name}"].transpose("estimator", "operator").to_numpy()
                for reference in REFERENCES
            ]
        )
        for name in ("mean", "low", "high", "p")
    )
    good = differences if panel.better == "high" else -differences
    # NaN, which is no evidence, stays.
    largest = np.where(few, np.nan, p_values.max(axis=-1))
    told = np.array(holm(largest.ravel())).reshape(largest.shape) < 1 - float(node.attrs["confidence"])
    # Interval and test treat skewness differently; no star is to contradict the interval beside it.
    told &= ((low > 0) | (high < 0)).all(axis=-1)
    is_better, is_worse = told & (good > 0).all(axis=-1), told & (good < 0).all(axis=-1)
    by_reference = {}
    for row, reference in enumerate(REFERENCES):
        verdict = np.select([few, is_better[row], is_worse[row]], ["few", "better", "worse"], "same")
        by_reference[reference] = {
            name: [label for label, own in zip(labels, verdict, strict=True) if own == name] for name in VERDICTS
        }
    return Verdicts(by_reference, int(np.isfinite(largest).sum()))


def conclusion(node: xr.Dataset, panel: Panel, operators: Sequence[str]) -> str:
    """Return one sentence that says which estimators are told from random orders and from position.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    panel
        Which number to speak of.
    operators
        An estimator must be told from chance by each of these; empty if the node has no operators.
    """
    found = verdicts(node, panel, operators)
    clause = _clause(found.by_reference["uniform"], found.by_reference["position"], node.sizes["estimator"])
    by = f"by {_listed(operators)}, " if operators else ""
    level = f"{1 - node.attrs['confidence']:.2g}"
    corrected = f" (Holm over {found.n_comparisons} comparisons, level {level})" if found.n_comparisons else ""
    return f"In conclusion, {by}{clause}{corrected}."


def _clause(random: Mapping[str, list[str]], position: Mapping[str, list[str]], n_estimators: int) -> str:
    if len(random["few"]) == n_estimators:
        return "nothing is told from chance, because there are too few chains"
    both = [label for label in random["better"] if label in position["better"]]
    parts = [f"{_are(random['better'])} better than random orders"]
    if random["better"]:
        parts.append(f"{_are(both)} better than position too")
    if random["same"]:
        parts.append(f"{_are(random['same'])} not told from random orders")
    if random["worse"]:
        parts.append(f"{_are(random['worse'])} worse than random orders")
    if random["few"]:
        parts.append(f"{_are(random['few'])} known on too few chains")
    return "; ".join(parts)


def _are(labels: Sequence[str]) -> str:
    if not labels:
        return "none is"
    return f"{_listed(labels)} {'is' if len(labels) == 1 else 'are'}"


def _listed(texts: Sequence[str]) -> str:
    if len(texts) > MOST_NAMED:
        texts = [*texts[: MOST_NAMED - 1], f"{len(texts) - MOST_NAMED + 1} more"]
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
