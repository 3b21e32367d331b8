"""Writing with transformers' own generation."""

from __future__ import annotations

from typing import Any

import pytest

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import demo_chains
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.loading import load_scorer
from tokimp.models.writing.transformers_engine import TransformersEngine
from tokimp.testing.random_models import CONTEXT_LENGTH, byte_tokenizer, random_model


def engine(**options: Any) -> TransformersEngine:
    """Return a small random model behind the engine."""
    return TransformersEngine(random_model("llama"), tokenizer=byte_tokenizer(), **options)


def test_it_writes_what_a_scorer_writes() -> None:
    """The embedded model writes the same greedy texts without a backend's hooks as with them."""
    chains = demo_chains(limit=4)
    plain, hooked = TransformersEngine("tiny"), load_scorer("tiny")
    prompts = [tokenize_chain(chain, plain.tokenizer).prompt_ids for chain in chains]
    texts = plain.generate(prompts, max_new_tokens=90)
    assert texts == hooked.generate(prompts, max_new_tokens=90)
    assert [text for (text,) in texts] == [f"{chain.reasoning}\n{chain.answer}" for chain in chains]
    assert plain.fingerprint() == hooked.fingerprint()
    assert plain.context_length == hooked.context_length


def test_texts_do_not_depend_on_the_batch() -> None:
    """The same seed gives the same texts in batches of any size; another seed gives others."""
    prompts = [[5, 6, 7], [8, 9], [10] * 9]
    settings: dict[str, Any] = {"max_new_tokens": 12, "n": 3, "temperature": 1.5}
    texts = engine().generate(prompts, seed=1, **settings)
    assert engine(batch_positions=25).generate(prompts, seed=1, **settings) == texts
    assert engine().generate(prompts, seed=2, **settings) != texts


def test_it_writes_and_does_nothing_else() -> None:
    """Log-probabilities are refused and the message says what gives them; a prompt without room is refused."""
    small = engine()
    chain = tokenize_chain(Chain("c", "q", "r", "a"), small.tokenizer)
    with pytest.raises(UnsupportedError, match=r"'transformers' only writes; tokimp\.load_scorer"):
        small.logprobs([chain])
    with pytest.raises(ScorerError, match="tokens and one to write"):
        small.generate([[5] * CONTEXT_LENGTH])
