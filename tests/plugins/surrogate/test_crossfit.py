"""Fitting on some questions and predicting others."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tests.plugins.surrogate.small_runs import LOO, SHARES, analysed, chains, compared, siblings
from tokimp.testing.toy_scorer import AdditiveScorer


def test_no_chain_is_on_both_sides(node: xr.Dataset) -> None:
    """Each chain is in one fold, whole; what is predicted of it does not depend on its own target."""
    fold = node["fold"].sel(target=LOO).to_numpy()
    assert sorted(np.bincount(fold).tolist()) == [3, 3, 3]
    tokenized, scorer = chains(), AdditiveScorer(SHARES)
    result = compared(tokenized, scorer, "leave_one_out")
    changed = result.to_dataset()
    changed["importance"] = changed["importance"].copy()
    first = result["chain_index"].to_numpy() == 0
    changed["importance"][0, first] = 100 * changed["importance"][0, first] + 5
    one, other = (
        analysed(tree, tokenized, scorer, targets=[LOO])["prediction"].sel(target=LOO)
        for tree in (result, xr.DataTree(changed))
    )
    np.testing.assert_array_equal(one.sel(model="mlp")[first], other.sel(model="mlp")[first])
    assert not np.array_equal(one.sel(model="mlp")[~first], other.sel(model="mlp")[~first])


def test_chains_of_one_question_are_on_one_side() -> None:
    """Siblings share a fold, and what is predicted of a chain does not depend on its siblings' targets."""
    tokenized, scorer = siblings(), AdditiveScorer(SHARES)
    questions = [chain.chain.question.strip() for chain in tokenized]
    result = compared(tokenized, scorer, "leave_one_out")
    node = analysed(result, tokenized, scorer, targets=[LOO], folds=4)
    fold = node["fold"].sel(target=LOO).to_numpy().tolist()
    assert len(set(zip(questions, fold, strict=True))) == len(set(fold)) == 4
    assert sorted(np.bincount(fold).tolist()) == [3, 3, 3, 3]
    changed = result.to_dataset()
    changed["importance"] = changed["importance"].copy()
    first = result["chain_index"].to_numpy() == 0
    changed["importance"][0, first] = 100 * changed["importance"][0, first] + 5
    again = analysed(xr.DataTree(changed), tokenized, scorer, targets=[LOO], folds=4)
    related = np.isin(result["chain_index"].to_numpy(), np.flatnonzero(np.array(questions) == questions[0]))
    for model in ("mlp", "ridge", "position", "mean"):
        one, other = (each["prediction"].sel(target=LOO, model=model).to_numpy() for each in (node, again))
        np.testing.assert_array_equal(one[related], other[related])
        assert not np.array_equal(one[~related], other[~related])
