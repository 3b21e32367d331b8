"""The file of a benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokimp.bench.fidelity import Fidelity
from tokimp.bench.matmul import MatmulRate
from tokimp.bench.measurement import ChainCost, ModeCost
from tokimp.bench.record import Bench, surroundings
from tokimp.bench.reuse_modes import ReuseMode
from tokimp.contracts.objective import Joint
from tokimp.models.causal_lm import CausalLMScorer


def test_json_holds_every_number(tmp_path: Path, scorer: CausalLMScorer) -> None:
    """The file is read back by the standard library; what is not a number is null, and the share of peak is there."""
    never = Fidelity(True, float("nan"), 0.0, 1.0, 1.0, 0.5)
    modes = (
        ModeCost(ReuseMode.FAST, seconds=2.0, positions=7, operations=50, memory=1, fidelity=never),
        ModeCost(ReuseMode.BETWEEN_STEPS),
    )
    chain = ChainCost("c", 1, 2, 3, 2, 10.0, modes)
    rates = (MatmulRate("square", 1, 1, 1, 100.0),)
    Bench(surroundings(scorer, Joint()), {}, rates, (chain,)).save(tmp_path / "new" / "bench.json")
    saved: dict[str, Any] = json.loads((tmp_path / "new" / "bench.json").read_text("utf-8"))
    first, second = saved["chains"][0]["ways"]
    assert first["share_of_peak"] == 0.25
    assert first["fidelity"]["spearman"] is None
    assert second["share_of_peak"] is second["seconds"] is None
    assert saved["surroundings"]["model_id"] == scorer.model_id
    assert saved["surroundings"]["threads"] >= 1
    assert [first["way"], second["way"]] == ["fast", "between-steps"]
