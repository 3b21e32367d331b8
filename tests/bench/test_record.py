"""The file of a benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokimp.bench.fidelity import Fidelity
from tokimp.bench.group import GroupCost
from tokimp.bench.matmul import MatmulRate
from tokimp.bench.measurement import ChainCost, ModeCost
from tokimp.bench.record import Bench, surroundings
from tokimp.bench.reuse_modes import ReuseMode
from tokimp.bench.time_split import TimeSplit
from tokimp.contracts.objective import Joint
from tokimp.models.causal_lm import CausalLMScorer


def test_json_holds_every_number(tmp_path: Path, scorer: CausalLMScorer) -> None:
    """The file is read back by the standard library; what is not a number is null, and the share of peak is there."""
    never = Fidelity(True, float("nan"), 0.0, 1.0, 1.0, 0.5)
    modes = (
        ModeCost(
            ReuseMode.FAST,
            seconds=2.0,
            positions=7,
            calls=2,
            operations=50,
            bytes_moved=30,
            call_seconds=0.5,
            split=TimeSplit(trunk=1.0, attention=0.5, python=0.5),
            memory=1,
            fidelity=never,
        ),
        ModeCost(ReuseMode.BETWEEN_STEPS),
    )
    chain = ChainCost("c", 1, 2, 3, 2, 10.0, modes)
    rates = (MatmulRate("square", 1, 1, 1, 100.0),)
    group = GroupCost(("c", "d"), (2, 2), modes[:1])
    made = Bench(surroundings(scorer, Joint()), {}, rates, memory_rate=30.0, weights=6).adding(chain).adding(group)
    made.save(tmp_path / "new" / "bench.json")
    saved: dict[str, Any] = json.loads((tmp_path / "new" / "bench.json").read_text("utf-8"))
    first, second = saved["chains"][0]["ways"]
    assert first["share_of_peak"] == 0.25
    assert first["positions_a_call"] == 3.5
    # A call takes 0.5 s, of which reading 6 bytes takes 0.2: two calls cost 0.6 s, and Python 0.5, of 2.
    assert first["roofline"] == pytest.approx(
        {"arithmetic": 0.25, "memory": 0.5, "overhead": 0.55, "share": 0.5, "bound": "starting calls and Python"}
    )
    assert first["split"] == {"trunk": 1.0, "attention": 0.5, "copies": 0.0, "projection": 0.0, "python": 0.5}
    assert second["roofline"] is second["split"] is None
    assert saved["groups"] == [{"chain_ids": ["c", "d"], "reasoning_tokens": [2, 2], "ways": [first]}]
    assert saved["memory_rate"] == 30.0
    assert first["fidelity"]["spearman"] is None
    assert second["share_of_peak"] is second["seconds"] is None
    assert saved["surroundings"]["model_id"] == scorer.model_id
    assert saved["surroundings"]["threads"] >= 1
    assert [first["way"], second["way"]] == ["fast", "between-steps"]
