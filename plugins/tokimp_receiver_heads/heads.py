"""Which heads of a model are receiver heads, and the file that keeps their list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kurtosis

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import Scorer
from tokimp.errors import EstimatorError
from tokimp.storage.atomic import write_object
from tokimp.storage.json_file import read_object

FORMAT = "tokimp receiver heads 1"
# The kurtosis of scores that are all alike is 0/0. No distribution has less than -2, so such a head comes last.
_FLAT = -3.0


@dataclass(frozen=True, slots=True)
class HeadList:
    """Heads of one model, chosen over several chains.

    Attributes
    ----------
    heads
        (layer, head), the one of highest mean kurtosis first.
    kurtosis
        Mean kurtosis of each, in the same order.
    model_id, fingerprint
        The model that they belong to.
    near, skip, unit
        How they were chosen: see `receiver_scores` and `choose_heads`; and the units of the chains.
    chains
        How many chains the mean is over.
    """

    heads: tuple[tuple[int, int], ...]
    kurtosis: tuple[float, ...]
    model_id: str
    fingerprint: str
    near: int
    skip: int
    unit: str
    chains: int


def receiver_scores(chain: TokenizedChain, scorer: Scorer, near: int) -> FloatArray:
    """Return the mean attention that each unit gets from units at some distance, [layer, head, unit].

    In each layer and head, ``B[j, i]`` is the mean weight between a query in unit j and a key in unit i, and a unit's
    score is the mean of ``B[j, i]`` over ``j >= i + near``. The queries are the positions of unit j's own tokens.
    A unit with none so far behind it has the score 0.
    """
    units, start = chain.units, len(chain.prompt_ids)
    pool = torch.zeros(len(units), len(chain.reasoning_ids))
    for index, unit in enumerate(units):
        pool[index, list(unit)] = 1 / len(unit)
    far = torch.ones(len(units), len(units)).tril(-near)
    count = far.sum(dim=0).clamp(min=1)

    def reduce(layer: torch.Tensor) -> torch.Tensor:
        stop, means = start + len(chain.reasoning_ids), pool.to(layer.device)
        between = means @ layer[:, start:stop, start:stop].float() @ means.T
        return (between * far.to(layer.device)).sum(dim=1) / count.to(layer.device)

    return scorer.attention(chain, reduce=reduce)


def head_kurtosis(scores: FloatArray, near: int, skip: int) -> FloatArray:
    """Return the excess kurtosis of each head's scores over units, [layer, head]; -3 where all are alike.

    Parameters
    ----------
    scores
        [layer, head, unit]
    near
        As for `receiver_scores`; the last `near` units have no score and are left out.
    skip
        How many units at the beginning are left out as well.
    """
    scored = scores[..., skip : max(skip, scores.shape[-1] - near)].astype(np.float64)
    if scored.shape[-1] < 2:
        return np.full(scores.shape[:-1], _FLAT)
    alike = np.ptp(scored, axis=-1) == 0
    # What is alike would be divided by 0, so another array stands in for it.
    stand_in = np.arange(scored.shape[-1], dtype=np.float64)
    found = np.asarray(kurtosis(np.where(alike[..., None], stand_in, scored), axis=-1, fisher=True, bias=True))
    return np.where(alike, _FLAT, found)


def choose(kurtoses: FloatArray, top: int) -> list[tuple[int, int]]:
    """Return the (layer, head) of the `top` highest numbers of [layer, head]; ties go by layer and head."""
    order = np.argsort(-kurtoses, axis=None, kind="stable")[:top]
    return [(int(index // kurtoses.shape[1]), int(index % kurtoses.shape[1])) for index in order]


def choose_heads(
    chains: Sequence[TokenizedChain], scorer: Scorer, *, top: int = 20, near: int = 4, skip: int = 0
) -> HeadList:
    """Choose the heads whose scores have the highest kurtosis, as a mean over chains.

    Parameters
    ----------
    chains
        Chains of one unit; those of fewer than ``near + skip + 2`` units say nothing and are left out.
    scorer
        The model.
    top
        How many heads.
    near, skip
        As for `ReceiverHeads`.

    Raises
    ------
    EstimatorError
        If no chain is long enough, or their units are of several kinds.
    """
    long = [chain for chain in chains if len(chain.units) >= near + skip + 2]
    kinds = {chain.unit for chain in long}
    if len(kinds) != 1:
        raise EstimatorError(
            f"receiver heads are chosen on chains of one kind of unit with at least {near + skip + 2} units each; "
            f"of {len(chains)} chains {len(long)} are long enough, with units {sorted(kinds)}"
        )
    kurtoses = np.mean([head_kurtosis(receiver_scores(chain, scorer, near), near, skip) for chain in long], axis=0)
    heads = choose(kurtoses, top)
    return HeadList(
        heads=tuple(heads),
        kurtosis=tuple(float(kurtoses[head]) for head in heads),
        model_id=scorer.model_id,
        fingerprint=scorer.fingerprint(),
        near=near,
        skip=skip,
        unit=kinds.pop(),
        chains=len(long),
    )


def save_heads(heads: HeadList, path: Path) -> None:
    """Write a list of heads as JSON; an earlier file is replaced once the new one is complete."""
    write_object(path, {"format": FORMAT, **asdict(heads)})


def read_heads(path: Path) -> HeadList:
    """Read what `save_heads` wrote.

    Raises
    ------
    EstimatorError
        If there is no such file, or it holds no list of heads.
    """
    if not path.is_file():
        raise EstimatorError(f"{path}: there is no such file; write one with tokimp_receiver_heads.save_heads")
    try:
        return _assemble(read_object(path))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EstimatorError(
            f"{path} is no list of receiver heads ({error}); write one with tokimp_receiver_heads.save_heads"
        ) from error


def _assemble(stored: dict[str, Any]) -> HeadList:
    """Return a list from the contents of its file; raise what is wrong with them as any of Python's errors."""
    if stored.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    heads = HeadList(**{**stored, "heads": tuple((int(layer), int(head)) for layer, head in stored["heads"])})
    if not heads.heads or not all(isinstance(number, int) for number in (heads.near, heads.skip)):
        raise ValueError("it names no head, or no distance")
    return heads
