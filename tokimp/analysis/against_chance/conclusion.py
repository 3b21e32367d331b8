"""What may be concluded from estimators' differences from random orders and from position, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from tokimp.report.number_texts import few_chains

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


def verdicts(node: xr.Dataset, panel: Panel, reference: str, operators: Sequence[str]) -> dict[str, list[str]]:
    """Sort the estimators by whether they are told from a reference by every one of some operators.

    An estimator is told from it if the interval of the mean difference leaves out 0, on the same side by all operators.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    panel
        Which number.
    reference
        ``uniform`` or ``position``.
    operators
        Names of operators; empty if the node has none.

    Returns
    -------
    dict
        Labels of estimators under each of `VERDICTS`; ``same`` are not told from the reference, and ``few`` have a
        value on too few chains for an interval.
    """
    part = node.sel(dict(panel.where))
    if operators:
        part = part.sel(operator=list(operators))
    name = f"{panel.prefix}above_{reference}"
    sign = 1.0 if panel.better == "high" else -1.0
    sorted_labels: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
    for label in part["estimator"].to_numpy():
        row = part.sel(estimator=label)
        ends = [sign * np.atleast_1d(row[f"{name}_{end}"].to_numpy()) for end in ("low", "high")]
        low, high = np.minimum(*ends), np.maximum(*ends)
        if few_chains(int(row[f"{panel.prefix}chains_used"].min())):
            verdict = "few"
        elif (low > 0).all():
            verdict = "better"
        elif (high < 0).all():
            verdict = "worse"
        else:
            verdict = "same"
        sorted_labels[verdict].append(str(label))
    return sorted_labels


def conclusion(node: xr.Dataset, panels: Sequence[Panel], operators: Sequence[str]) -> str:
    """Return one sentence that says which estimators are told from random orders and from position.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    panels
        The numbers to speak of.
    operators
        An estimator must be told from chance by each of these; empty if the node has no operators.
    """
    clauses = [_clause(node, panel, operators) for panel in panels]
    if len(panels) > 1:
        clauses = [f"in {panel.heading} {clause}" for panel, clause in zip(panels, clauses, strict=True)]
    by = f"by {_listed(operators)}: " if operators else ""
    confidence = f"{node.attrs['confidence']:.0%}"
    return f"In conclusion, {by}{'; '.join(clauses)} (each by its own {confidence} interval)."


def _clause(node: xr.Dataset, panel: Panel, operators: Sequence[str]) -> str:
    random, position = (verdicts(node, panel, reference, operators) for reference in ("uniform", "position"))
    if len(random["few"]) == node.sizes["estimator"]:
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
    return _listed(parts)


def _are(labels: Sequence[str]) -> str:
    if not labels:
        return "none is"
    return f"{_listed(labels)} {'is' if len(labels) == 1 else 'are'}"


def _listed(texts: Sequence[str]) -> str:
    if not texts:
        return "none"
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
