"""Views of a result: a chain as a table, its top units, its text at a keep ratio."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from tokimp.chains.arrays import IntArray
from tokimp.chains.chain import Chain
from tokimp.chains.datasets.correctness import is_right
from tokimp.errors import EstimatorError
from tokimp.results.by_chain import one_chain, unit_texts
from tokimp.results.selection import estimator_label


def chain_table(tree: xr.DataTree, chain_id: str) -> pd.DataFrame:
    """Return one chain as a table, one row a reasoning token.

    Columns are ``token_text``, ``unit``, ``position``, ``category``, ``token_id``, ``token_start``, ``token_end``,
    ``logprob`` (nats) and, for each estimator, ``importance_LABEL`` and ``rank_LABEL``.

    Raises
    ------
    SchemaError
        If there is no such chain.
    """
    chain = one_chain(tree, chain_id)
    names = ("token_text", "unit", "position", "category", "token_id", "token_start", "token_end", "logprob")
    columns = {name: chain[name].to_numpy() for name in names}
    for row, label in enumerate(chain["estimator"].to_numpy()):
        for name in ("importance", "rank"):
            columns[f"{name}_{label}"] = chain[name].to_numpy()[row]
    return pd.DataFrame(columns)


def tidy_table(tree: xr.DataTree) -> pd.DataFrame:
    """Return all chains as one table, one row for each token and estimator.

    Columns are ``chain_id``, ``position``, ``token_text``, ``unit``, ``category``, ``logprob`` (nats), ``estimator``,
    ``importance``, ``rank``, and ``loglik_joint``, ``loglik_answer``, ``loglik_reasoning`` (nats). Where an estimator
    says nothing about a chain, its importance is NaN and its rank -1.
    """
    dataset = tree.to_dataset()
    shared = ("position", "token_text", "unit", "category", "logprob")
    own = ("importance", "rank", "loglik_joint", "loglik_answer", "loglik_reasoning")
    owners = dataset["chain_id"].to_numpy()[dataset["chain_index"].to_numpy()]
    tables = [
        pd.DataFrame(
            {
                "chain_id": owners,
                **{name: dataset[name].to_numpy() for name in shared},
                "estimator": str(label),
                **{name: dataset[name].to_numpy()[row] for name in own},
            }
        )
        for row, label in enumerate(dataset["estimator"].to_numpy())
    ]
    return pd.concat(tables, ignore_index=True)


def top_units(tree: xr.DataTree, chain_id: str, estimator: str, n: int = 10) -> pd.DataFrame:
    """Return the `n` most important units of a chain, the most important first.

    Parameters
    ----------
    tree
        A result.
    chain_id, estimator
        The id of the chain, and the label or name of the estimator whose importance counts (``greedy`` for the only
        ``greedy:keep_ratio=0.7``).
    n
        The number of units; a chain with fewer gives all it has.

    Returns
    -------
    pandas.DataFrame
        Columns ``unit``, ``text``, ``start``, ``end`` (characters of the reasoning), ``importance``, ``rank``.

    Raises
    ------
    SchemaError
        If there is no such chain.
    EstimatorError
        If there is no such estimator, several have the name, it says nothing about the chain, or `n` is less than 1.
    """
    if n < 1:
        raise EstimatorError(f"n={n} units cannot be shown; give at least 1")
    chain = one_chain(tree, chain_id)
    row = _row(chain, estimator)
    table = pd.DataFrame(
        {
            "unit": chain["unit"].to_numpy(),
            "start": chain["token_start"].to_numpy(),
            "end": chain["token_end"].to_numpy(),
            "importance": chain["importance"].to_numpy()[row],
            "rank": chain["rank"].to_numpy()[row],
        }
    )
    units = table.groupby("unit", as_index=False).agg(
        start=("start", "min"), end=("end", "max"), importance=("importance", "first"), rank=("rank", "first")
    )
    units.insert(1, "text", unit_texts(chain))
    return units.sort_values("rank", ascending=False).head(n).reset_index(drop=True)


def kept_positions(tree: xr.DataTree, chain_id: str, estimator: str, keep_ratio: float) -> IntArray:
    """Return the positions of the reasoning tokens left at a keep ratio, ascending.

    The ``int(n * keep_ratio)`` units of highest rank stay, where n is the number of the chain's units.

    Parameters
    ----------
    tree
        A result.
    chain_id, estimator
        The id of the chain, and the label or name of the estimator whose ranks count, as for `top_units`.
    keep_ratio
        The share of units left, from 0 to 1.

    Returns
    -------
    IntArray
        Positions within the chain's reasoning, [kept token].

    Raises
    ------
    SchemaError
        If there is no such chain.
    EstimatorError
        If there is no such estimator, several have the name, it says nothing about the chain, it deleted in sequence
        and stopped before this ratio, or the ratio is not from 0 to 1.
    """
    if not isinstance(keep_ratio, (int, float, np.number)) or not 0 <= keep_ratio <= 1:
        raise EstimatorError(f"keep_ratio={keep_ratio!r} is not a share; give a number from 0 to 1")
    chain = one_chain(tree, chain_id)
    row = _row(chain, estimator)
    places = chain["rank"].to_numpy()[row]
    n_units = int(chain["unit"].max()) + 1
    n_removed = n_units - int(n_units * keep_ratio)
    gone = ~np.isnan(chain["loglik_joint"].to_numpy()[row])
    n_steps = len(np.unique(chain["unit"].to_numpy()[gone]))
    if 0 < n_steps < n_removed:
        raise EstimatorError(
            f"chain {chain_id!r}: the estimator {estimator!r} deleted {n_steps} of {n_units} units and did not rank "
            f"the rest; keep_ratio={keep_ratio} needs {n_removed} deletions: run it to that ratio"
        )
    positions: IntArray = np.flatnonzero(places >= n_removed)
    return positions


def pruned_text(tree: xr.DataTree, chain_id: str, estimator: str, keep_ratio: float) -> str:
    """Return the reasoning text left at a keep ratio.

    A character stays if every token that covers it stays. If a multi-byte character is split over several tokens, some
    of its bytes alone would be no text. A character that no token covers belongs to the next token, or at the end of
    the reasoning to the last one.

    Parameters
    ----------
    tree, chain_id, estimator, keep_ratio
        As of `kept_positions`.

    Raises
    ------
    SchemaError, EstimatorError
        As `kept_positions` does.
    """
    kept = set(kept_positions(tree, chain_id, estimator, keep_ratio).tolist())
    chain = one_chain(tree, chain_id)
    reasoning: str = chain["reasoning"].item()
    starts, ends = chain["token_start"].to_numpy(), chain["token_end"].to_numpy()
    is_dropped = np.zeros(len(reasoning), dtype=bool)
    covered = 0
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if position not in kept:
            # A gap before the token, which no token covers, is dropped with it.
            is_dropped[min(covered, start) : end] = True
        covered = max(covered, end)
    if len(starts) - 1 not in kept:
        is_dropped[covered:] = True
    return "".join(character for character, dropped in zip(reasoning, is_dropped, strict=True) if not dropped)


def answer_is_right(chain: xr.Dataset) -> bool | None:
    """Return whether a chain's answer is its gold answer; ``None`` where that is not known, or there is no gold answer.

    Parameters
    ----------
    chain
        One chain's part of a result, as `tokimp.results.by_chain.iterate` gives it.
    """
    names = ("chain_id", "question", "reasoning", "answer", "gold")
    chain_id, question, reasoning, answer, gold = (str(chain[name].item()) for name in names)
    return is_right(Chain(chain_id, question, reasoning, answer, gold=gold or None))


def _row(chain: xr.Dataset, estimator: str) -> int:
    label = estimator_label(chain, estimator)
    row = chain["estimator"].to_numpy().tolist().index(label)
    if np.isnan(chain["importance"].to_numpy()[row]).all():
        raise EstimatorError(f"the estimator {estimator!r} says nothing about chain {chain['chain_id'].item()!r}")
    return int(row)
