"""Both estimators with the embedded model: the same on both backends, and through a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokimp_resample import Pivotal, Resample

import tokimp as ti
from tokimp.chains.datasets import load_chains
from tokimp.contracts.scorer import Scorer
from tokimp.testing import check_estimator


@pytest.fixture(scope="module")
def scorers() -> list[Scorer]:
    """Return the embedded model on both backends."""
    return [ti.load_scorer("tiny", backend=backend) for backend in ("transformer_lens", "nnsight")]


def test_both_backends_write_the_same(scorers: list[Scorer], tmp_path: Path) -> None:
    """Texts and importances of a demo chain by sentence are equal, each backend writing into a folder of its own."""
    importances, texts = [], []
    for scorer in scorers:
        folder = tmp_path / scorer.backend
        chain = ti.tokenize_chain(ti.demo_chains(limit=1)[0], scorer.tokenizer, unit="sentence")
        forwarded = scorer.tokens_forwarded
        estimator = Pivotal(p_gap=0, rollouts=6, temperature=1.5, top_p=0.98, folder=str(folder), seed=1)
        importances.append(estimator.estimate(chain, scorer, ti.Answer()).scores)
        assert scorer.tokens_forwarded > forwarded + 5 * 6 * len(chain.prompt_ids)
        (path,) = folder.glob("*.jsonl")
        texts.append([(each.id, each.reasoning, each.answer) for each in load_chains(path)])
    assert texts[0] == texts[1]
    assert len({answer for _, _, answer in texts[0]}) > 1
    np.testing.assert_array_equal(importances[0], importances[1])


def test_a_run_shares_the_texts(scorers: list[Scorer], tmp_path: Path) -> None:
    """By name, in a run: accuracies that also score the last unit are the changes of `pivotal`, which pays nothing."""
    sampled = f"rollouts=6,temperature=1.5,seed=1,folder={tmp_path / 'texts'}"
    names = [f"resample:measure=accuracy,report=raw,last_unit=answer,least=3,{sampled}", f"pivotal:p_gap=0,{sampled}"]
    result = ti.compare(
        ti.demo_chains(limit=1), scorers[0], names, objective="answer", unit="sentence", out=tmp_path / "run"
    )
    accuracy, pivotal = np.asarray(result["importance"])
    np.testing.assert_allclose(accuracy, pivotal, atol=1e-15)
    assert np.ravel(result["tokens_forwarded"]).tolist()[1] == 0


def test_it_keeps_the_contract_on_a_model(scorers: list[Scorer]) -> None:
    """The check of estimators passes with a real scorer."""
    chain = ti.tokenize_chain(ti.demo_chains(limit=1)[0], scorers[0].tokenizer, unit="sentence")
    for estimator in (Resample(rollouts=2, least=1, max_new_tokens=8), Pivotal(rollouts=2, max_new_tokens=8)):
        check_estimator(estimator, scorers[0], [chain], [ti.Answer()])
