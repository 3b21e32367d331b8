"""Pivotal units are those at which the chance of success jumps."""

from __future__ import annotations

import numpy as np
import pytest
from tokimp_resample import Pivotal
from tokimp_resample.pivotal import pivotal_changes

from tests.plugins.resample.toy_writer import ToyWriter, chain_of
from tokimp.contracts.objective import Answer, Joint
from tokimp.errors import EstimatorError
from tokimp.testing import check_estimator

CHAIN = chain_of("One. Two. Three.", id="jump")
CHANCE = {"": 0.5, "One.": 0.55, "One. Two.": 0.9, "One. Two. Three.": 0.85}


def written(beginning: str) -> dict[str, float]:
    """Return a right and a wrong text."""
    return {" So.\n#### 1": CHANCE[beginning], " So.\n#### 2": 1 - CHANCE[beginning]}


def test_only_the_jump_counts() -> None:
    """Of the chances .5, .55, .9, .85 with a gap of .2 only the second unit scores, +.35."""
    changes, errors = pivotal_changes(np.array([50, 55, 90, 85]), 100, 0.2)
    assert changes.tolist() == [0.0, 0.35, 0.0]
    shares = np.array([0.525, 0.725, 0.875])
    np.testing.assert_allclose(errors, np.sqrt(2 * shares * (1 - shares) / 100))


def test_a_change_of_exactly_the_gap_counts() -> None:
    """Twelve of twenty less eight of twenty is .2, up or down."""
    assert pivotal_changes(np.array([8, 12, 8]), 20, 0.2)[0].tolist() == [0.2, -0.2]


def test_chances_are_those_of_the_known_distribution() -> None:
    """With many continuations each change is that of the known chances, and the noise is said."""
    all_changes = Pivotal(p_gap=0, rollouts=20_000).estimate(CHAIN, ToyWriter(written), Answer())
    np.testing.assert_allclose(all_changes.scores, [0.05, 0.35, -0.05], atol=0.02)
    found = Pivotal(rollouts=20_000).estimate(CHAIN, ToyWriter(written), Answer())
    assert found.scores.tolist() == [0, all_changes.scores[1], 0]
    diagnostics = dict(found.diagnostics)
    assert diagnostics["p_before"] == pytest.approx(0.5, abs=0.02)
    assert diagnostics["p_after"] == pytest.approx(0.85, abs=0.02)
    assert diagnostics["noise"] == pytest.approx(
        np.mean(np.sqrt(2 * np.array([0.249, 0.199, 0.109]) / 20_000)), rel=0.05
    )
    assert (diagnostics["pivotal_units"], diagnostics["within_noise"], diagnostics["unanswered"]) == (1, 0, 0)


def test_jumps_that_noise_makes_are_counted() -> None:
    """With ten continuations of a chance that never moves, gaps of .2 are found, and said to be within noise."""
    chain = chain_of(" ".join(f"Go {number}." for number in range(30)), id="still")
    same = {" So.\n#### 1": 0.5, " So.\n#### 2": 0.5}
    found = Pivotal(rollouts=10).estimate(chain, ToyWriter(lambda _: same), Answer())
    assert found.diagnostics["pivotal_units"] > 3
    assert found.diagnostics["within_noise"] >= found.diagnostics["pivotal_units"] - 3


def test_the_right_answer_or_the_chains_own_is_success() -> None:
    """A chain that ends wrongly has the opposite changes by its own answer."""
    chain = chain_of("One. Two. Three.", gold="2", id="wrong")
    right, own = (
        Pivotal(p_gap=0, rollouts=50, success=success).estimate(chain, ToyWriter(written), Answer()).scores
        for success in ("gold", "answer")
    )
    np.testing.assert_allclose(right, -own)
    with pytest.raises(EstimatorError, match=r"chain 'open': .*\(success=answer\)"):
        Pivotal().estimate(chain_of("One. Two. Three.", gold=None, id="open"), ToyWriter(written), Answer())


@pytest.mark.parametrize("estimator", [Pivotal(), Pivotal(p_gap=0, rollouts=5)], ids=lambda estimator: estimator.label)
def test_it_keeps_the_contract(estimator: Pivotal) -> None:
    """The check of estimators passes, for every unit."""
    answers = {" So.\n#### 1": 0.5, " No.\n#### 2": 0.3, " Hm": 0.2}
    chains = [chain_of("Take 5. Then 7.", unit=unit, id=unit) for unit in ("token", "word", "sentence", "step")]
    check_estimator(estimator, ToyWriter(lambda _: answers), chains, [Joint()])


def test_positions_are_expected_beforehand() -> None:
    """About as many as borders times continuations times the length of the chain."""
    assert Pivotal(rollouts=7).expected_positions(CHAIN, Answer()) == 4 * 7 * (len(CHAIN) - 1)
