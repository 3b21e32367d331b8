"""The category of each reasoning token of a result: as the chain file said, or as a categorizer says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.chains.chain import Chain
from tokimp.chains.units import token_categories
from tokimp.contracts.categorizer import Categorizer, categorize_chains
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import chain_ids, token_slice

Labels = npt.NDArray[np.object_]


def token_labels(result: xr.DataTree, categorizer: Categorizer | None, asked_by: str) -> Labels:
    """Return a label for each token, [token]; empty where it has none.

    Parameters
    ----------
    result
        Of any estimators.
    categorizer
        Labels the chains' reasoning anew; ``None`` takes the categories of the chain file.
    asked_by
        The analysis, for messages.

    Raises
    ------
    AnalysisError
        If no token has a category.
    CategorizerError
        As the categorizer does.
    """
    if categorizer is None:
        recorded: Labels = result["category"].to_numpy().astype(object)
        if not any(recorded):
            raise AnalysisError(
                "no token of the result has a category; give the chain file 'category' spans, or name a categorizer "
                f"({asked_by}:categorizer=rules)"
            )
        return recorded
    found: list[str] = []
    for index, chain in enumerate(categorize_chains(_chains(result), categorizer)):
        span = token_slice(result, index)
        starts, ends = (result[name].to_numpy()[span] for name in ("token_start", "token_end"))
        found += token_categories(chain, tuple(zip(starts.tolist(), ends.tolist(), strict=True)))
    labels = np.array(found, dtype=object)
    if not any(labels):
        raise AnalysisError(f"the categorizer {categorizer.name!r} gave no token a category")
    return labels


def _chains(result: xr.DataTree) -> list[Chain]:
    texts = [result[name].to_numpy().tolist() for name in ("question", "reasoning", "answer")]
    return [Chain(*row) for row in zip(chain_ids(result), *texts, strict=True)]
