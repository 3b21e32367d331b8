"""Units and sentences of a chain: marks and ranks of tokens or units, gathered by what they belong to."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.sentences import sentence_starts
from tokimp.results.by_chain import unit_texts


def majority(marks: FloatArray, groups: IntArray) -> FloatArray:
    """Return 1 for each group of which more than half is marked, else 0, [group]; NaN where a mark is NaN."""
    means = group_means(marks, groups)
    marked: FloatArray = np.where(np.isnan(means), np.nan, (means > 0.5).astype(float))
    return marked


def group_means(values: FloatArray, groups: IntArray) -> FloatArray:
    """Return the mean of the values in each group, [group], where `groups` numbers them from 0 without gaps."""
    means: FloatArray = np.bincount(groups, weights=values) / np.bincount(groups)
    return means


def sentences(chain: xr.Dataset) -> IntArray:
    """Return the sentence in which each unit of a chain begins, numbered from 0 without gaps, [unit]."""
    _, firsts = np.unique(chain["unit"].to_numpy(), return_index=True)
    starts = sentence_starts(str(chain["reasoning"].item()))
    # A unit may cover the space before its first word, which belongs to the sentence that precedes that word.
    texts = unit_texts(chain)
    spaces = [len(text) - len(text.lstrip()) if text.strip() else 0 for text in texts]
    places = chain["token_start"].to_numpy()[firsts] + np.array(spaces)
    _, numbers = np.unique(np.searchsorted(starts, places, side="right"), return_inverse=True)
    return numbers.astype(np.int64)
