"""The wrong answers that the model itself gives, drawn for the chains of a run, each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.cell_work import CellWork, WrongAnswer
from tokimp.compare.journal import Journal
from tokimp.contracts.executor import Executor, Piece, Workers


def draw_by_model(
    chains: Sequence[TokenizedChain],
    executor: Executor,
    work: CellWork,
    journal: Journal | None,
    tokenize: Callable[[Chain], TokenizedChain],
) -> list[TokenizedChain]:
    """Return the chains, each with the model's own second choice as its wrong answer where it had none.

    Parameters
    ----------
    chains
        The chains as ids.
    executor, work
        Who asks the model (`tokimp.compare.wrong_answers.second_choice`).
    journal
        Where drawn answers are stored. A run that is continued finds them there, and asks no second time.
    tokenize
        Makes ids of a chain as the run does.

    Raises
    ------
    ObjectiveError
        If the model gives no other value; the message names the chain.
    """
    answers = {index: chain.chain.wrong_answer for index, chain in enumerate(chains)}
    if journal:
        answers |= {index: journal.wrong_answer(index) for index, answer in answers.items() if answer is None}
    pieces = [
        Piece(index, f"{chains[index].chain.where}, its wrong answer", WrongAnswer(chains[index]))
        for index, answer in answers.items()
        if answer is None
    ]
    with closing(executor.run(work, pieces, _unwatched)) as outcomes:
        for outcome in outcomes:
            if outcome.failure is not None:
                raise outcome.failure.error
            index = outcome.piece.index
            answers[index] = outcome.result
            if journal:
                journal.store_wrong_answer(index, outcome.result)
    return [
        chain if chain.chain.wrong_answer is not None else tokenize(replace(chain.chain, wrong_answer=answers[index]))
        for index, chain in enumerate(chains)
    ]


def _unwatched(_workers: Workers) -> None:
    """Tell nobody: what is drawn is no cell."""
