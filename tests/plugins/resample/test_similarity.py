"""Units are similar by their words, or by an encoder."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tokimp_resample import Resample
from tokimp_resample.similarity import _encoder, first_unit, similarities, unit_texts

from tests.plugins.resample.toy_writer import chain_of
from tokimp.errors import EstimatorError


def test_words_are_compared_by_how_often_they_occur() -> None:
    """The cosine of word counts, in any case; numbers and signs are words too."""
    found = similarities(["A b b", "c", "", "a B b"], "a b", "words")
    np.testing.assert_allclose(found, [3 / np.sqrt(10), 0, 0, 3 / np.sqrt(10)])
    assert similarities(["8/2=4", "8/2=5"], "8/2 = 4").round(3).tolist() == [1.0, 0.8]
    assert similarities(["", " "], "\n").tolist() == [1.0, 1.0]


def test_an_encoder_is_asked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each different text is encoded once, with the unit itself, and the cosines are those of the vectors."""
    asked: list[list[str]] = []

    class SentenceTransformer:
        def __init__(self, name: str) -> None:
            assert name == "an-encoder"

        def encode(self, texts: list[str], **options: Any) -> Any:
            assert options == {"normalize_embeddings": True}
            asked.append(texts)
            return np.array([[1.0, 0.0] if "a" in text else [0.6, 0.8] for text in texts], dtype=np.float32)

    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined] # the stand-in of the library's class
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    _encoder.cache_clear()
    np.testing.assert_allclose(similarities(["b", "a", "b"], "aa", "an-encoder"), [0.6, 1.0, 0.6], atol=1e-6)
    assert asked == [["aa", "b", "a"]]
    _encoder.cache_clear()


def test_an_encoder_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library an encoder is refused before any work, and the message names both ways out."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EstimatorError, match=r"all-MiniLM-L6-v2.* pip install .*\(similarity=words\)"):
        Resample(similarity="all-MiniLM-L6-v2").validate_parameters()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("sentence", "Take 5."), ("word", "Take "), ("token", "Ta"), ("line", "Take 5. Then add 2.\n")],
)
def test_the_first_unit_is_divided_as_the_chain_is(unit: str, expected: str) -> None:
    """The splitter of the chain finds it; of tokens, as many characters are taken as the chain's own has."""
    chain = chain_of("abc def.", unit=unit)
    assert first_unit("Take 5. Then add 2.\nDone.", chain, "xy").strip() == expected.strip()
    assert first_unit("", chain, "xy") == ""


def test_units_have_the_text_of_their_tokens() -> None:
    """Joined, they are the reasoning."""
    assert unit_texts(chain_of("Take 5. Then go.")) == ["Take 5.", " Then go."]
