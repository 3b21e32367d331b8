"""The sentence at the end of a table."""

from __future__ import annotations

import math

from tokimp.report.conclusions import Estimate, conclusion


def test_a_corrected_p_value_decides_before_the_interval() -> None:
    """An interval that leaves chance out is not enough if the corrected p-value is above the level."""
    number = Estimate("a", 0.3, 0.1, 0.5, p_value=0.2)
    assert not number.is_told()
    assert conclusion([number], "agreement", correction="Holm over 6") == (
        "Not told from chance: agreement of a. (Holm over 6, level 0.05.)"
    )


def test_an_interval_that_holds_chance_tells_nothing() -> None:
    """A small p-value is not enough if the interval holds chance."""
    assert not Estimate("a", 0.3, -0.1, 0.5, p_value=0.001).is_told()
    assert Estimate("a", 0.3, 0.1, 0.5, p_value=0.001).is_told()


def test_few_chains_tell_nothing() -> None:
    """What rests on fewer than five chains is not told from chance, whatever its interval."""
    assert Estimate("a", 0.5, 0.4, 0.6).is_told()
    assert not Estimate("a", 0.5, 0.4, 0.6, n_chains=4).is_told()


def test_chance_need_not_be_0() -> None:
    """An AUROC is measured against one half, and the strongest is named first."""
    numbers = [Estimate("weak", 0.6, 0.55, 0.65, 0.5), Estimate("strong", 0.1, 0.0, 0.2, 0.5)]
    said = conclusion(numbers, "AUROC")
    assert said == (
        "Told from chance: AUROC of strong (0.10) and weak (0.60). Exploratory: 2 intervals, not corrected."
    )


def test_what_is_not_known_is_not_listed() -> None:
    """Numbers that are missing are neither told from chance nor not; without any, the sentence says so."""
    missing = Estimate("none", math.nan, math.nan, math.nan)
    assert conclusion([missing], "gain") == "Nothing is known of gain."
    assert "none" not in conclusion([missing, Estimate("a", 1.0, 0.5, 1.5)], "gain")


def test_many_names_are_counted() -> None:
    """Of more than six, the first six are named."""
    said = conclusion([Estimate(f"e{i}", 0.0, -1.0, 1.0) for i in range(9)], "gain")
    assert "gain of e0, e1, e2, e3, e4, e5 and 3 more." in said


def test_what_equals_chance_is_not_among_the_tested() -> None:
    """A number that is chance's own on every chain has no test, so that it is named apart from those that have one."""
    same = Estimate("same", 0.5, math.nan, math.nan, 0.5)
    weak = Estimate("weak", 0.55, 0.4, 0.7, 0.5, p_value=0.3)
    assert conclusion([same, weak], "AUROC", correction="one test") == (
        "Not told from chance: AUROC of weak. On every chain the same as chance: same. (one test, level 0.05.)"
    )
    assert conclusion([same], "AUROC") == "On every chain the same as chance: AUROC of same."


def test_what_has_no_interval_is_named_apart() -> None:
    """An AUROC of 1 on every chain is not said to be like chance, and not told from it either."""
    estimates = [Estimate("sure", 1.0, math.nan, math.nan, 0.5), Estimate("weak", 0.55, 0.4, 0.7, 0.5)]
    said = conclusion(estimates, "AUROC", correction="one test")
    assert "Not told from chance: AUROC of weak." in said
    assert "Without an interval, and so not told: sure (1.00)." in said
    assert conclusion(estimates[:1], "AUROC").startswith("Without an interval, and so not told: AUROC of sure (1.00).")
