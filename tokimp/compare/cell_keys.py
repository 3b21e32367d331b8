"""The key of a cell in the journal of a run: what the cell is, whatever its place in the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokimp.storage.digests import json_digest

GROWING = ("chains", "estimators")
"""The parts of a run's identity that may gain entries while the run keeps its folder."""


class CellKeys:
    """Gives each cell of a run a key made of everything that its numbers depend on.

    That is the run without its lists of chains and estimators, the estimator, the chain, and the chains that the
    estimator is asked about together with it. A run that gained chains or estimators finds its earlier cells under the
    keys they had. A group that gained a chain has new keys, and is computed again.

    Parameters
    ----------
    identity
        The identity of the run (`tokimp.compare.compare.compare`).
    """

    def __init__(self, identity: Mapping[str, Any]) -> None:
        shared = {name: value for name, value in identity.items() if name not in GROWING}
        model = dict(shared.get("model", {}))
        if model.get("fingerprint"):
            # The fingerprint says which model it is. The path to it may change.
            model.pop("model_id", None)
        self._run = json_digest({**shared, "model": model})
        self._chains = [json_digest(chain) for chain in identity["chains"]]
        self._estimators = [json_digest(estimator) for estimator in identity["estimators"]]
        self._group_size = int(identity.get("chains_at_once", 1))

    @property
    def cells(self) -> list[str]:
        """The keys of all cells of the run."""
        return [
            self.cell(chain, estimator)
            for chain in range(len(self._chains))
            for estimator in range(len(self._estimators))
        ]

    def cell(self, chain: int, estimator: int) -> str:
        """Return the key of a cell, by the indices of its chain and estimator within the run."""
        return self._of_group("cell", chain, estimator)

    def failure(self, chain: int, estimator: int) -> str:
        """Return the key of what is recorded of a cell that failed."""
        return self._of_group("failure", chain, estimator)

    def unpruned(self, chain: int) -> str:
        """Return the key of a chain's log-probabilities, which are asked for alone."""
        return f"unpruned {json_digest([self._run, self._chains[chain]])}"

    def wrong_answer(self, chain: int) -> str:
        """Return the key of the wrong answer drawn for a chain."""
        return f"wrong answer {json_digest([self._run, self._chains[chain]])}"

    def _of_group(self, kind: str, chain: int, estimator: int) -> str:
        begin = chain - chain % self._group_size
        group = self._chains[begin : begin + self._group_size]
        return f"{kind} {json_digest([self._run, self._estimators[estimator], self._chains[chain], group])}"
