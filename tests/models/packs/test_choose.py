"""Which path a model's deletions get, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.packs.architectures import NOT_PACKABLE
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.models.packs.choose import choose_reader
from tokimp.testing.random_models import byte_tokenizer, random_model


def load(architecture: str, packed: Any, backend: str = "nnsight", **fields: Any) -> CausalLMScorer:
    """Return a scorer of a small random model on a CPU."""
    model = random_model(architecture, **fields)
    scorer = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer(), packed=packed)
    assert isinstance(scorer, CausalLMScorer)
    return scorer


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize(
    ("packed", "reads", "said"),
    [
        (True, True, "packs of rows of any length"),
        (False, False, "batches of rows of one length: packed=false"),
        ("auto", False, "batches of rows of one length: on a CPU they are as fast as packs"),
    ],
)
def test_a_scorer_says_which_path_it_takes_and_why(backend: str, packed: Any, reads: bool, said: str) -> None:
    """`batching` tells packs from batches and gives the reason, on both backends."""
    scorer = load("llama", packed, backend)
    assert scorer.batching == said
    assert scorer.decoder.reads_packs is reads


@pytest.mark.parametrize("architecture", NOT_PACKABLE)
def test_a_model_that_cannot_be_packed_keeps_batches_unless_packs_are_asked_for(architecture: str) -> None:
    """Under "auto" on a GPU the reason is told and batches are read; under True the same reason is the error."""
    fields, reason = NOT_PACKABLE[architecture]
    with pytest.raises(
        UnsupportedError, match=r"this model cannot be read in packs: .+; leave packed at 'auto'"
    ) as error:
        load(architecture, packed=True, **fields)
    assert reason in str(error.value)
    model, shares = random_model(architecture, **fields), architecture != "lfm2"
    reader, said = choose_reader(model, "auto", "cuda", shares_prefix=shares)
    assert reader is None
    assert said.startswith("batches of rows of one length: ")
    assert reason in said


@pytest.mark.parametrize("packed", ["yes", None, 2, "True"])
def test_any_other_choice_is_refused(packed: Any) -> None:
    """A value that is none of the three is an error that names the three."""
    with pytest.raises(ScorerError, match=r"packed=.* is not allowed; give 'auto', true or false"):
        load("llama", packed)


def test_packs_need_shared_keys_and_values() -> None:
    """Packs are refused together with reuse_kv=False, which forbids what they are made of."""
    with pytest.raises(UnsupportedError, match="keys and values are not shared"):
        load_scorer(
            random_model("llama"), "nnsight", device="cpu", tokenizer=byte_tokenizer(), packed=True, reuse_kv=False
        )
