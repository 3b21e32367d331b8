"""The category of each reasoning token of a result, from the chain file or from a categorizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.chains.chain import Chain
from tokimp.chains.units import token_categories
from tokimp.contracts.categorizer import Categorizer, categorize_chains
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import chain_ids, token_slice

Labels = npt.NDArray[np.object_]


Keep = Callable[[int, Callable[[], Mapping[str, Labels]]], Mapping[str, Labels]]
"""Keeps what is found out of a chain, by its index, as `tokimp.contracts.analysis.AnalysisInput.keep` does."""


def token_labels(
    result: xr.DataTree, categorizer: Categorizer | None, asked_by: str, keep: Keep | None = None
) -> Labels:
    """Return the category of each reasoning token of a result, [token]; empty for a token without one.

    Parameters
    ----------
    result
        A result.
    categorizer
        Labels the chains' reasoning; with ``None`` the categories are those of the chain file.
    asked_by
        Name of the analysis, for messages.
    keep
        Keeps the labels of each chain, so that workers can be asked for them; by default they are asked for here.

    Raises
    ------
    AnalysisError
        If no token has a category.
    CategorizerError
        If the categorizer raises it.
    """
    if categorizer is None:
        recorded: Labels = result["category"].to_numpy().astype(object)
        if not any(recorded):
            raise AnalysisError(
                "no token of the result has a category; give the chain file 'category' spans, or name a categorizer "
                f"({asked_by}:categorizer=rules)"
            )
        return recorded
    categories: list[str] = []
    for index, chain in enumerate(_chains(result)):
        label = partial(_labels_of, result, index, chain, categorizer)
        found = label() if keep is None else keep(index, label)
        categories += found["labels"].tolist()
    labels = np.array(categories, dtype=object)
    if not any(labels):
        raise AnalysisError(f"the categorizer {categorizer.name!r} gave no token a category")
    return labels


def _labels_of(result: xr.DataTree, index: int, chain: Chain, categorizer: Categorizer) -> dict[str, Labels]:
    """Return the categories of one chain's reasoning tokens, [token]."""
    (labelled,) = categorize_chains([chain], categorizer)
    span = token_slice(result, index)
    starts, ends = (result[name].to_numpy()[span] for name in ("token_start", "token_end"))
    categories = token_categories(labelled, tuple(zip(starts.tolist(), ends.tolist(), strict=True)))
    return {"labels": np.array(categories, dtype=object)}


def _chains(result: xr.DataTree) -> list[Chain]:
    texts = [result[name].to_numpy().tolist() for name in ("question", "reasoning", "answer")]
    return [Chain(*row) for row in zip(chain_ids(result), *texts, strict=True)]
