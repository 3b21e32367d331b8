"""Estimate what a plan takes before it runs: cells, tokens to sample, positions to prune, to train and to test."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tokimp.bench.estimate import expected_positions
from tokimp.bench.reuse_modes import ReuseMode
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.registry import load_objective, load_task
from tokimp.contracts.scorer import Capability
from tokimp.distillation.plan.grid import cells
from tokimp.distillation.plan.inputs import task_questions
from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import Method, Plan, QuestionSet
from tokimp.distillation.prune import ready_estimator
from tokimp.distillation.steps.chain_steps import Sampling
from tokimp.distillation.steps.disk import (
    CHARACTERS_A_TOKEN,
    bytes_of_ranking,
    bytes_of_response,
    bytes_of_students,
)
from tokimp.errors import PlanError, TokimpError

TOKENS_A_UNIT = {"token": 1, "word": 2, "sentence": 20}
"""Tokens in a unit, spaces and punctuation included: a rough guess, since nothing is tokenised."""
_ANSWER_TOKENS = 12
# One pass forward and one back; what else gradients and attention cost is no more positions.
_PASSES = {Capability.GRADIENTS: 2, Capability.ATTENTION: 1, Capability.LOGPROBS: 1}


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths that chains are assumed to have.

    Attributes
    ----------
    chains
        Number of chains: that of the questions, unless chains are sampled already.
    prompt, reasoning, answer
        Mean number of tokens in each. A guessed reasoning is no longer than a response may be.
    measured
        Whether `chains` and `reasoning` are those of chains sampled already.
    """

    chains: int
    prompt: float
    reasoning: float
    answer: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Amount:
    """One line of a forecast.

    Attributes
    ----------
    what, whose
        What is counted, and for which model, chains or questions.
    number
        How much it is.
    how
        How it was counted.
    models
        The models of the plan that do it, each an equal share.
    step
        The name of the step in which it is done; empty for what is a share of every student's step.
    pieces
        How many responses, chains or trainings that is.
    bytes_on_disk
        About what is kept of it in the folder; ``None`` where that is not known.
    """

    what: str
    whose: str
    number: float
    how: str
    models: tuple[ModelSpec, ...] = ()
    step: str = ""
    pieces: int | None = None
    bytes_on_disk: float | None = None


def forecast(
    plan: Plan, out: str | Path | None = None, *, reasoning_tokens: float = 150.0, question_tokens: float = 100.0
) -> list[Amount]:
    """Estimate what a plan takes, without loading a model.

    Questions are read if the plan gives no limit or they lie in a file, and chains if they are sampled already.

    Parameters
    ----------
    plan
        The plan.
    out
        The folder of the plan: chains that are sampled there already are counted instead of guessed.
    reasoning_tokens
        Mean number of reasoning tokens in a chain, where none are sampled; no more than ``max_new_tokens`` leaves room
        for.
    question_tokens
        Mean number of tokens in a question, where questions are not read.

    Raises
    ------
    PlanError
        If the plan gives no limit and its questions cannot be read.
    """
    kinds = Counter(cell.kind for cell in cells(plan))
    asked, tested = (
        _count(plan, questions, key) for questions, key in ((plan.questions, "questions"), (plan.test, "test"))
    )
    amounts = [
        Amount(
            "cells", kind, kinds[kind], "a training and an evaluation each" if kind != "untrained" else "evaluations"
        )
        for kind in ("untrained", "unpruned", "pruned")
        if kinds[kind]
    ]
    longest = int(plan.sample.get("max_new_tokens") or load_task(plan.task).max_new_tokens)
    answers = int(plan.evaluate.get("max_new_tokens") or load_task(plan.task).max_new_tokens)
    trained: dict[str, Lengths] = {}
    for teacher in plan.teachers:
        lengths = trained[teacher.name] = _lengths(
            plan,
            teacher,
            asked,
            out,
            reasoning=min(reasoning_tokens, max(1, longest - _ANSWER_TOKENS)),
            prompt=question_tokens,
        )
        responses = asked * int(plan.sample.get("n", 10))
        response = min(lengths.reasoning + lengths.answer, longest)
        amounts.append(
            Amount(
                "tokens to sample",
                teacher.name,
                responses * response,
                f"{responses:,} responses of {response:.0f} tokens; {responses * longest:,} at most",
                (teacher,),
                f"sample/{teacher.name}",
                responses,
                responses * bytes_of_response(response, lengths.prompt),
            )
        )
        amounts += _pruning(plan, teacher, lengths)
    amounts += _training(plan, trained)
    writes = sum(kinds.values()) * tested
    response = _answer_length(plan, trained, answers)
    amounts.append(
        Amount(
            "tokens to test",
            f"{tested:,} questions",
            writes * response,
            f"{writes:,} responses of {response:.0f} tokens, as students were taught; {writes * answers:,} at most",
            tuple(plan.students),
            pieces=writes,
            bytes_on_disk=writes * bytes_of_response(response),
        )
    )
    return amounts


def _answer_length(plan: Plan, trained: dict[str, Lengths], longest: int) -> float:
    """Return the mean length of the responses to the test, in tokens.

    A student is assumed to write as long as the chains it was taught, but no more than `longest` tokens.
    """
    usual = sum(lengths.reasoning for lengths in trained.values()) / len(trained)
    lengths = [
        usual if cell.teacher is None else trained[cell.teacher.name].reasoning * (cell.keep_ratio or 1.0)
        for cell in cells(plan)
    ]
    return sum(min(length + _ANSWER_TOKENS, longest) for length in lengths) / len(lengths)


