"""Receiver heads: a reasoning unit is important when heads that single out few units attend to it from afar."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Text, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError
from tokimp.storage.digests import file_digest
from tokimp_receiver_heads.heads import HeadList, choose, head_kurtosis, read_heads, receiver_scores

__all__ = ["ReceiverHeads"]


class ReceiverHeads(ImportanceEstimator):
    """Scores a unit by the attention that a model's receiver heads give it from later units; no objective is used.

    In each layer and head, ``B[j, i]`` is the mean attention weight between a query in unit j and a key in unit i. A
    unit's score there is the mean of ``B[j, i]`` over the units ``j >= i + near``. Heads whose scores have the highest
    excess kurtosis over a chain's units, those that single few units out, are the *receiver heads*; ``importance(i)``
    is the mean of their scores. It is 0 or more. The whole takes one pass over the full chain.

    The method is that of Bogdan et al. 2025 ("Thought anchors", arXiv 2506.19143), made for sentences: 20 heads, and
    units nearer than 4 left out. Their heads are chosen by the mean kurtosis over a data set: do so with `choose_heads`
    and give the file. Without a file the heads are chosen on each chain by itself, which is weaker, and differs from
    chain to chain. Queries are the positions of a unit's own tokens, as in the authors' code. A mean over tokens makes
    long units weak; that is the definition.

    The last `near` units have no unit far enough behind them and get 0: leave them out of comparisons. The first unit
    often is an attention sink that decides which heads are chosen: compare with ``skip=1``. On chains of few units,
    kurtosis means little.

    Parameters
    ----------
    path
        File of the heads, from `save_heads`; its digest is stored. Empty: choose on each chain. The file says `near`,
        so the parameters below count only without it.
    top
        The number of heads.
    near
        The least distance, in units, at which attention counts.
    skip
        How many units at the beginning the kurtosis leaves out.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> singles_out = AdditiveScorer({"a": 3.0})  # a head of this scorer attends to "a" above all
    >>> ReceiverHeads(top=1, near=1).estimate(toy_chain("bbabbb"), singles_out, Joint()).scores.round(2).tolist()
    [0.07, 0.0, 0.99, 0.0, 0.0, 0.0]
    """

    name = "receiver_heads"
    requires = frozenset({Capability.ATTENTION})
    constraints = {
        "path": Text("the file of a list of heads", may_be_empty=True),
        "top": WholeNumber(1),
        "near": WholeNumber(1),
        "skip": WholeNumber(0),
    }

    def __init__(self, path: str = "", top: int = 20, near: int = 4, skip: int = 0) -> None:
        self.path = path
        self.top = top
        self.near = near
        self.skip = skip

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed, or the file is no list of heads."""
        super().validate_parameters()
        if self.path:
            _ = self._listed()

    def input_digests(self) -> Mapping[str, str]:
        """Return the digest of the file, if one is given."""
        return {"path": file_digest(Path(self.path))} if self.path else {}

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return what each unit receives, [unit]; `objective` is not used.

        The diagnostic ``unscored_units`` counts the units at the end that have no score and get 0;
        ``kurtosis`` is the mean over the heads, on this chain.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or the list of heads belongs to another model.
        """
        self.validate_parameters()
        near = self._listed().near if self.path else self.near
        scores = receiver_scores(chain, scorer, near)
        kurtoses = head_kurtosis(scores, near, self._listed().skip if self.path else self.skip)
        heads = self._heads_for(scorer, scores.shape[:2]) if self.path else choose(kurtoses, self.top)
        chosen = tuple(np.array(heads).T)
        return Importance(
            scores[chosen].mean(axis=0, dtype=np.float64),
            diagnostics={
                "unscored_units": float(min(near, len(chain.units))),
                "kurtosis": float(kurtoses[chosen].mean()),
            },
        )

    def _listed(self) -> HeadList:
        path = Path(self.path)
        # A run asks once a chain; the file is read again only if it has changed.
        return _read(path, path.stat().st_mtime_ns if path.exists() else 0)

    def _heads_for(self, scorer: Scorer, shape: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return the heads of the list, checked to be this model's."""
        listed = self._listed()
        inside = all(0 <= layer < shape[0] and 0 <= head < shape[1] for layer, head in listed.heads)
        if listed.fingerprint != scorer.fingerprint() or not inside:
            raise EstimatorError(
                f"receiver_heads: {self.path} lists heads of another model ({listed.model_id}, fingerprint "
                f"{listed.fingerprint[:12]}), not of {scorer.model_id} ({scorer.fingerprint()[:12]}); choose them on "
                "this model with tokimp_receiver_heads.choose_heads"
            )
        return list(listed.heads)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> HeadList:
    """Return the list in a file that was changed last at a time, which tells versions of the file apart."""
    return read_heads(path)
