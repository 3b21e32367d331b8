"""The conditions of an audit."""

from __future__ import annotations

from tokimp_shapley import Shapley

import tokimp as ti
from tokimp.audit.conditions import SANITY, STABILITY, conditions, reseeded
from tokimp.audit.settings import AuditSettings
from tokimp.chains.chain import Chain


def no_units(chain: Chain) -> list[tuple[int, int]]:
    """Return no units, so that every respelling leaves them where they are."""
    return []


def test_an_audit_changes_weights_answer_seed_precision_words_and_spelling() -> None:
    """Each condition changes one thing, on the first chains, and each run has a folder of its own."""
    settings = AuditSettings(cuts=3, changed_chains=4, seeds=2, seed=7)
    estimators = [ti.load_estimator("uniform"), ti.load_estimator("position")]
    planned = conditions(settings, ti.demo_chains(), estimators, n_blocks=4, dtype="float32", units=no_units)
    by_part = {part: [c.name for c in planned if c.part == part] for part in (SANITY, STABILITY)}
    assert by_part[SANITY] == ["weights: head:seed=7", "weights: head+2:seed=7", "weights: all:seed=7", "other answer"]
    assert by_part[STABILITY] == ["seed 8", "seed 9", "bfloat16", "paraphrase", "spelling"]
    assert len({condition.folder for condition in planned}) == len(planned)
    assert all(len(condition.chains) <= 4 for condition in planned)
    assert [c.scorer.get("random_weights") for c in planned[:3]] == ["head:seed=7", "head+2:seed=7", "all:seed=7"]
    seeds = {c.name: (c.seed, c.estimators[0].parameters()["seed"]) for c in planned}
    assert seeds["seed 9"] == (9, 2)
    assert seeds["bfloat16"] == (7, 0)


def test_a_model_in_bfloat16_is_compared_with_float32_and_one_without_blocks_keeps_its_weights() -> None:
    """The other precision is the one that the model does not have."""
    planned = conditions(
        AuditSettings(seeds=0), ti.demo_chains(limit=2), [], n_blocks=0, dtype="bfloat16", units=no_units
    )
    assert [c.name for c in planned] == ["other answer", "float32", "paraphrase", "spelling"]


def test_an_estimator_with_a_seed_gets_another_one() -> None:
    """Its other parameters stay, and an estimator without a seed stays what it is."""
    other = reseeded(Shapley(seed=3, operator="mask"), 2)
    assert (other.parameters()["seed"], other.parameters()["operator"]) == (5, "mask")
    position = ti.load_estimator("position")
    assert reseeded(position, 2) is position
