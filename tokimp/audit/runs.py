"""The runs of an audit: ordinary comparisons, each in a folder of its own, that are not made twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tokimp.audit.settings import AuditSettings
from tokimp.chains.chain import Chain
from tokimp.compare.compare import compare
from tokimp.compare.looked_at import looked_at
from tokimp.compare.pending import PendingCells
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Scorer
from tokimp.errors import SchemaError
from tokimp.results.io import load, save
from tokimp.results.schema import STATUS

RESULT = "results.nc"
_TEXTS = ("question", "reasoning", "answer")


class AuditRuns:
    """Makes the comparisons of an audit, and finds again those that were made.

    Parameters
    ----------
    folder
        The audit's folder; each run has a folder of its own under ``runs``.
    settings
        The audit's settings.
    scorer
        The model as it is.
    load_changed
        Loads the model with options of `tokimp.load_scorer` that differ.
    executor
        Where cells are computed.
    progress
        Called after every cell.
    """

    def __init__(
        self,
        folder: Path,
        settings: AuditSettings,
        scorer: Scorer,
        load_changed: Callable[[Mapping[str, Any]], Scorer],
        *,
        executor: str | Executor = "local",
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._folder = folder / "runs"
        self._settings = settings
        self._scorer = scorer
        self._load_changed = load_changed
        self._executor = executor
        self._progress = progress

    def folder(self, name: str) -> Path:
        """Return the folder of a run."""
        return self._folder / name

    def run(
        self,
        name: str,
        chains: Sequence[Chain],
        estimators: Sequence[ImportanceEstimator],
        *,
        changed: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> xr.DataTree:
        """Return the result of a run, from its folder if it is finished there.

        A cell that fails is left out, and the result says so.

        Parameters
        ----------
        name
            Its folder.
        chains, estimators
            What is compared.
        changed
            Options of the model that differ from the audit's.
        seed
            The run's seed; the audit's by default.
        """
        own_seed = self._settings.seed if seed is None else seed
        path = self.folder(name) / RESULT
        if (stored := self._finished(path, chains, estimators, own_seed, changed)) is not None:
            return stored
        path.parent.mkdir(parents=True, exist_ok=True)
        result = compare(
            chains,
            self._load_changed(changed) if changed else self._scorer,
            list(estimators),
            objective=self._settings.objective,
            unit=self._settings.unit,
            out=path.parent,
            seed=own_seed,
            executor=self._executor,
            keep_going=True,
            progress=self._progress,
        )
        save(result, path)
        return result

    def pending(
        self,
        name: str,
        chains: Sequence[Chain],
        estimators: Sequence[ImportanceEstimator],
        *,
        changed: Mapping[str, Any] | None = None,
        seed: int | None = None,
        scorer: Scorer | None = None,
    ) -> PendingCells | None:
        """Return what `run` would still compute; ``None`` if it is finished. Nothing is computed or written.

        Parameters
        ----------
        name, chains, estimators, changed, seed
            As of `run`.
        scorer
            The changed model, if it is at hand. Without it, cells count as computed only if they are in the result.
        """
        own_seed = self._settings.seed if seed is None else seed
        folder = self.folder(name)
        if self._finished(folder / RESULT, chains, estimators, own_seed, changed) is not None:
            return None

        def begin(look: Callable[[PendingCells], None]) -> None:
            compare(
                chains,
                scorer or self._scorer,
                list(estimators),
                objective=self._settings.objective,
                unit=self._settings.unit,
                out=folder,
                seed=own_seed,
                before_work=look,
            )

        with warnings.catch_warnings(action="ignore"):
            # What it warns of, it warns of again when the run is made.
            cells = looked_at(begin, _as_it_is)
        if changed and scorer is None:
            # The changed model has another fingerprint, so that no stored cell belongs to the model as it is.
            return None if cells is None else _without_stored(cells, folder / RESULT)
        return cells

    def finished(
        self, name: str, chains: Sequence[Chain], estimators: Sequence[ImportanceEstimator]
    ) -> xr.DataTree | None:
        """Return the result of a run of the model as it is, if it is finished."""
        return self._finished(self.folder(name) / RESULT, chains, estimators, self._settings.seed, None)

    def _finished(
        self,
        path: Path,
        chains: Sequence[Chain],
        estimators: Sequence[ImportanceEstimator],
        seed: int,
        changed: Mapping[str, Any] | None,
    ) -> xr.DataTree | None:
        """Return a stored result if it is of the same chains, estimators and seed, no cell failed, and it is whole.

        The comparison itself finds what else would differ, and continues where more chains or estimators are asked for.
        """
        try:
            stored = load(path)
        except (OSError, SchemaError):
            return None
        texts = {name: stored[name].to_numpy().tolist() for name in ("chain_id", *_TEXTS)}
        wanted = {
            "chain_id": [chain.id for chain in chains],
            **{name: [getattr(chain, name) for chain in chains] for name in _TEXTS},
        }
        labels = stored["estimator"].to_numpy().tolist()
        attributes = stored.attrs
        same = (
            texts == wanted
            and labels == [estimator.label for estimator in estimators]
            and attributes["seed"] == seed
            and attributes["objective"] == self._settings.objective
            and "status" not in stored
            # Other weights have other fingerprints, which only the model as it is can be asked for without loading.
            and (bool(changed) or attributes["model_fingerprint"] == self._scorer.fingerprint())
        )
        return stored if same else None


def _as_it_is(pending: PendingCells) -> PendingCells:
    return pending


def _without_stored(pending: PendingCells, path: Path) -> PendingCells:
    """Return cells without those that a stored result has; it is of fewer chains or estimators, or some failed."""
    try:
        stored = load(path)
    except (OSError, SchemaError):
        return pending
    labels, ids = (stored[name].to_numpy().tolist() for name in ("estimator", "chain_id"))
    computed = {(label, chain) for label in labels for chain in ids}
    if STATUS in stored:
        statuses = stored[STATUS].to_numpy()
        computed -= {(labels[row], ids[column]) for row, column in np.argwhere(statuses != "").tolist()}
    return replace(
        pending,
        of_estimator=[
            [chain for chain in chains if (estimator.label, chain.id) not in computed]
            for estimator, chains in zip(pending.estimators, pending.of_estimator, strict=True)
        ],
        unpruned=[chain for chain in pending.unpruned if chain.id not in ids],
    )
