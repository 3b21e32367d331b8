"""How far a categorizer agrees with known categories."""

from __future__ import annotations

import pytest
from tokimp_categorizers.label_check import confusion_matrix, precision_and_recall
from tokimp_categorizers.rules import RulesCategorizer

import tokimp as ti
from tokimp.chains.chain import CategorySpan, Chain
from tokimp.errors import CategorizerError


def test_known_categories_of_the_embedded_chains_are_found() -> None:
    """Of the embedded model's chains, categories with clear words are found with precision and recall above 0.9."""
    counts = confusion_matrix(ti.demo_chains(), RulesCategorizer())
    table = precision_and_recall(counts)
    assert int(counts.to_numpy().sum()) == int(table["words"].sum())
    for category in ("symbolic_math", "coreference"):
        precision, recall, *_ = table.loc[category].to_numpy(dtype=float)
        assert min(precision, recall) > 0.9


def test_a_confusion_matrix_by_hand() -> None:
    """Rows are what is known, columns what was given; words of unknown category are left out."""
    chain = Chain(
        "c", "?", "1 he so", "a", category=(CategorySpan(0, 1, "symbolic_math"), CategorySpan(2, 4, "grammar"))
    )
    counts = confusion_matrix([chain], RulesCategorizer())
    assert counts["symbolic_math"].to_dict() == {"grammar": 0, "symbolic_math": 1}
    assert counts["coreference"].to_dict() == {"grammar": 1, "symbolic_math": 0}
    assert int(counts.to_numpy().sum()) == 2
    with pytest.raises(CategorizerError, match="no chain has categories"):
        confusion_matrix([Chain("c", "?", "x", "a")], RulesCategorizer())
