"""Putting a result together from the cells of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.chains.units import token_filler, token_filler_kinds, token_units
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.contracts.estimator import Importance
from tokimp.results.effects_node import ChainEffects, add_effects
from tokimp.results.schema import (
    DIAGNOSTIC_PREFIX,
    LOGLIKS,
    SCHEMA_VERSION,
    STATUS,
    VARIABLES,
    ranks,
    status_variable,
    validate,
)


def build_result(
    *,
    chains: Sequence[TokenizedChain],
    categories: Sequence[Sequence[str]],
    unpruned: Sequence[UnprunedLogprobs],
    labels: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    attributes: Mapping[str, str | int | float],
) -> xr.DataTree:
    """Put a result together from the cells of a run.

    Parameters
    ----------
    chains
        The chains, [chain].
    categories
        The category of each reasoning token, [chain][token]; empty where it has none.
    unpruned
        Log-probabilities of the unpruned chains, [chain].
    labels
        The labels of the estimators, [estimator].
    cells
        The finished cells, [chain][estimator].
    attributes
        A value for each of `tokimp.results.schema.ATTRIBUTES` except ``schema_version``, which is added.

    Returns
    -------
    xarray.DataTree
        See ``docs/schema.md``.

    Raises
    ------
    SchemaError
        If chains, cells and attributes do not make a valid result.
    """
    texts = [chain.chain for chain in chains]
    lengths = [len(chain.reasoning_ids) for chain in chains]
    offsets = np.array([span for chain in chains for span in chain.reasoning_offsets], dtype=np.int64).reshape(-1, 2)
    logprobs = [scored.logprobs for scored in unpruned]
    reasoning = np.array([lp.reasoning.sum(dtype=np.float64) for lp in logprobs])
    answer = np.array([lp.answer.sum(dtype=np.float64) for lp in logprobs])

    # The unit of each token, [chain][token].
    units_of_chains = [token_units(chain) for chain in chains]

    def on_tokens(on_units: Callable[[Importance], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return a number of each unit, repeated on each of its tokens, [estimator, token]."""
        by_chain = [
            np.stack([np.asarray(on_units(cell.importance))[units] for cell in row])
            for units, row in zip(units_of_chains, cells, strict=True)
        ]
        return np.concatenate(by_chain, axis=1)

    values: dict[str, npt.NDArray[Any]] = {
        "chain_id": _texts([chain.id for chain in chains]),
        "question": _texts([text.question for text in texts]),
        "reasoning": _texts([text.reasoning for text in texts]),
        "answer": _texts([text.answer for text in texts]),
        "gold": _texts([text.gold or "" for text in texts]),
        "system": _texts([text.system or "" for text in texts]),
        "wrong_answer": _texts([text.wrong_answer or "" for text in texts]),
        "reasoning_length": np.array(lengths),
        "prompt_length": np.array([len(chain.prompt_ids) for chain in chains]),
        "answer_length": np.array([len(chain.answer_ids) for chain in chains]),
        "full_loglik_joint": reasoning + answer,
        "full_loglik_answer": answer,
        "full_loglik_reasoning": reasoning,
        "full_seconds": np.array([scored.seconds for scored in unpruned]),
        "full_tokens_forwarded": np.array([scored.tokens_forwarded for scored in unpruned]),
        "chain_index": np.repeat(np.arange(len(chains)), lengths),
        "position": np.concatenate([np.arange(length) for length in lengths]),
        "unit": np.concatenate(units_of_chains),
        "token_id": np.array([token for chain in chains for token in chain.reasoning_ids]),
        "token_text": _texts([c.chain.reasoning[start:end] for c in chains for start, end in c.reasoning_offsets]),
        "token_start": offsets[:, 0],
        "token_end": offsets[:, 1],
        "category": _texts([label for chain_labels in categories for label in chain_labels]),
        "logprob": np.concatenate([lp.reasoning for lp in logprobs]),
        "importance": on_tokens(lambda importance: importance.scores),
        "rank": on_tokens(_ranks_or_none),
        "seconds": np.array([[cell.seconds for cell in row] for row in cells]).T,
        "tokens_forwarded": np.array([[cell.tokens_forwarded for cell in row] for row in cells]).T,
    }
    for span in LOGLIKS:
        values[f"loglik_{span}"] = on_tokens(partial(_logliks_on_units, span=span))
    variables: dict[str, Any] = {
        name: (spec.dims, values[name].astype(spec.dtype), _attributes_of(name)) for name, spec in VARIABLES.items()
    }
    if any(text.filler is not None for text in texts):
        marks = np.array([mark for chain in chains for mark in token_filler(chain.chain, chain.reasoning_offsets)])
        variables["filler"] = (("token",), marks, {"long_name": "1 where the token is known to be of no use, else 0"})
    if any(text.filler_kinds is not None for text in texts):
        kinds = [kind for chain in chains for kind in token_filler_kinds(chain.chain, chain.reasoning_offsets)]
        variables["filler_kind"] = (("token",), _texts(kinds), {"long_name": "kind of filler; empty where it is none"})
    places = [chain.answer_value for chain in chains]
    if any(place is not None for place in places):
        of_value = [
            np.nan if place is None else lp.answer[slice(*place)].sum(dtype=np.float64)
            for place, lp in zip(places, logprobs, strict=True)
        ]
        meaning = "log P(value of the answer | prompt, reasoning, what opens it), unpruned"
        about = {"long_name": meaning, "units": "nats"}
        variables["full_loglik_answer_value"] = (("chain",), np.array(of_value), about)
    if any(cell.failure for row in cells for cell in row):
        failures = [[row[column].failure for row in cells] for column in range(len(labels))]
        variables[STATUS] = status_variable(failures)
    for name in sorted({name for row in cells for cell in row for name in cell.importance.diagnostics}):
        numbers = np.array([[cell.importance.diagnostics.get(name, np.nan) for cell in row] for row in cells]).T
        variables[DIAGNOSTIC_PREFIX + name] = (("estimator", "chain"), numbers.astype("float64"), {})
    dataset = xr.Dataset(
        variables,
        coords={"estimator": ("estimator", _texts(list(labels)))},
        attrs={"schema_version": SCHEMA_VERSION, **attributes},
    )
    tree = xr.DataTree(dataset)
    add_effects(tree, _effects(chains, labels, cells))
    validate(tree)
    return tree


