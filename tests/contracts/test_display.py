"""How scorers, plugins and importances show themselves."""

from __future__ import annotations

import numpy as np
import pytest

import tokimp as ti
from tests.chains.test_display import HOSTILE, parsed
from tokimp.contracts.estimator import Importance
from tokimp.testing import AdditiveScorer


def test_a_scorer_says_which_model_it_is() -> None:
    """One line names model, backend, device and precision; the page also says what can be asked, and what it cost."""
    scorer = AdditiveScorer()
    assert repr(scorer) == (
        f"AdditiveScorer({scorer.model_id!r}, backend={scorer.backend!r}, device={scorer.device!r}, "
        f"dtype={scorer.dtype!r})"
    )
    text, _ = parsed(scorer._repr_html_())
    assert "logprobs" in text
    assert f"{scorer.tokens_forwarded:,} token positions" in text


def test_a_scorer_that_lacks_something_is_shown_all_the_same() -> None:
    """A class of a stranger that forgot its attributes does not fail in being printed."""

    class Bare(AdditiveScorer):
        def __init__(self) -> None:
            pass

    assert repr(Bare()).startswith("Bare(")
    assert "<b>" in Bare()._repr_html_()


def test_an_estimator_shows_its_parameters_and_what_they_mean() -> None:
    """The page has each parameter's value, its default, what is allowed and what it means."""
    estimator = ti.load_estimator("greedy:keep_ratio=0.5")
    text, tags = parsed(estimator._repr_html_())
    assert {"table", "th", "td"} <= tags
    for part in ("greedy", "keep_ratio", "0.5", "default", "Requires: "):
        assert part in text


def test_a_parameter_is_data() -> None:
    """A value that holds HTML is shown as it is."""

    class Named(ti.ImportanceEstimator):
        """Does nothing."""

        name = HOSTILE

        def __init__(self, text: str = "") -> None:
            self.text = text

        def estimate(
            self, chain: ti.TokenizedChain, scorer: ti.Scorer, objective: ti.Objective
        ) -> ti.Importance:  # pragma: no cover - it is only shown
            raise NotImplementedError

    text, tags = parsed(Named(HOSTILE)._repr_html_())
    assert "script" not in tags
    assert text.count("<script>") >= 2


def test_an_importance_is_one_line() -> None:
    """Number of units, range, deletions and diagnostics stand on it."""
    assert repr(Importance(np.array([0.5, -1.25, 3.0]))) == "Importance(3 units, scores -1.25 to 3)"
    full = Importance(np.array([0.0, 1.0]), order=np.array([0, -1]), diagnostics={"gap": 0.125})
    assert repr(full) == "Importance(2 units, scores 0 to 1, 1 deleted in order, gap=0.125)"


def test_the_most_important_units_are_listed() -> None:
    """The page lists at most ten units, best first and ties in their order, with the step of their deletion."""
    scores = np.array([0.0, *range(12), 11.0])
    order = np.array([0, *[-1] * 13])
    page = Importance(scores, order=order, diagnostics={"gap": 0.125})._repr_html_()
    text, _ = parsed(page)
    assert page.count("<tr>") == 1 + 10 + 1
    assert text.index("12") < text.index("13")
    assert "kept" in text
    assert "gap" in text


@pytest.mark.parametrize(
    "importance",
    [
        Importance(np.array(["<b>", "x"])),
        Importance("scores"),  # type: ignore[arg-type] # what the contract forbids
        Importance(np.zeros(2), diagnostics={"gap": np.zeros(3)}),  # type: ignore[dict-item] # likewise
        Importance(np.zeros(2), diagnostics=["gap"]),  # type: ignore[arg-type] # likewise
        Importance(np.zeros(2), order=np.zeros(1)),  # type: ignore[arg-type] # likewise
    ],
)
def test_an_importance_that_breaks_the_contract_can_be_shown(importance: Importance) -> None:
    """The error that refuses it shows it, so showing it does not fail; text in it is text."""
    assert repr(importance).startswith("Importance(")
    assert "<b>" not in importance._repr_html_()
