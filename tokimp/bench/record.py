"""What one benchmark measured and where it was measured, written as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tokimp.bench.group import GroupCost
from tokimp.bench.matmul import MatmulRate
from tokimp.bench.measurement import ChainCost, ModeCost
from tokimp.bench.roofline import RooflineShares
from tokimp.contracts.objective import Objective
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.results.provenance import model_identity, objective_identity, versions
from tokimp.storage.atomic import replacing

# Files of earlier versions have these keys, and so have the programs that read them.
_KEYS = {"mode": "way", "modes": "ways"}


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark.

    Attributes
    ----------
    surroundings
        Model, objective, versions, device and threads, as `surroundings` returns them.
    settings
        What was asked for: keep ratio, budget, unit, estimator of the fast mode.
    matmul
        Rates at which the device multiplied matrices in the same run.
    memory_rate
        Bytes a second that the device read and wrote when it copied a large tensor.
    weights
        Bytes of the model's weights that a call reads at least.
    chains
        One entry for each chain, or for each length to which a chain was cut.
    groups
        One entry for each group of chains that were pruned at once.
    """

    surroundings: dict[str, Any]
    settings: dict[str, Any]
    matmul: tuple[MatmulRate, ...]
    memory_rate: float
    weights: int
    chains: tuple[ChainCost, ...] = ()
    groups: tuple[GroupCost, ...] = ()

    def adding(self, measured: ChainCost | GroupCost) -> Bench:
        """Return the benchmark with one more chain or group."""
        if isinstance(measured, GroupCost):
            return replace(self, groups=(*self.groups, measured))
        return replace(self, chains=(*self.chains, measured))

    def share_of_peak(self, cost: ModeCost) -> float | None:
        """Return a mode's operations a second as a share of the fastest matrix product measured."""
        if not cost.seconds or cost.operations is None:
            return None
        return cost.operations / cost.seconds / max(rate.operations_per_second for rate in self.matmul)

    def roofline(self, cost: ModeCost) -> RooflineShares | None:
        """Return what a mode would take at least by each limit alone; ``None`` where it was not run."""
        arithmetic = self.share_of_peak(cost)
        if arithmetic is None or not cost.seconds or cost.bytes_moved is None or cost.split is None:
            return None
        # A call that reads one position takes its fixed cost, and reads all weights, which count as memory.
        launch = max(0.0, (cost.call_seconds or 0.0) - self.weights / self.memory_rate)
        return RooflineShares(
            arithmetic=arithmetic,
            memory=cost.bytes_moved / self.memory_rate / cost.seconds,
            overhead=min(1.0, ((cost.calls or 0) * launch + cost.split.python) / cost.seconds),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dictionaries, texts and numbers; what is not a number is ``None``."""
        chains, groups = (
            [self._with_ways(part, asdict(part)) for part in parts] for parts in (self.chains, self.groups)
        )
        plain: dict[str, Any] = _without_nan({**asdict(self), "chains": chains, "groups": groups})
        return plain

    def _with_ways(self, measured: ChainCost | GroupCost, entry: dict[str, Any]) -> dict[str, Any]:
        return {**_renamed(entry), "ways": [self._cost_entry(cost) for cost in measured.modes]}

    def _cost_entry(self, cost: ModeCost) -> dict[str, Any]:
        shares = self.roofline(cost)
        return {
            **_renamed(asdict(cost)),
            "positions_a_call": cost.positions_a_call,
            "share_of_peak": self.share_of_peak(cost),
            "roofline": None if shares is None else {**asdict(shares), "share": shares.roofline, "bound": shares.bound},
        }

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def surroundings(scorer: CausalLMScorer, objective: Objective) -> dict[str, Any]:
    """Return what the figures depend on besides the code: model, objective, versions, processor and threads."""
    on_gpu = torch.device(scorer.device).type == "cuda"
    processor = platform.processor() or platform.machine()
    return {
        **model_identity(scorer, scorer.fingerprint()),
        "objective": objective_identity(objective),
        "parameters": scorer.size.parameters + scorer.size.projection,
        "versions": versions(scorer),
        "processor": torch.cuda.get_device_name(scorer.device) if on_gpu else processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    return {_KEYS.get(name, name): value for name, value in entry.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
