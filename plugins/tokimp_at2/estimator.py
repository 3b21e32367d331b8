"""AT2: a reasoning unit is important when heads attend to it whose attention foretells what ablations do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Text
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError
from tokimp.storage.digests import file_digest
from tokimp_at2.ablations import head_features
from tokimp_at2.fitting import uniform_weights
from tokimp_at2.head_weights import HeadWeights, load_weights


class AT2(ImportanceEstimator):
    """Scores a unit by attention from the answer, each head weighted by how much its attention has told before.

    ``importance(u) = sum over layers and heads of theta[layer, head] * f_u[layer, head]``, where f_u is the attention
    that goes from the positions that predict the answer to all tokens of u (their mean over those positions), and theta
    was fitted, on other chains, to foretell the answer's log-odds under random ablations (Cohen-Wang et al. 2025,
    "Learning to attribute with attention", arXiv 2504.13752). It is signed, and has no unit: the fit is blind to
    scale. It takes one pass over the full chain; the objective is not used.

    The analysis ``at2`` fits theta (``tokimp analyze RUN at2:save=FILE``) and says how well it does on chains of other
    questions. Weights belong to one model, whose fingerprint is checked, and to the unit they were fitted on.

    Parameters
    ----------
    path
        File of the weights; its digest is stored. Empty: every head has the same weight, the fit's own beginning,
        which is ``attention:query=answer``.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> AT2().estimate(toy_chain("ab"), AdditiveScorer(), Joint()).scores.round(3).tolist()
    [0.333, 0.333]
    """

    name = "at2"
    requires = frozenset({Capability.ATTENTION})
    constraints = {"path": Text("the file of fitted weights", may_be_empty=True)}

    def __init__(self, path: str = "") -> None:
        self.path = path

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if the parameter is no text, or the file holds no weights."""
        super().validate_parameters()
        if self.path:
            _ = self._fitted()

    def input_digests(self) -> Mapping[str, str]:
        """Return the digest of the file, if one is given."""
        return {"path": file_digest(Path(self.path))} if self.path else {}

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the weighted attention that each unit gets, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If the weights are those of another model or unit.
        """
        self.validate_parameters()
        features = head_features(chain, scorer)
        weights = uniform_weights(features.shape[:2])
        if self.path:
            fitted = self._fitted()
            fingerprint = scorer.fingerprint() if fitted.model_fingerprint else ""
            if fitted.model_fingerprint != fingerprint or fitted.weights.shape != weights.shape:
                raise EstimatorError(
                    f"at2: {self.path} has weights of another model ({fitted.model_id}, fingerprint "
                    f"{fitted.model_fingerprint[:12]}), not of {scorer.model_id} ({fingerprint[:12]}); fit them on "
                    "this model with 'tokimp analyze RUN at2:save=FILE'"
                )
            if fitted.unit != chain.unit:
                raise EstimatorError(
                    f"at2: {self.path} was fitted on the unit {fitted.unit!r}, not {chain.unit!r}; use that unit, or "
                    "fit weights on a run with this one"
                )
            weights = fitted.weights
        return Importance((features * weights[..., None]).sum(axis=(0, 1)))

    def _fitted(self) -> HeadWeights:
        path = Path(self.path)
        # A run asks once a chain; the file is read again only if it has changed.
        return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> HeadWeights:
    """Return the weights in a file that was changed last at a time, which tells versions of the file apart."""
    return load_weights(path)
