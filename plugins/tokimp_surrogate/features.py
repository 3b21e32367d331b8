"""Attention features: what the attention of a model says about each unit of a chain, in numbers for a regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.chains.units import token_units
from tokimp.contracts.scorer import Scorer

# Measured for every unit in every layer and head; `unit_features` says how.
KINDS = (
    "from_answer",
    "from_reasoning",
    "to_prompt",
    "to_reasoning",
    "to_itself",
    "entropy_given",
    "entropy_received",
    "distance_given",
    "distance_received",
)


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """The features of units, in the order of the columns: layer by layer, head by head, kind by kind.

    Attributes
    ----------
    layers, heads
        Number of layers, and of heads in a layer, of the model.
    per_head
        Whether each head has columns of its own. If not, a layer has the mean and the maximum over its heads.
    """

    layers: int
    heads: int
    per_head: bool = True

    @property
    def names(self) -> list[str]:
        """Return the name of each column.

        >>> FeatureSpace(1, 1).names[:2]
        ['layer 0 head 0 from_answer', 'layer 0 head 0 from_reasoning']
        """
        return [
            f"layer {layer} {part} {kind}" for layer in range(self.layers) for part in self._parts for kind in KINDS
        ]

    def groups(self) -> dict[str, list[int]]:
        """Return the columns of each group of features: one group for each kind, and one for each layer."""
        width = len(self._parts) * len(KINDS)
        total = self.layers * width
        groups = {kind: list(range(place, total, len(KINDS))) for place, kind in enumerate(KINDS)}
        for layer in range(self.layers):
            groups[f"layer {layer}"] = list(range(layer * width, (layer + 1) * width))
        return groups

    @property
    def _parts(self) -> list[str]:
        return [f"head {head}" for head in range(self.heads)] if self.per_head else ["mean", "max"]


def attention_features(
    chain: TokenizedChain, scorer: Scorer, *, per_head: bool = True
) -> tuple[FloatArray, FeatureSpace]:
    """Return the features of each unit of a chain, from one pass of the model.

    Parameters
    ----------
    chain
        The chain.
    scorer
        The model; a scorer with the capability of attention.
    per_head
        Whether each head has columns of its own (`FeatureSpace`).

    Returns
    -------
    features : FloatArray
        [unit, feature], float32; entropies in nats, distances in token positions.
    space : FeatureSpace
        The meaning of the columns.
    """
    heads = 0

    def reduce(layer: torch.Tensor) -> torch.Tensor:
        nonlocal heads
        heads = len(layer)
        by_head = unit_features(layer, chain)
        return by_head if per_head else torch.stack([by_head.mean(dim=0), by_head.amax(dim=0)])

    by_layer = scorer.attention(chain, reduce=reduce)
    features = np.ascontiguousarray(by_layer.reshape(-1, len(chain.units)).T, dtype=np.float32)
    return features, FeatureSpace(len(by_layer), heads, per_head)


def unit_features(weights: torch.Tensor, chain: TokenizedChain) -> torch.Tensor:
    """Return the features of each kind of each unit in each head of a layer, [head, kind, unit], float32.

    A unit *receives* the sum of the weights on its tokens, and *gives* the mean of its tokens' rows. The `KINDS` are:

    - ``from_answer``: weight received, mean over the positions from which answer tokens are predicted;
    - ``from_reasoning``: weight received, mean over the reasoning tokens of later units; 0 for the last unit;
    - ``to_prompt``, ``to_reasoning``, ``to_itself``: weight given to the prompt, to earlier units, and to the unit's
      own tokens; they add up to 1;
    - ``entropy_given``: entropy of a token's row, mean over the unit's tokens, nats;
    - ``entropy_received``: entropy of the weights that all later positions, the answer's included, give the unit,
      divided by their sum; nats;
    - ``distance_given``: mean number of positions back to the tokens attended to, weighted by the attention;
    - ``distance_received``: mean number of positions from the unit's last token to the later positions that attend to
      it, weighted by the attention. The entropy and the distance received are 0 for a unit that receives nothing.

    Parameters
    ----------
    weights
        Attention over the whole sequence, [head, query, key]; each row adds up to 1.
    chain
        The chain whose sequence it is.
    """
    weights = weights.float()
    total, start = len(chain), len(chain.prompt_ids)
    stop, n_units = start + len(chain.reasoning_ids), len(chain.units)
    place = torch.arange(total, device=weights.device)
    units = np.full(total, n_units, dtype=np.int64)  # the answer comes after every unit
    units[:start], units[start:stop] = -1, token_units(chain)
    unit_of = torch.from_numpy(units).to(weights.device)
    member = torch.nn.functional.one_hot(unit_of[start:stop], n_units).float()  # [reasoning token, unit]
    size = member.sum(dim=0)
    rows = weights[:, start:stop]  # what reasoning tokens give, [head, reasoning token, key]
    received = weights[:, :, start:stop] @ member  # [head, query, unit]

    def per_unit(of_tokens: torch.Tensor) -> torch.Tensor:
        return (of_tokens @ member) / size

    later = unit_of[:, None] > torch.arange(n_units, device=weights.device)
    in_reasoning = later[start:stop]
    to_units = torch.einsum("htu,tv->hvu", received[:, start:stop], member / size)  # [head, from unit, to unit]
    itself = to_units.diagonal(dim1=1, dim2=2)
    back = (place[start:stop, None] - place).float()
    from_later = received * later
    mass = from_later.sum(dim=1)
    share = from_later / mass.clamp(min=1e-30)[:, None]
    last = torch.tensor([start + unit[-1] for unit in chain.units], device=weights.device)
    in_order_of_kinds = [
        received[:, stop - 1 : total - 1].mean(dim=1),
        (received[:, start:stop] * in_reasoning).sum(dim=1) / in_reasoning.sum(dim=0).clamp(min=1),
        per_unit(rows[:, :, :start].sum(dim=2)),
        to_units.sum(dim=2) - itself,
        itself,
        per_unit(_entropy(rows).sum(dim=2)),
        _entropy(share).sum(dim=1),
        per_unit((rows * back).sum(dim=2)),
        (share * (place[:, None] - last)).sum(dim=1),
    ]
    return torch.stack(in_order_of_kinds, dim=1)


def _entropy(shares: torch.Tensor) -> torch.Tensor:
    """Return the summand of each share in the entropy of its distribution, nats; 0 for a share of 0."""
    entropy: torch.Tensor = -torch.special.xlogy(shares, shares)
    return entropy
