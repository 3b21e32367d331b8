"""What one benchmark measured and where it was measured, written as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tokimp.bench.matmul import MatmulRate
from tokimp.bench.measurement import ChainCost, ModeCost
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
    chains
        One entry for each chain, or for each length to which a chain was cut.
    """

    surroundings: dict[str, Any]
    settings: dict[str, Any]
    matmul: tuple[MatmulRate, ...]
    chains: tuple[ChainCost, ...]

    def share_of_peak(self, cost: ModeCost) -> float | None:
        """Return a mode's operations a second as a share of the fastest matrix product measured."""
        if not cost.seconds or cost.operations is None:
            return None
        return cost.operations / cost.seconds / max(rate.operations_per_second for rate in self.matmul)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dictionaries, texts and numbers; what is not a number is ``None``."""
        chains = [{_KEYS.get(name, name): value for name, value in asdict(chain).items()} for chain in self.chains]
        for chain, entry in zip(self.chains, chains, strict=True):
            entry["ways"] = [self._cost_entry(cost) for cost in chain.modes]
        plain: dict[str, Any] = _without_nan({**asdict(self), "chains": chains})
        return plain

    def _cost_entry(self, cost: ModeCost) -> dict[str, Any]:
        entry = {_KEYS.get(name, name): value for name, value in asdict(cost).items()}
        return {**entry, "share_of_peak": self.share_of_peak(cost)}

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


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
