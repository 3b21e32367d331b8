"""What may be concluded from estimators' differences from random orders and from position, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import xarray as xr

from tokimp.analysis.statistics.multiplicity import holm
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
        For each panel's heading and each of `REFERENCES` the labels of the estimators under each of `VERDICTS`:
        better and worse than the reference; ``same``, not told from it; ``few``, known on too few chains.
    n_comparisons
        How many p-values were corrected for each other.
    """

    by_reference: Mapping[tuple[str, str], Mapping[str, list[str]]]
    n_comparisons: int


def verdicts(node: xr.Dataset, panels: Sequence[Panel], operators: Sequence[str]) -> Verdicts:
    """Sort the estimators by whether they are told from both references by every one of some operators.

    An estimator is told from a reference if the p-value of their mean difference is below 1 - confidence by every
    operator, with the same sign. So it is the largest p-value over operators that counts (an intersection-union test:
    Berger 1982, Technometrics 24), corrected by Holm for all that are compared here.

    Parameters
    ----------
    node
        A node with the variables of `tokimp.analysis.against_chance.comparison.Comparison`.
    panels
        Which numbers.
    operators
        Names of operators; empty if the node has none.
    """
    labels = [str(label) for label in node["estimator"].to_numpy()]
    wheres = [{"operator": operator} for operator in operators] or [{}]
    cells = list(product(range(len(panels)), REFERENCES, range(len(labels)), range(len(wheres))))
    p_values, differences, counts = [], [], []
    for number, reference, row, operator in cells:
        panel = panels[number]
        part = node.sel({**panel.where, **wheres[operator]}).isel(estimator=row)
        difference = float(part[f"{panel.prefix}above_{reference}_mean"])
        differences.append(difference if panel.better == "high" else -difference)
        counts.append(int(part[f"{panel.prefix}chains_used"]))
        is_known = not few_chains(counts[-1])
        p_values.append(float(part[f"{panel.prefix}above_{reference}_p"]) if is_known else np.nan)
    level = 1 - float(node.attrs["confidence"])
    shape = (len(panels), len(REFERENCES), len(labels), len(wheres))
    # NaN, which is no evidence, stays.
    largest = np.array(p_values).reshape(shape).max(axis=-1)
    told = np.array(holm(largest.ravel())).reshape(largest.shape) < level
    above = np.array(differences).reshape(shape)
    few = np.array([few_chains(count) for count in counts]).reshape(shape).any(axis=-1)
    verdict = np.select(
        [few, told & (above > 0).all(axis=-1), told & (above < 0).all(axis=-1)], ["few", "better", "worse"], "same"
    )
    by_reference = {
        (panel.heading, reference): {
            name: [label for label, own in zip(labels, verdict[number, column], strict=True) if own == name]
            for name in VERDICTS
        }
        for number, panel in enumerate(panels)
        for column, reference in enumerate(REFERENCES)
    }
    return Verdicts(by_reference, int(np.isfinite(largest).sum()))


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
    found = verdicts(node, panels, operators)
    sizes = node.sizes["estimator"]
    clauses = [
        _clause(found.by_reference[panel.heading, "uniform"], found.by_reference[panel.heading, "position"], sizes)
        for panel in panels
    ]
    if len(panels) > 1:
        clauses = [f"in {panel.heading} {clause}" for panel, clause in zip(panels, clauses, strict=True)]
    by = f"by {_listed(operators)}: " if operators else ""
    level = f"{1 - node.attrs['confidence']:.2g}"
    corrected = f" (Holm over {found.n_comparisons} comparisons, level {level})" if found.n_comparisons else ""
    return f"In conclusion, {by}{'; '.join(clauses)}{corrected}."


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
    return _listed(parts)


def _are(labels: Sequence[str]) -> str:
    if not labels:
        return "none is"
    return f"{_listed(labels)} {'is' if len(labels) == 1 else 'are'}"


def _listed(texts: Sequence[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
