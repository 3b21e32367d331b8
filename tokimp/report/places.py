"""Places of units between the least and the most important, which shades and comparisons of estimators are made of."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from tokimp.chains.arrays import FloatArray
from tokimp.results.by_chain import unit_scores


def unit_places(chain: xr.Dataset) -> FloatArray:
    """Return the places of a chain's units by each estimator: 0 the least important, 1 the most.

    Parameters
    ----------
    chain
        One chain's part of a result, as `tokimp.results.by_chain.iterate` gives it.

    Returns
    -------
    FloatArray
        [estimator, unit]. Units that tie share their mean place, and the only unit of a chain is at one half. NaN where
        an estimator says nothing.
    """
    scores = unit_scores(chain)
    places: FloatArray = np.full(scores.shape, np.nan)
    says = ~np.isnan(scores).any(axis=1)
    last = scores.shape[1] - 1
    if says.any():
        places[says] = (rankdata(scores[says], axis=1) - 1) / last if last else 0.5
    return places
