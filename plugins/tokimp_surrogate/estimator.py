"""The estimator that scores units by what a fitted surrogate predicts from attention."""

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
from tokimp_surrogate.fitted_surrogate import FittedSurrogate, load_surrogate


class SurrogateEstimator(ImportanceEstimator):
    """Scores a unit by what a fitted surrogate predicts from attention, at the cost of one forward pass.

    The analysis ``surrogate`` fits the surrogate on a run whose chains were deleted from (``tokimp analyze RUN
    surrogate:save=FILE``), and the file says what it predicts. If it predicts the likelihood after a unit's deletion,
    a higher prediction means a less important unit. If it predicts leave-one-out's importance or a rank, the prediction
    is the importance. The idea is that of Singh and Hakkani-Tuer (2026), section on the attention surrogate.

    A surrogate can be used only with as many layers and heads, the objective and the unit that it was fitted with. It
    does better on chains that it was fitted on than on others; the analysis gives held-out correlations.

    Parameters
    ----------
    path
        File of the surrogate.
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
        """The surrogate in the file.

        Raises
        ------
        EstimatorError
            If there is no file, or it holds no surrogate.
        """
        if not isinstance(self.path, str) or not self.path:
            raise self.invalid_parameter("path", "path=FILE, what 'tokimp analyze RUN surrogate:save=FILE' wrote")
        path = Path(self.path)
        # A run asks for the surrogate once a chain; the file is read again only if it has changed.
        return _read(path, path.stat().st_mtime_ns if path.exists() else 0)

    def input_digests(self) -> Mapping[str, str]:
        """Return the digest of the file."""
        return {"path": file_digest(Path(self.path))}

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the importance predicted for each unit, [unit].

        Raises
        ------
        EstimatorError
            If objective, unit, or the model's number of layers or heads are not those that it was fitted with.
        """
        header = self.surrogate.header
        for what, fitted, asked in (
            ("objective", header.objective, objective.label),
            ("unit", header.unit, chain.unit),
        ):
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
    """Return the surrogate in a file that was changed last at a time, which tells versions of the file apart."""
    return load_surrogate(path)
