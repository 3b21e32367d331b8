"""Provenance: what changes a result changes its identity, and what does not leaves it alone."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.contracts.objective import Joint
from tokimp.contracts.registry import load_estimator
from tokimp.results.provenance import (
    chain_identity,
    estimator_identities,
    model_identity,
    objective_identity,
    plain_parameters,
    versions,
)
from tokimp.storage.digests import json_digest
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

CHAIN = toy_chain("abc", id="one")


def test_where_a_chain_was_read_is_no_part_of_it() -> None:
    """The same chain from another file has the same identity."""
    moved = replace(CHAIN, chain=replace(CHAIN.chain, source="elsewhere.jsonl:9"))
    assert chain_identity(moved) == chain_identity(CHAIN)


@pytest.mark.parametrize("field", ["question", "gold", "system", "filler"])
def test_every_text_of_a_chain_counts(field: str) -> None:
    """Another text has another digest, with the same ids."""
    value: Any = ((0, 1),) if field == "filler" else "other"
    changed = replace(CHAIN, chain=replace(CHAIN.chain, **{field: value}))
    assert chain_identity(changed)["text"] != chain_identity(CHAIN)["text"]
    assert chain_identity(changed)["tokens"] == chain_identity(CHAIN)["tokens"]


def test_kinds_of_filler_count_where_a_chain_has_them() -> None:
    """Chains whose filler has no kinds keep the digest that they had before there were any."""
    plain = replace(CHAIN, chain=replace(CHAIN.chain, filler=((0, 1),)))
    named = replace(CHAIN, chain=replace(CHAIN.chain, filler=((0, 1),), filler_kinds=("step",)))
    text = {**asdict(plain.chain), "filler_kinds": ["x"]}
    del text["source"], text["filler_kinds"]
    assert chain_identity(plain)["text"] == json_digest(text)
    assert chain_identity(named)["text"] != chain_identity(plain)["text"]


@pytest.mark.parametrize("change", [{"prompt_ids": (9,)}, {"units": ((0, 1), (2,))}, {"wrong_answer_ids": (1,)}])
def test_ids_and_units_of_a_chain_count(change: dict[str, tuple[int, ...]]) -> None:
    """Other ids or units have another digest, with the same text."""
    changed = chain_identity(replace(CHAIN, **change))  # type: ignore[arg-type] # fields of several types
    assert changed["tokens"] != chain_identity(CHAIN)["tokens"]
    assert changed["text"] == chain_identity(CHAIN)["text"]


def test_plugins_are_known_by_name_and_distribution() -> None:
    """No identity names a module or a class, so that moving a file makes no run another one."""
    (estimator,) = estimator_identities([load_estimator("greedy:keep_ratio=0.5")])
    assert estimator["label"] == "greedy:keep_ratio=0.5"
    assert (estimator["name"], estimator["distribution"]) == ("greedy", "tokimp")
    assert estimator["parameters"]["keep_ratio"] == 0.5
    assert "inputs" not in estimator
    assert objective_identity(Joint()) == {"name": "joint", "distribution": "tokimp", "parameters": {}}
    assert "tokimp_greedy" not in json.dumps(estimator)


def test_parameters_are_kept_as_json_holds_them() -> None:
    """Arrays become lists and numpy's numbers numbers; what JSON cannot hold is described."""
    long = torch.arange(5000)
    assert plain_parameters({"tensor": long}) == {"tensor": long.tolist()}
    plain = plain_parameters({"array": np.array([1, 2]), "number": np.float64(0.5), "pair": (1, 2), "kind": int})
    assert plain == {"array": [1, 2], "number": 0.5, "pair": [1, 2], "kind": "<class 'int'>"}


def test_a_model_is_told_by_how_it_runs_and_by_its_fingerprint() -> None:
    """Name, backend, precision, device and fingerprint are recorded; a backend that is no package has no version."""
    scorer = AdditiveScorer({})
    identity = model_identity(scorer, "f")
    assert identity == {
        "model_id": scorer.model_id,
        "backend": scorer.backend,
        "dtype": scorer.dtype,
        "device": scorer.device,
        "fingerprint": "f",
    }
    installed = versions(scorer)
    assert installed["backend"] == ""
    assert installed["torch"]
