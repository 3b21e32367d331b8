"""The node ``/effects`` of a result: made of the effects of chains, read back, joined."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray
from tokimp.errors import SchemaError
from tokimp.results.effects_schema import NODE, pair_units, unit_counts


@dataclass(frozen=True, slots=True)
class ChainEffects:
    """What the units of a chain do to later ones, by one estimator.

    Attributes
    ----------
    pairs
        [pair], float32, nats: first those of unit 0 on units 1, 2, ..., then those of unit 1 on units 2, 3, ....
    on_answer
        [unit], float32, nats; NaN if the estimator does not say.
    """

    pairs: FloatArray
    on_answer: FloatArray

    @classmethod
    def of_matrix(cls, between: FloatArray, on_answer: FloatArray | None) -> ChainEffects:
        """Return the effects of a matrix, [unit, unit], whose lower part is 0."""
        unknown = np.full(len(between), np.nan, dtype=np.float32)
        pairs = np.asarray(between)[np.triu_indices(len(between), k=1)]
        return cls(pairs.astype(np.float32), unknown if on_answer is None else np.asarray(on_answer, dtype=np.float32))

    def matrix(self) -> FloatArray:
        """Return the effects as a matrix, [unit, unit], 0 on the diagonal and below."""
        n_units = len(self.on_answer)
        matrix = np.zeros((n_units, n_units), dtype=np.float32)
        matrix[np.triu_indices(n_units, k=1)] = self.pairs
        return matrix


Key = tuple[str, str]
"""An estimator's label, and a chain's id."""


def effects_dataset(
    ids: Sequence[str], n_units: Sequence[int], labels: Sequence[str], found: Mapping[Key, ChainEffects]
) -> xr.Dataset:
    """Return the node of some effects, as ``docs/schema.md`` describes it.

    Parameters
    ----------
    ids, n_units
        The ids of the result's chains, and how many units each has, [chain].
    labels
        The labels of the result's estimators.
    found
        The effects, where an estimator gives them.
    """
    named = [label for label in labels if any(key[0] == label for key in found)]
    counts = np.array(n_units, dtype=np.int64)
    pair_counts = counts * (counts - 1) // 2
    ends, pair_ends = np.cumsum(counts), np.cumsum(pair_counts)
    effect = np.full((len(named), int(pair_counts.sum())), np.nan, dtype=np.float32)
    on_answer = np.full((len(named), int(counts.sum())), np.nan, dtype=np.float32)
    sources, targets = pair_units(counts)
    for row, label in enumerate(named):
        for column, chain_id in enumerate(ids):
            if (effects := found.get((label, chain_id))) is not None:
                effect[row, pair_ends[column] - pair_counts[column] : pair_ends[column]] = effects.pairs
                on_answer[row, ends[column] - counts[column] : ends[column]] = effects.on_answer
    texts = np.empty(len(named), dtype=object)
    texts[:] = named
    nats = {"units": "nats"}
    return xr.Dataset(
        {
            "pair_count": ("chain", pair_counts, {"sample_dimension": "pair", "long_name": "pairs of units"}),
            "source": ("pair", sources, {"long_name": "unit that is taken away, from 0"}),
            "target": ("pair", targets, {"long_name": "later unit that it acts on, from 0"}),
            "effect": (
                ("effect_estimator", "pair"),
                effect,
                {"long_name": "log-probability that target loses without source", **nats},
            ),
            "unit_count": ("chain", counts, {"sample_dimension": "chain_unit", "long_name": "units of the chain"}),
            "effect_on_answer": (
                ("effect_estimator", "chain_unit"),
                on_answer,
                {"long_name": "log-probability that the answer loses without the unit", **nats},
            ),
        },
        coords={"effect_estimator": ("effect_estimator", texts)},
    )


def read_effects(result: xr.DataTree, chains: Collection[str] | None = None) -> dict[Key, ChainEffects]:
    """Return the effects of a result, by label and chain id; empty if it has none.

    Parameters
    ----------
    result
        A result.
    chains
        The ids of the chains whose effects are wanted, since those of all take their time; all by default.
    """
    if NODE not in result.children:
        return {}
    node, ids = result[NODE].to_dataset(), result["chain_id"].to_numpy().tolist()
    pair_ends, ends = (np.cumsum(node[name].to_numpy()) for name in ("pair_count", "unit_count"))
    effect, on_answer = node["effect"].to_numpy(), node["effect_on_answer"].to_numpy()
    wanted = None if chains is None else set(chains)
    columns = [column for column, chain_id in enumerate(ids) if wanted is None or chain_id in wanted]
    found = {}
    for row, label in enumerate(node["effect_estimator"].to_numpy().tolist()):
        for column in columns:
            first, pair_first = (ends[column - 1], pair_ends[column - 1]) if column else (0, 0)
            effects = ChainEffects(effect[row, pair_first : pair_ends[column]], on_answer[row, first : ends[column]])
            # A chain of one unit has no pairs; then the answer says whether anything is known.
            if not np.isnan(np.concatenate([effects.pairs, effects.on_answer])).all():
                found[label, ids[column]] = effects
    return found


def add_effects(result: xr.DataTree, found: Mapping[Key, ChainEffects]) -> None:
    """Give a result the node of some effects, if there are any of its chains and estimators."""
    ids, labels = result["chain_id"].to_numpy().tolist(), result["estimator"].to_numpy().tolist()
    known = set(ids)
    own = {key: effects for key, effects in found.items() if key[0] in labels and key[1] in known}
    if own:
        result[NODE] = xr.DataTree(effects_dataset(ids, unit_counts(result), labels, own))


def join_effects(results: Sequence[xr.DataTree]) -> dict[Key, ChainEffects]:
    """Return the effects of several results, by label and chain id.

    Raises
    ------
    SchemaError
        If two results have other effects of one estimator on one chain.
    """
    joined: dict[Key, ChainEffects] = {}
    for result in results:
        for key, effects_of_chain in read_effects(result).items():
            other = joined.setdefault(key, effects_of_chain)
            if not (
                np.array_equal(other.pairs, effects_of_chain.pairs)
                and np.array_equal(other.on_answer, effects_of_chain.on_answer, equal_nan=True)
            ):
                raise SchemaError(
                    f"two results have effects of {key[0]!r} on chain {key[1]!r}, with different numbers, so they "
                    "cannot be joined; leave it out of one"
                )
    return joined
