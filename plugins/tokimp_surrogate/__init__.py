"""Surrogate: a unit is as important as a regression on attention, fitted on other chains, predicts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError
from tokimp.storage.digests import file_digest
from tokimp_surrogate.features import attention_features
from tokimp_surrogate.fitted import FittedSurrogate, load_surrogate

__all__ = ["SurrogateEstimator"]


class SurrogateEstimator(ImportanceEstimator):
    """Scores a unit by what a fitted surrogate predicts of it from attention: deletions' scores for one forward pass.

    The surrogate is fitted by the analysis of that name on a run whose chains were deleted from
    (``tokimp analyze RUN surrogate:save=FILE``); the file says what it predicts. A surrogate of likelihoods after a
    deletion counts as less important what leaves more; one of leave-one-out's importance or of a rank is taken as it
    is. The idea is that of Singh and Hakkani-Tuer (2026), section on the attention surrogate.

    It is only used where it was fitted: with as many layers and heads, the same objective and the same unit. On chains
    that it was fitted on it does better than on others; held-out correlations stand in the analysis.

    Parameters
    ----------
    path
        The file.
    """

    name = "surrogate"
    requires = frozenset({Capability.ATTENTION})

    def __init__(self, path: str = "") -> None:
        self.path = path

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if there is no file, or it holds no surrogate."""
        _ = self.surrogate

    @property
    def surrogate(self) -> FittedSurrogate:
        """What the file holds.

        Raises
        ------
        EstimatorError
            If there is no file, or it holds no surrogate.
        """
        if not isinstance(self.path, str) or not self.path:
            raise self.invalid_parameter("path", "path=FILE, what 'tokimp analyze RUN surrogate:save=FILE' wrote")
        path = Path(self.path)
        # Read again only once it has changed: a run asks for it once a chain.
        return _read(path, path.stat().st_mtime_ns if path.exists() else 0)

    def input_digests(self) -> Mapping[str, str]:
        """Return the digest of the file."""
        return {"path": file_digest(Path(self.path))}

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the importance predicted of each unit, [unit].

        Raises
        ------
        EstimatorError
            If the model has another number of layers or heads, or objective or unit are others than it was fitted on.
        """
        header = self.surrogate.header
        for what, fitted, asked in (("objective", header.objective, objective.name), ("unit", header.unit, chain.unit)):
            if fitted != asked:
                raise EstimatorError(
                    f"surrogate {self.path}: it was fitted on the {what} {fitted!r}, not {asked!r}; use that one, or "
                    f"fit a surrogate on a run with {asked!r}"
                )
        features, space = attention_features(chain, scorer, per_head=header.per_head)
        if space != header.space:
            raise EstimatorError(
                f"surrogate {self.path}: it was fitted on {header.layers} layers of {header.heads} heads "
                f"({header.model_id}), and {scorer.model_id!r} has {space.layers} of {space.heads}; use that model, "
                "or fit a surrogate on this one"
            )
        return Importance(np.asarray(self.surrogate.importance(features), dtype=np.float64))


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> FittedSurrogate:
    return load_surrogate(path)
