"""Whether a chain or a prompt fits into a model's context: one check and one message for all who ask."""

from __future__ import annotations

from typing import Protocol

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective, Span
from tokimp.errors import ContextLengthError


class Reader(Protocol):
    """A model that reads at most so many tokens; ``None`` where it names no limit."""

    @property
    def model_id(self) -> str:
        """What the model is called."""

    @property
    def context_length(self) -> int | None:
        """The longest sequence it reads, in tokens."""


def check_chain_fits(chain: TokenizedChain, model: Reader, objective: Objective | None = None) -> None:
    """Raise `ContextLengthError` if a chain is longer than a model's context.

    Parameters
    ----------
    chain
        Prompt, reasoning and answer as ids.
    model
        Who is to read it.
    objective
        If it reads the wrong answer, the longer of the two answers has to fit.
    """
    answer = len(chain.answer_ids)
    if objective is not None and Span.WRONG_ANSWER in objective.spans:
        answer = max(answer, len(chain.wrong_answer_ids or ()))
    _check(chain.chain.where, len(chain.prompt_ids) + len(chain.reasoning_ids) + answer, model, "")


def check_prompt_fits(where: str, tokens: int, model: Reader) -> None:
    """Raise `ContextLengthError` if a prompt of so many tokens leaves a model no room to write even one.

    Parameters
    ----------
    where
        Which prompt it is, as the message begins.
    tokens
        Its length.
    model
        Who is to read it.
    """
    _check(where, tokens, model, " and one to write")


def _check(where: str, tokens: int, model: Reader, more: str) -> None:
    most = model.context_length
    if most is not None and tokens + bool(more) > most:
        raise ContextLengthError(
            f"{where}: {tokens} tokens{more}, but {model.model_id} reads at most {most}; "
            "shorten it, leave it out (--skip-bad), or use a model with a longer context"
        )
