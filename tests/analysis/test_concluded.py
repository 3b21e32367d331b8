"""The last sentence of an analysis's table."""

from __future__ import annotations

import numpy as np

from tokimp.analysis.concluded import concluded


def test_means_that_differ_from_chance_are_named_with_their_values() -> None:
    """A value of one half is chance for an AUROC, and what so many chains can show stands at the end."""
    rng = np.random.default_rng(0)
    values = np.stack([0.8 + 0.05 * rng.normal(size=20), 0.5 + 0.05 * rng.normal(size=20)])
    said = concluded(["good", "none"], values, "AUROC", 0.5)
    assert said.startswith(f"Told from chance: AUROC of good ({values[0].mean():.2f}). Not told from it: none.")
    assert "(Holm over 2 tests, level 0.05.)" in said
    assert said.endswith("20 chains show a difference of 0.03 with probability 0.8.")


def test_chance_of_each_chain_is_taken_off_its_value() -> None:
    """Values that follow the chains' chances are not told from them, however much these vary."""
    rng = np.random.default_rng(1)
    chance = rng.normal(5, 2, size=30)
    said = concluded(["a"], chance[None] + 0.1 * rng.normal(size=(1, 30)), "overlap", chance)
    assert said.startswith("Not told from chance: overlap of a. (one test, level 0.05.)")


def test_few_chains_and_missing_values_say_little() -> None:
    """Of four chains nothing is told from chance, and of none nothing is known."""
    assert concluded(["a"], np.array([[1.0, 1.1, 0.9, 1.0]]), "gain") == (
        "Over fewer than 5 chains, which tell nothing: gain of a."
    )
    rng = np.random.default_rng(0)
    mixed = np.stack([5 + rng.normal(size=20), np.where(np.arange(20) < 3, 5 + rng.normal(size=20), np.nan)])
    said = concluded(["many", "few"], mixed, "gain")
    assert said.startswith("Told from chance: gain of many (")
    assert "Over fewer than 5 chains, which tell nothing: few. (one test, level 0.05.)" in said
    assert concluded(["a"], np.full((1, 4), np.nan), "gain") == "Nothing is known of gain."
