"""What AT2 is fitted on: attention from the answer to each unit, and the answer's log-odds under random ablations."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import sum_over_units
from tokimp.contracts.objective import Answer
from tokimp.contracts.operators import make_operator
from tokimp.contracts.scorer import Scorer
from tokimp.errors import ScorerError

Masks = npt.NDArray[np.bool_]
# An answer of probability 1 has infinite log-odds; they are cut where the probability is within this of 1.
_LEAST_DOUBT = 1e-6


def head_features(chain: TokenizedChain, scorer: Scorer) -> FloatArray:
    """Return the attention that the answer's predictor rows give each unit in each head, [layer, head, unit].

    The mean over the positions that answer tokens are predicted from of the sum over the unit's tokens.
    """
    start, stop = chain.reasoning_span

    def reduce(layer: torch.Tensor) -> torch.Tensor:
        return layer[:, stop - 1 : len(chain) - 1, start:stop].float().mean(dim=1)

    return sum_over_units(chain, scorer.attention(chain, reduce=reduce))


def draw_masks(chain: TokenizedChain, count: int, seed: int) -> Masks:
    """Return which units stay in each ablation, [ablation, unit], each with probability one half.

    They depend on the seed, the chain's id and its number of units, and on nothing else.
    """
    key = hashlib.sha256(f"{seed}\n{chain.id}\nat2 masks".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(key[:8], "big"))
    return generator.random((count, len(chain.units))) < 0.5


def log_odds(loglik: FloatArray) -> FloatArray:
    """Return the log-odds of answers, ``l - log(1 - e^l)``, from their log-likelihoods in nats.

    Examples
    --------
    >>> log_odds(np.array([np.log(0.5), -800.0, 0.0])).round(2).tolist()
    [0.0, -800.0, 13.82]
    """
    cut = np.minimum(loglik.astype(np.float64), -_LEAST_DOUBT)
    # Two forms, each exact where the other rounds.
    near = np.log(-np.expm1(np.maximum(cut, -np.log(2))))
    far = np.log1p(-np.exp(np.minimum(cut, -np.log(2))))
    odds: FloatArray = cut - np.where(cut > -np.log(2), near, far)
    return odds


def ablated_log_odds(chain: TokenizedChain, scorer: Scorer, masks: Masks, operator: str) -> FloatArray:
    """Return the answer's log-odds when the units that do not stay are taken away, [ablation].

    Parameters
    ----------
    chain, scorer
        Chain and model.
    masks
        Which units stay, [ablation, unit].
    operator
        ``knockout`` (positions stay, later tokens cannot attend to the units) or ``delete``.
    """
    taken = [
        sorted(position for unit, stays in zip(chain.units, row, strict=True) if not stays for position in unit)
        for row in masks
    ]
    loglik = np.asarray(make_operator(operator).score(scorer, chain, taken, Answer()).objective, dtype=np.float64)
    if not np.isfinite(loglik).all():
        raise ScorerError(f"{chain.chain.where}: an ablation leaves the answer a log-likelihood that is not finite")
    return log_odds(loglik)