def _count(plan: Plan, questions: QuestionSet, key: str) -> int:
    if questions.limit is not None:
        return questions.limit
    try:
        return len(task_questions(plan.task, questions))
    except TokimpError as error:
        raise PlanError(
            f"{key}: how many there are is not known ({error}); give {key}.limit, or a {key}.source that can be read"
        ) from error


def _lengths(
    plan: Plan, teacher: ModelSpec, asked: int, out: str | Path | None, *, reasoning: float, prompt: float
) -> Lengths:
    source = plan.questions.source
    if plan.questions.limit is None or (source is not None and Path(source).is_file()):
        # No data set has to be fetched in order to look at these.
        questions = task_questions(plan.task, plan.questions)
        prompt = sum(len(question.text) for question in questions) / len(questions) / CHARACTERS_A_TOKEN
    if out is not None:
        sampling = Sampling(plan, Path(out), teacher)
        if sampling.made():
            lines = sampling.chains.read_text(encoding="utf-8").split("\n")
            counts = [json.loads(line)["reasoning_tokens"] for line in lines if line]
            return Lengths(len(counts), prompt, sum(counts) / len(counts), _ANSWER_TOKENS, measured=True)
    return Lengths(asked, prompt, reasoning, _ANSWER_TOKENS, measured=False)


def _pruning(plan: Plan, teacher: ModelSpec, lengths: Lengths) -> list[Amount]:
    amounts = []
    for pruner in plan.pruners_of(teacher):
        for method in plan.methods:
            positions, how = _positions(plan, method, lengths)
            whose = f"{teacher.name}'s by {pruner.name}: {method.name}"
            counted = f"{lengths.chains:,} chains of {lengths.reasoning:.0f} reasoning tokens"
            counted += f" after {lengths.prompt:.0f}"
            step = f"prune/{teacher.name}/{pruner.name}/{method.name}"
            number = lengths.chains * positions
            kept = bytes_of_ranking(plan, lengths.chains, lengths.prompt, lengths.reasoning, lengths.answer)
            how = f"{counted}, {how}"
            amounts.append(Amount("positions to prune", whose, number, how, (pruner,), step, lengths.chains, kept))
    return amounts


def _positions(plan: Plan, method: Method, lengths: Lengths) -> tuple[float, str]:
    """Return about how many token positions it takes to rank a chain, and how that is counted."""
    estimator = ready_estimator(method.estimator, plan.keep_ratios, searches=False)
    whole = lengths.prompt + lengths.reasoning + lengths.answer
    units = max(2, round(lengths.reasoning / TOKENS_A_UNIT[plan.unit]))
    if Capability.DELETIONS in estimator.requires:
        if "keep_ratio" in estimator.parameters():
            ratio = float(estimator.parameters()["keep_ratio"])
            objective = load_objective(method.objective)
            steps = expected_positions(
                ReuseMode.FAST,
                stand_in(lengths.prompt, lengths.reasoning, lengths.answer, TOKENS_A_UNIT[plan.unit]),
                ratio,
                estimator,
                objective,
                shares=True,
            )
            return whole + steps, f"every step down to keep ratio {ratio:g} (an estimate)"
        own = getattr(estimator, "expected_positions", None)
        chain = stand_in(lengths.prompt, lengths.reasoning, lengths.answer, TOKENS_A_UNIT[plan.unit])
        expected = own(chain, load_objective(method.objective)) if callable(own) else None
        if expected is not None:
            return whole + float(expected), "the method's own estimate"
        return whole + units * (lengths.reasoning / 2 + lengths.answer), "every single deletion (an estimate)"
    if Capability.KNOCKOUT in estimator.requires:
        return whole * (1 + max(2, round(lengths.reasoning))), "a pass for each token"
    passes = max((_PASSES.get(capability, 1) for capability in estimator.requires), default=0)
    return whole * (1 + passes), "one pass or more" if not passes else f"{1 + passes} passes or more"


def stand_in(prompt: float, reasoning: float, answer: float, tokens_a_unit: int = 1) -> TokenizedChain:
    """Return a chain of these numbers of tokens, for counting and trying; all its ids are 0."""
    prompt_ids, reasoning_ids, answer_ids = ((0,) * max(1, round(n)) for n in (prompt, reasoning, answer))
    places = range(len(reasoning_ids))
    return TokenizedChain(
        chain=Chain("counted", "?", "x" * len(reasoning_ids), "x"),
        prompt_ids=prompt_ids,
        reasoning_ids=reasoning_ids,
        answer_ids=answer_ids,
        reasoning_offsets=tuple((place, place + 1) for place in places),
        units=tuple(tuple(places[begin : begin + tokens_a_unit]) for begin in places[::tokens_a_unit]),
    )


def _training(plan: Plan, trained: dict[str, Lengths]) -> list[Amount]:
    total, runs = 0.0, 0
    for cell in cells(plan):
        if cell.teacher is None:
            continue
        lengths = trained[cell.teacher.name]
        kept = lengths.reasoning * (cell.keep_ratio or 1.0)
        read = lengths.chains * (1 - plan.train.validation) * plan.train.epochs
        if plan.train.max_steps:
            # A number of steps takes the place of epochs.
            read = plan.train.max_steps * plan.train.batch_size * plan.train.gradient_accumulation
        total += read * (lengths.prompt + kept + lengths.answer)
        runs += 1
    amount = f"{plan.train.max_steps} steps" if plan.train.max_steps else f"{plan.train.epochs:g} epochs"
    how = f"read and learnt from; {amount} each"
    return [
        Amount(
            "positions to train",
            f"{runs} trainings",
            total,
            how,
            tuple(plan.students),
            pieces=runs,
            bytes_on_disk=bytes_of_students(plan, runs),
        )
    ]
