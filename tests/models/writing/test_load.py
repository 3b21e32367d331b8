"""Loading a writing engine by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.writing.load import load_engine
from tokimp.models.writing.transformers_engine import TransformersEngine
from tokimp.testing.random_models import byte_tokenizer, random_model


def test_transformers_is_the_default() -> None:
    """Without a name the engine is that of transformers, and options reach it."""
    engine = load_engine(random_model("llama"), tokenizer=byte_tokenizer(), batch_positions=7)
    assert isinstance(engine, TransformersEngine)
    assert engine.budget.positions == 7


def test_an_unknown_engine_is_refused() -> None:
    """The message names the engines there are."""
    with pytest.raises(UnsupportedError, match="no engine 'llama_cpp'; engines are transformers, vllm"):
        load_engine("tiny", "llama_cpp")  # type: ignore[arg-type] # what a user might type


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    """A folder that is not there is an error that names it."""
    with pytest.raises(ScorerError, match="there is no model folder"):
        load_engine(str(tmp_path / "none"))


def test_vllm_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vLLM cannot be imported, the message says what to install, or to take the other engine."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UnsupportedError, match=r"needs vLLM.* pip install vllm .* engine='transformers'"):
        load_engine("tiny", "vllm")
