"""What an analysis found out of each chain by asking the model, on disk: after a kill it goes on from there."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import xarray as xr

from tokimp.analysis.recorded_run import known_fingerprint
from tokimp.contracts.analysis import Analysis, Found, Scoring
from tokimp.contracts.registry import plugin_identity
from tokimp.results.analysis_nodes import node_name
from tokimp.results.by_chain import token_slice
from tokimp.results.provenance import (
    chain_identity,
    model_identity,
    objective_identity,
    plain_parameters,
    versions,
)
from tokimp.storage.array_bytes import from_bytes, to_bytes
from tokimp.storage.digests import json_digest
from tokimp.storage.folder_lock import locked
from tokimp.storage.record_log import RecordLog
from tokimp.storage.write_errors import naming_what_is_written

FOLDER = "analyses"
_RANKED = ("importance", "rank", "loglik_joint", "loglik_answer", "loglik_reasoning")
_SECONDS, _POSITIONS = "\0seconds", "\0positions"


class KeptChains:
    """Keeps what an analysis finds out of each chain, in the folder of a run; a context manager that holds its lock.

    A record's key is made of everything that it depends on: the analysis and its parameters, the model, versions,
    objective, the chain, and what the estimators say about it. So nothing is read that belongs to something else, and
    an analysis of a run that has grown asks the model about new chains only.

    Parameters
    ----------
    folder
        The folder of the run.
    analysis
        The analysis.
    result
        The result that it works on.
    scoring
        The model, which has a fingerprint, and the chains.

    Raises
    ------
    ResumeError
        On entering, if another process is computing the same analysis there.
    """

    def __init__(self, folder: Path, analysis: Analysis, result: xr.DataTree, scoring: Scoring) -> None:
        self._folder = folder / FOLDER / node_name(analysis)
        self._result, self._scoring = result, scoring
        self._shared = json_digest(
            {
                "analysis": plugin_identity("analyses", analysis),
                "parameters": plain_parameters(analysis.parameters()),
                "model": {**model_identity(scoring.scorer, known_fingerprint(scoring.scorer)), "model_id": ""},
                "versions": versions(scoring.scorer),
                "objective": objective_identity(scoring.objective),
                "estimators": result["estimator"].to_numpy().tolist(),
            }
        )
        self._records = RecordLog(self._folder, writes=False)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with naming_what_is_written(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._held.enter_context(locked(self._folder, alone=True))
        self._records = RecordLog(self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()

    def get(self, chain: int, what: str) -> Found | None:
        """Return what was found out of a chain, or None if it is missing or damaged."""
        content = self._records.get(self._key(chain, what))
        arrays = None if content is None else from_bytes(content)
        if arrays is None or not {_SECONDS, _POSITIONS} <= set(arrays):
            return None
        seconds, positions = arrays.pop(_SECONDS).item(), arrays.pop(_POSITIONS).item()
        return Found(arrays, seconds, positions)

    def store(self, chain: int, what: str, found: Found) -> None:
        """Store what was found out of a chain; once this returns, it survives a kill."""
        self._records.append([(self._key(chain, what), record_of(found))])

    def _key(self, chain: int, what: str) -> str:
        span = token_slice(self._result, chain)
        said = hashlib.sha256()
        for name in _RANKED:
            said.update(np.ascontiguousarray(self._result[name].to_numpy()[:, span]).tobytes())
        return json_digest([self._shared, chain_identity(self._scoring.chains[chain]), said.hexdigest(), what])


def record_of(found: Found) -> bytes:
    """Return the record of what was found out of a chain."""
    costs = {_SECONDS: np.array(found.seconds), _POSITIONS: np.array(found.tokens_forwarded)}
    return to_bytes({**found.arrays, **costs})