def _effects(
    chains: Sequence[TokenizedChain], labels: Sequence[str], cells: Sequence[Sequence[Cell]]
) -> dict[tuple[str, str], ChainEffects]:
    """Return the effects of the cells that have any, by label and chain id."""
    return {
        (label, chain.id): ChainEffects.of_matrix(cell.importance.effects, cell.importance.effects_on_answer)
        for chain, row in zip(chains, cells, strict=True)
        for label, cell in zip(labels, row, strict=True)
        if cell.importance.effects is not None
    }


def _texts(values: Sequence[str]) -> npt.NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _ranks_or_none(importance: Importance) -> IntArray:
    """Return the rank of each unit, [unit]; -1 where a cell failed, and so has no importance."""
    if np.isnan(importance.scores).any():
        return np.full(len(importance.scores), -1)
    return ranks(importance.scores)


def _logliks_on_units(importance: Importance, span: str) -> FloatArray:
    """Return the log-likelihood of a span after each unit was deleted, [unit]; NaN for units that were not."""
    values = np.full(len(importance.scores), np.nan)
    if importance.order is not None and importance.trajectory is not None:
        deleted = importance.order >= 0
        values[deleted] = np.asarray(getattr(importance.trajectory, span))[importance.order[deleted]]
    return values


def _attributes_of(name: str) -> dict[str, str]:
    spec = VARIABLES[name]
    attributes = {"long_name": spec.meaning}
    if spec.units:
        attributes["units"] = spec.units
    if name == "reasoning_length":
        # The CF convention's mark of a contiguous ragged array: this variable counts the tokens of each chain.
        attributes["sample_dimension"] = "token"
    return attributes
