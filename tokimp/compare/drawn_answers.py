"""The wrong answers that the model itself gives, drawn for the chains of a run, each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.cell_work import WrongAnswer
from tokimp.compare.journal import Journal
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.executor import Executor, Piece


def draw_by_model(
    chains: Sequence[TokenizedChain],
    executor: Executor,
    work: ScorerWork,
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
    for outcome in results_of(executor, work, pieces):
        answers[outcome.piece.index] = outcome.result
        if journal:
            journal.store_wrong_answer(outcome.piece.index, outcome.result, outcome.threads)
    return [
        chain if chain.chain.wrong_answer is not None else tokenize(replace(chain.chain, wrong_answer=answers[index]))
        for index, chain in enumerate(chains)
    ]
