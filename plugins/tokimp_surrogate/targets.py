"""Targets: the quantities of units that a surrogate learns to predict, read from a result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from tokimp.analysis.statistics.rank_measures import normalised_ranks
from tokimp.chains.arrays import FloatArray
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import iterate, unit_scores

KINDS = ("deleted", "importance", "path", "rank")
# Objectives that are likelihoods; a result holds these of the unpruned chain and along a path.
_LIKELIHOODS = ("joint", "answer", "reasoning")


@dataclass(frozen=True, slots=True)
class Target:
    """One quantity of the units of a result.

    Attributes
    ----------
    name
        ``KIND:LABEL``: the kind of quantity, and the label of the estimator it comes from.
    sign
        1 if a higher value means a more important unit, -1 if it means a less important one, 0 if it says neither.
    values
        For each chain, [unit]; NaN where the value is not known.
    """

    name: str
    sign: int
    values: tuple[FloatArray, ...]


def read_targets(result: xr.DataTree, names: Sequence[str]) -> list[Target]:
    """Return the targets of these names, or the default ones.

    - ``deleted:LABEL``: the likelihood of the chain after this unit alone is deleted. It is the likelihood of the whole
      chain minus the importance that `LABEL` gives, which must be leave-one-out.
    - ``importance:LABEL``: the importance. That of leave-one-out is the fall of the likelihood.
    - ``path:LABEL``: the likelihood of what is left after the unit is deleted in sequence, as `LABEL` recorded it.
    - ``rank:LABEL``: the normalised rank by importance: 0 is deleted first, 1 last, and ties share their mean.

    The default are ``deleted`` and ``importance`` of every leave-one-out, and ``path`` and ``rank`` of every estimator
    that recorded a path. ``deleted`` and ``path`` are among them only if the objective is a likelihood that results
    hold.

    Parameters
    ----------
    result
        A result.
    names
        Names of the targets, ``KIND:LABEL``; if empty, the default ones are returned.

    Raises
    ------
    AnalysisError
        If there is no such kind; if the estimator is not in the result, or lacks what the kind reads; or if no names
        are given and the result has neither leave-one-out nor a path.
    """
    labels = [str(label) for label in result["estimator"].to_numpy()]
    if not names:
        names = _default_names(result, labels)
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


def _default_names(result: xr.DataTree, labels: Sequence[str]) -> list[str]:
    """Return the names of the targets that are predicted if none are named."""
    names = []
    has_likelihoods = result.attrs["objective"] in _LIKELIHOODS
    for label in labels:
        if _is_leave_one_out(result, label):
            names += [f"deleted:{label}"] * has_likelihoods + [f"importance:{label}"]
        if _has_path(result, label):
            names += [f"path:{label}"] * has_likelihoods + [f"rank:{label}"]
    if not names:
        raise AnalysisError(
            "surrogate: no estimator of the result deletes units (leave_one_out, greedy); compare with one that does, "
            f'or name what to predict, such as surrogate:targets=["rank:{labels[0]}"]'
        )
    return names


def _read(result: xr.DataTree, kind: str, label: str) -> Target:
    """Return one target; raise `AnalysisError` if the result does not hold what its kind needs."""
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
            values.append(normalised_ranks(scores))
    sign = {"deleted": -1, "path": 0}.get(kind, 1)
    return Target(f"{kind}:{label}", sign, tuple(values))


def _is_leave_one_out(result: xr.DataTree, label: str) -> bool:
    """Return whether an estimator is leave-one-out, whatever its label."""
    described = json.loads(str(result.attrs["estimator_parameters"])).get(label, {})
    return str(described.get("name", label.partition(":")[0])) == "leave_one_out"


def _has_path(result: xr.DataTree, label: str) -> bool:
    """Return whether an estimator recorded likelihoods along a path of deletions."""
    return not bool(np.isnan(result["loglik_joint"].sel(estimator=label).to_numpy()).all())
