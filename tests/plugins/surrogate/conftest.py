"""The analysis of a small run, shared by tests of the surrogate."""

from __future__ import annotations

import pytest
import xarray as xr

from tests.plugins.surrogate.small_runs import LOO, SHARES, analysed, chains, compared
from tokimp.testing.toy_scorer import AdditiveScorer


@pytest.fixture(scope="session")
def node() -> xr.Dataset:
    """Return the analysis of chains whose importances attention shows."""
    tokenized, scorer = chains(), AdditiveScorer(SHARES)
    names = ["deleted:leave_one_out", LOO, "rank:greedy"]
    return analysed(compared(tokenized, scorer), tokenized, scorer, targets=names)
