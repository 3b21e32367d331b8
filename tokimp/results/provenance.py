"""What a result was made from: digests, versions and parameters, in the form in which runs store and compare them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import plugin_identity
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.unit_splitter import UnitSplitter
from tokimp.storage.digests import json_digest

# How far log-probabilities of one model may be apart: mean over a chain's tokens, nats. Rounding differs between
# devices; a changed prompt or weight moves them by far more.
_TOLERANCE = {"float32": 1e-3, "float64": 1e-3}
_LOW_PRECISION_TOLERANCE = 0.1


def logprob_tolerance(dtype: str) -> float:
    """Return how far log-probabilities of one model may be apart in a precision: mean over a chain's tokens, nats."""
    return _TOLERANCE.get(dtype, _LOW_PRECISION_TOLERANCE)


def versions(scorer: Scorer) -> dict[str, str]:
    """Return the versions of tokimp, torch, transformers and the backend; empty if the backend is not a package."""
    installed = {name: version(name) for name in ("tokimp", "torch", "transformers")}
    try:
        installed["backend"] = version(scorer.backend)
    except PackageNotFoundError:
        installed["backend"] = ""
    return installed


def threads_text(threads: Sequence[int | None]) -> str:
    """Return numbers of threads as a result holds them: ``2``, or ``2,1`` for a run that was continued with another.

    They change last bits only, and belong to no identity: sums over threads are added up in another order.

    >>> threads_text([2]), threads_text([None, 1])
    ('2', 'unknown,1')
    """
    return ",".join("unknown" if number is None else str(number) for number in threads)


def model_identity(scorer: Scorer, fingerprint: str) -> dict[str, Any]:
    """Return what tells a model, as it is run here, from any other: name, backend, precision, device, fingerprint.

    A device map and a quantisation are told too, where they were given.
    """
    return {
        "model_id": scorer.model_id,
        "backend": scorer.backend,
        "dtype": scorer.dtype,
        "device": scorer.device,
        "fingerprint": fingerprint,
        **({"loading": dict(scorer.loading)} if scorer.loading else {}),
    }


def objective_identity(objective: Objective) -> dict[str, Any]:
    """Return an objective's name, distribution and parameters (its instance attributes)."""
    return {**plugin_identity("objectives", objective), "parameters": plain_parameters(vars(objective))}


def estimator_identities(estimators: Sequence[ImportanceEstimator]) -> list[dict[str, Any]]:
    """Return the label, name, distribution and parameters of each estimator, and digests of the files that it reads."""
    identities: list[dict[str, Any]] = []
    for estimator in estimators:
        identity = {"label": estimator.label, **plugin_identity("estimators", estimator)}
        identities.append({**identity, "parameters": plain_parameters(estimator.parameters())})
        if inputs := dict(estimator.input_digests()):
            identities[-1]["inputs"] = inputs
    return identities


def unit_identity(splitter: UnitSplitter) -> dict[str, Any]:
    """Return a unit's label and, unless it divides as tokimp's own first version did, what tells its splitter.

    The first version of tokimp's own splitters is told by the label alone, as runs have recorded it from the beginning.
    """
    identity = plugin_identity("units", splitter)
    if splitter.version == 1 and identity["distribution"] == "tokimp":
        return {"unit": splitter.label}
    parameters = plain_parameters(splitter.parameters())
    return {
        "unit": splitter.label,
        "unit_splitter": {**identity, "version": splitter.version, "parameters": parameters},
    }


def chain_identity(chain: TokenizedChain) -> dict[str, str]:
    """Return a chain's id, a digest of its texts and one of its ids and units."""
    text = asdict(chain.chain)
    # Where a chain was read does not change what is in it.
    del text["source"]
    # These fields came later: chains without them keep the digests they had.
    for later in ("filler", "filler_kinds"):
        if text[later] is None:
            del text[later]
    tokens = {
        "spans": [chain.prompt_ids, chain.reasoning_ids, chain.answer_ids, chain.wrong_answer_ids],
        "offsets": chain.reasoning_offsets,
        "units": chain.units,
    }
    return {"id": chain.id, "text": json_digest(text), "tokens": json_digest(tokens)}


def plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON can hold them; a value that it cannot hold is replaced by its ``repr``."""

    def describe(value: Any) -> Any:
        # Whole, where repr would leave out the middle of a long array.
        return value.tolist() if isinstance(value, np.ndarray | np.generic | torch.Tensor) else repr(value)

    plain: dict[str, Any] = json.loads(json.dumps(dict(parameters), default=describe))
    return plain
