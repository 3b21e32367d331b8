"""A result made from known importances, for the tests of analyses and views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.chains.units import token_categories
from tokimp.compare.assembly import build_result
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.contracts.estimator import Importance
from tokimp.contracts.scorer import Scorer, SpanLogprobs
from tokimp.results.schema import ATTRIBUTES
from tokimp.testing.toy_scorer import toy_chain


def toy_result(
    importances: Mapping[str, Sequence[Sequence[float] | FloatArray | Importance]],
    chains: Sequence[TokenizedChain] | None = None,
    scorer: Scorer | None = None,
    objective: str = "joint",
) -> xr.DataTree:
    """Return a valid result in which each estimator has the importances passed for it.

    Parameters
    ----------
    importances
        The importances of each estimator, by its label: one entry a chain, either scores [unit] or an `Importance`.
    chains
        The chains; by default one of single-letter tokens for each entry, named ``chain-0``, ``chain-1``, ...
    scorer
        The scorer whose log-probabilities the result records. By default each reasoning token has -1 nats and each
        answer token -0.5.
    objective
        The name of the objective that it records.

    Examples
    --------
    >>> toy_result({"mine": [[0.5, 2.0, 1.0]]})["rank"].values.tolist()
    [[0, 2, 1]]
    """
    rows = [
        [entry if isinstance(entry, Importance) else Importance(np.asarray(entry, dtype=np.float64)) for entry in row]
        for row in importances.values()
    ]
    if chains is None:
        chains = [toy_chain("x" * len(entry.scores), id=f"chain-{i}") for i, entry in enumerate(rows[0])]
    unpruned = [
        UnprunedLogprobs(_logprobs(chain, scorer), seconds=0.5, tokens_forwarded=len(chain)) for chain in chains
    ]
    attributes: dict[str, str | int | float] = dict.fromkeys(ATTRIBUTES, "toy")
    attributes.update(seed=0, skipped_count=0, skipped="[]", estimator_parameters="{}", created="2000-01-01T00:00:00")
    attributes.update(objective=objective, unit=chains[0].unit)
    if scorer is not None:
        attributes.update(model_id=scorer.model_id, backend=scorer.backend, dtype=scorer.dtype, device=scorer.device)
        attributes.update(model_fingerprint=scorer.fingerprint())
    del attributes["schema_version"]
    return build_result(
        chains=chains,
        categories=[token_categories(chain.chain, chain.reasoning_offsets) for chain in chains],
        unpruned=unpruned,
        labels=list(importances),
        cells=[
            [Cell(row[index], seconds=2.0, tokens_forwarded=10 * len(chain)) for row in rows]
            for index, chain in enumerate(chains)
        ],
        attributes=attributes,
    )


def _logprobs(chain: TokenizedChain, scorer: Scorer | None) -> SpanLogprobs:
    if scorer is not None:
        return scorer.logprobs([chain])[0]
    return SpanLogprobs(
        np.full(len(chain.reasoning_ids), -1.0, dtype=np.float32),
        np.full(len(chain.answer_ids), -0.5, dtype=np.float32),
    )
