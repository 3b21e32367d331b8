"""What a surrogate is to predict of each unit: read from a result, by the kind of quantity and an estimator's label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from tokimp.analysis.statistics.rank_measures import mean_ranks
from tokimp.chains.arrays import FloatArray
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import iterate, unit_scores

KINDS = ("deleted", "importance", "path", "rank")
_LIKELIHOODS = ("joint", "answer", "reasoning")  # objectives whose value of the unpruned chain a result holds


@dataclass(frozen=True, slots=True)
class Target:
    """One quantity of the units of a result.

    Attributes
    ----------
    name
        ``KIND:LABEL``.
    sign
        1 where more of it means a more important unit, -1 where it means a less important one, 0 where it says neither.
    values
        For each chain, [unit]; NaN where it is not known.
    """

    name: str
    sign: int
    values: tuple[FloatArray, ...]


def read_targets(result: xr.DataTree, names: Sequence[str]) -> list[Target]:
    """Return the targets of these names; without names, all that a result has without being told.

    - ``deleted:LABEL``: the objective of the chain without this unit alone: that of the whole chain less the importance
      of `LABEL`, which must be leave-one-out. Level and fall together.
    - ``importance:LABEL``: the importance as it is; of leave-one-out, the fall alone.
    - ``path:LABEL``: the objective of what is left after the unit's removal in sequence, where it was recorded.
    - ``rank:LABEL``: the normalised rank by importance, 0 the first to go and 1 the last; ties share their mean.

    Without names: the first two of every leave-one-out, the last two of every estimator with a path.

    Raises
    ------
    AnalysisError
        If a name is of no such kind, its estimator is not in the result or lacks what the kind reads; or if, without
        names, the result has neither leave-one-out nor a path.
    """
    labels = [str(label) for label in result["estimator"].to_numpy()]
    if not names:
        names = _found(result, labels)
    targets = []
    for name in dict.fromkeys(names):
        kind, _, label = name.partition(":")
        if kind not in KINDS or not label:
            raise AnalysisError(
                f"surrogate: there is no target {name!r}; give KIND:ESTIMATOR, such as 'rank:greedy', with a kind of "
                f"{', '.join(KINDS)}"
            )
        if label not in labels:
            raise AnalysisError(f"surrogate: no estimator {label!r} for {name!r}; the result has {', '.join(labels)}")
        targets.append(_read(result, kind, label))
    return targets


def _found(result: xr.DataTree, labels: Sequence[str]) -> list[str]:
    names = []
    likelihood = result.attrs["objective"] in _LIKELIHOODS
    for label in labels:
        if _is_leave_one_out(result, label):
            names += [f"deleted:{label}"] * likelihood + [f"importance:{label}"]
        if _has_path(result, label):
            names += [f"path:{label}"] * likelihood + [f"rank:{label}"]
    if not names:
        raise AnalysisError(
            "surrogate: no estimator of the result deletes units (leave_one_out, greedy); compare with one that does, "
            f'or name what to predict, such as surrogate:targets=["rank:{labels[0]}"]'
        )
    return names


def _read(result: xr.DataTree, kind: str, label: str) -> Target:
    objective = str(result.attrs["objective"])
    if kind in {"deleted", "path"} and objective not in _LIKELIHOODS:
        raise AnalysisError(
            f"surrogate: '{kind}:{label}' is a likelihood, and results hold those of {', '.join(_LIKELIHOODS)}, not of "
            f"the objective {objective!r}; predict 'importance:{label}' or 'rank:{label}'"
        )
    if kind == "deleted" and not _is_leave_one_out(result, label):
        raise AnalysisError(
            f"surrogate: 'deleted:{label}' needs leave-one-out, whose importance is the fall of the likelihood; "
            f"predict 'importance:{label}' or 'rank:{label}'"
        )
    if kind == "path" and not _has_path(result, label):
        raise AnalysisError(f"surrogate: {label!r} recorded no likelihoods along a path; name an estimator that did")
    values = []
    for _, chain in iterate(result):
        row = chain.sel(estimator=label)
        scores = unit_scores(chain)[chain["estimator"].to_numpy().tolist().index(label)]
        if kind == "deleted":
            values.append(float(chain[f"full_loglik_{objective}"]) - scores)
        elif kind == "importance":
            values.append(scores)
        elif kind == "path":
            _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
            values.append(row[f"loglik_{objective}"].to_numpy()[firsts])
        else:
            values.append(_normalised(scores))
    sign = {"deleted": -1, "path": 0}.get(kind, 1)
    return Target(f"{kind}:{label}", sign, tuple(values))


def _normalised(scores: FloatArray) -> FloatArray:
    """Return ranks from 0 to 1; NaN for a unit that is alone, or of which nothing is said."""
    if len(scores) < 2 or np.isnan(scores).any():
        return np.full(len(scores), np.nan)
    ranks: FloatArray = (mean_ranks(scores) - 1) / (len(scores) - 1)
    return ranks


def _is_leave_one_out(result: xr.DataTree, label: str) -> bool:
    described = json.loads(str(result.attrs["estimator_parameters"])).get(label, {})
    return str(described.get("name", label.partition(":")[0])) == "leave_one_out"


def _has_path(result: xr.DataTree, label: str) -> bool:
    return not bool(np.isnan(result["loglik_joint"].sel(estimator=label).to_numpy()).all())
