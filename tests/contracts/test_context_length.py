"""One check tells whether a chain or a prompt fits into a model's context."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tokimp.contracts.context_length import check_chain_fits, check_prompt_fits
from tokimp.contracts.objective import Contrast, Joint
from tokimp.errors import ChainError, ContextLengthError, ScorerError
from tokimp.testing import toy_chain


@dataclass(frozen=True)
class Model:
    """A model that reads so many tokens."""

    context_length: int | None
    model_id: str = "small"


def test_a_chain_fits_up_to_the_context() -> None:
    """A chain as long as the context is read; one token more is refused with the chain, both lengths and the model."""
    chain = toy_chain("four", question="??", answer="!")
    check_chain_fits(chain, Model(7))
    with pytest.raises(ContextLengthError, match=r"^chain 'toy': 7 tokens, but small reads at most 6; shorten it"):
        check_chain_fits(chain, Model(6))


def test_the_wrong_answer_counts_where_the_objective_reads_it() -> None:
    """The longer answer has to fit if the objective reads both, and only then."""
    chain = toy_chain("four", question="??", answer="!", wrong_answer="!!!")
    check_chain_fits(chain, Model(7))
    check_chain_fits(chain, Model(7), Joint())
    check_chain_fits(chain, Model(9), Contrast())
    with pytest.raises(ContextLengthError, match="9 tokens, but small reads at most 8"):
        check_chain_fits(chain, Model(8), Contrast())


def test_a_prompt_needs_room_to_write() -> None:
    """A prompt that fills the context is refused: not one token could be written."""
    check_prompt_fits("prompt 3", 7, Model(8))
    with pytest.raises(ContextLengthError, match=r"^prompt 3: 8 tokens and one to write, but small reads at most 8"):
        check_prompt_fits("prompt 3", 8, Model(8))


def test_a_model_without_a_limit_reads_any_length() -> None:
    """Where a model names no limit, nothing is too long."""
    check_chain_fits(toy_chain("x" * 10_000), Model(None))
    check_prompt_fits("prompt 0", 10_000, Model(None))


def test_the_error_is_one_of_the_chain_and_of_the_scorer() -> None:
    """Who handles errors of chains, or of scorers, handles this one."""
    assert issubclass(ContextLengthError, ChainError)
    assert issubclass(ContextLengthError, ScorerError)
