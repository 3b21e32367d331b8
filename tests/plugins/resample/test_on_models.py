"""Both estimators with the embedded model: the same on both backends, and through a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokimp_resample import Pivotal, Resample

import tokimp as ti
from tokimp.contracts.scorer import Scorer
from tokimp.testing import check_estimator

SETTINGS = "rollouts=6,least=3,temperature=1.5,top_p=1,seed=1"


@pytest.fixture(scope="module")
def scorers() -> list[Scorer]:
    """Return the embedded model on both backends."""
    return [ti.load_scorer("tiny", backend=backend) for backend in ("transformer_lens", "nnsight")]


def test_both_backends_write_the_same(scorers: list[Scorer], tmp_path: Path) -> None:
    """Importances of a demo chain by sentence are equal, and the right answer becomes likelier along the chain."""
    names = [
        f"resample:measure=accuracy,report=raw,{SETTINGS},last_unit=answer",
        f"resample:kind=counterfactual,{SETTINGS}",
        "pivotal:p_gap=0,rollouts=6,temperature=1.5,top_p=1,seed=1",
    ]
    results = [
        ti.compare(ti.demo_chains(limit=1), scorer, names, objective="answer", unit="sentence") for scorer in scorers
    ]
    np.testing.assert_array_equal(results[0]["importance"], results[1]["importance"])
    of = results[0]["importance"].sel(
        estimator=[label for label in results[0]["estimator"].values if "counter" not in label]
    )
    np.testing.assert_allclose(*of.values)
    assert of.values[0].sum() > 0


def test_it_keeps_the_contract_on_a_model(scorers: list[Scorer]) -> None:
    """The check of estimators passes with a real scorer."""
    chain = ti.tokenize_chain(ti.demo_chains(limit=1)[0], scorers[0].tokenizer, unit="sentence")
    for estimator in (Resample(rollouts=2, least=1, max_new_tokens=8), Pivotal(rollouts=2, max_new_tokens=8)):
        check_estimator(estimator, scorers[0], [chain], [ti.Answer()])
