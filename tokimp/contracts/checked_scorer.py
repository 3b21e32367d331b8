"""A scorer whose answers are checked where they enter: estimators and analyses get what the contract promises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.plugin_output import array_problem, described, plugin_code
from tokimp.contracts.scorer import Capability, DeletionScores, Scorer, SpanEntropies, SpanLogprobs
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import ScorerError, TokimpError

T = TypeVar("T")
Arguments = Mapping[str, Any]
"""What a method of a scorer was called with, by the names of the contract."""
Problem = Callable[[Arguments, Any], str]
"""Says what is wrong with an answer; an empty text if nothing is."""
# How far above 0 rounding may lift the log-probability of a token, in nats.
_ROUNDING = 1e-3


def _logprobs(asked: Arguments, answer: Any) -> str:
    chains: Sequence[TokenizedChain] = asked["chains"]
    if not isinstance(answer, Sequence) or len(answer) != len(chains):
        return f"{described(answer)}; a list of {len(chains)} SpanLogprobs was expected"
    for chain, spans in zip(chains, answer, strict=True):
        if not isinstance(spans, SpanLogprobs):
            return f"a list with {described(spans)}; SpanLogprobs were expected"
        for span, ids in (("reasoning", chain.reasoning_ids), ("answer", chain.answer_ids)):
            numbers = getattr(spans, span)
            if problem := array_problem(numbers, (len(ids),), "one number a token"):
                return f"for the {span} of {chain.id!r} {problem}"
            if (numbers > _ROUNDING).any():
                return f"for the {span} of {chain.id!r} a log-probability of {numbers.max():.4g}; none is above 0"
    return ""


def _entropies(asked: Arguments, answer: Any) -> str:
    chains: Sequence[TokenizedChain] = asked["chains"]
    if not isinstance(answer, Sequence) or len(answer) != len(chains):
        return f"{described(answer)}; a list of {len(chains)} SpanEntropies was expected"
    for chain, spans in zip(chains, answer, strict=True):
        if not isinstance(spans, SpanEntropies):
            return f"a list with {described(spans)}; SpanEntropies were expected"
        for span, ids in (("reasoning", chain.reasoning_ids), ("answer", chain.answer_ids)):
            for name in (span, f"{span}_ranks"):
                problem = array_problem(
                    getattr(spans, name), (len(ids),), "one number a token", whole=name.endswith("ranks")
                )
                if problem:
                    return f"as {name} of {chain.id!r} {problem}"
    return _logprobs(asked, [spans.logprobs for spans in answer])


def _deletions(asked: Arguments, answer: Any) -> str:
    if not isinstance(answer, DeletionScores):
        return f"{described(answer)}; DeletionScores were expected"
    for name in ("objective", "reasoning", "answer"):
        shape = (len(asked["candidates"]),)
        if problem := array_problem(getattr(answer, name), shape, "one score a candidate"):
            return f"as {name} {problem}"
    return ""


def _masks(asked: Arguments, answer: Any) -> str:
    return _deletions({"candidates": asked["masked"]}, answer)


def _candidate_scores(asked: Arguments, answer: Any) -> str:
    return array_problem(answer, (len(asked["candidates"]),), "one score a candidate")


def _candidate_logprobs(asked: Arguments, answer: Any) -> str:
    shape = (len(asked["candidates"]), len(asked["kept"]) + len(asked["chain"].answer_ids))
    return array_problem(answer, shape, "one row a candidate, of one number a token")


def _knockouts(asked: Arguments, answer: Any) -> str:
    return array_problem(answer, (len(asked["hidden"]),), "one score a knockout")


def _knockout_predictions(asked: Arguments, answer: Any) -> str:
    shape = (len(asked["hidden"]), len(asked["chain"].reasoning_ids) + len(asked["chain"].answer_ids))
    return array_problem(answer, shape, "one row a knockout, of one number a token")


def _attention(asked: Arguments, answer: Any) -> str:
    n_layers = None if asked["layers"] is None else len(asked["layers"])
    if asked["reduce"] is None:
        length = len(asked["chain"])
        return array_problem(answer, (n_layers, None, length, length), "[layer, head, query, key]")
    # What `reduce` makes of a layer has a shape of its own.
    return array_problem(answer, (n_layers, *np.shape(answer)[1:]), "one entry a layer")


def _states(asked: Arguments, answer: Any) -> str:
    n_layers = None if asked["layers"] is None else len(asked["layers"])
    return array_problem(answer, (n_layers, *np.shape(answer)[1:]), "one entry a layer")


def _gradients(asked: Arguments, answer: Any) -> str:
    if not isinstance(answer, tuple) or len(answer) != 2:
        return f"{described(answer)}; embeddings and gradients were expected, a tuple of two"
    shape = (len(asked["chain"].reasoning_ids), None)
    for name, values in zip(("embeddings", "gradients"), answer, strict=True):
        if problem := array_problem(values, shape, "one row a reasoning token"):
            return f"as {name} {problem}"
    return ""


def _value(asked: Arguments, answer: Any) -> str:
    del asked
    number = isinstance(answer, int | float | np.number) and not isinstance(answer, bool)
    return "" if number else f"{described(answer)}; one number was expected"


def _texts(asked: Arguments, answer: Any) -> str:
    expected = f"a list of {len(asked['prompts'])} lists of {asked['n']} texts each was expected"
    if not isinstance(answer, list) or len(answer) != len(asked["prompts"]):
        return f"{described(answer)}; {expected}"
    for texts in answer:
        if not isinstance(texts, list) or len(texts) != asked["n"] or not all(isinstance(text, str) for text in texts):
            return f"a list with {described(texts)}; {expected}"
    return ""


def _checked(method: str, problem_of: Problem) -> Callable[..., Any]:
    """Return the method that asks a scorer, and raises `ScorerError` where its answer breaks the contract."""
    signature = inspect.signature(getattr(Scorer, method))

    def ask(self: CheckedScorer, *arguments: Any, **options: Any) -> Any:
        name = f"the scorer {getattr(self.asked, 'backend', type(self.asked).__name__)!r}, asked for {method},"
        with plugin_code(name, ScorerError, passed_on=TokimpError):
            answering = getattr(self.asked, method)
        # A call that the contract does not know is the caller's mistake, and raises TypeError as any wrong call does.
        bound = signature.bind(self, *arguments, **options)
        bound.apply_defaults()
        who = f"{_where(bound.arguments)}: {name}"
        with plugin_code(who, ScorerError, passed_on=TokimpError):
            answer = answering(*arguments, **options)
        if problem := problem_of(bound.arguments, answer):
            raise ScorerError(f"{who} returned {problem}")
        return answer

    ask.__name__, ask.__doc__ = method, f"Return what the scorer returns, checked; see `Scorer.{method}`."
    return ask


def _where(asked: Arguments) -> str:
    """Return which chain a question is about, or how many chains or prompts."""
    if "chain" in asked:
        return str(asked["chain"].chain.where)
    if "chains" in asked:
        chains = asked["chains"]
        return str(chains[0].chain.where) if len(chains) == 1 else f"{len(chains)} chains"
    return f"{len(asked['prompts'])} prompts"


class CheckedScorer(Scorer):
    """Passes every question on to a scorer, and checks the types and shapes of its answers.

    A scorer may be anybody's code. An answer that breaks the contract (a tensor, ``None``, one score for many
    candidates) is a `ScorerError` that names the scorer, the chain, and what was expected. Numbers are passed on as
    they are. Everything else that the scorer has, it has too.

    Parameters
    ----------
    scorer
        The scorer to ask.
    subset_memory
        What is known of subsets of chains in this run (`tokimp.contracts.subset_scores`); ``None`` remembers nothing.

    Attributes
    ----------
    asked
        That scorer.
    subset_memory
        As given.
    """

    asked: Scorer
    subset_memory: SubsetMemory | None

    def __init__(self, scorer: Scorer, subset_memory: SubsetMemory | None = None) -> None:
        object.__setattr__(self, "asked", scorer)
        object.__setattr__(self, "subset_memory", subset_memory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.asked, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.asked, name, value)

    @property
    def capabilities(self) -> frozenset[Capability]:  # type: ignore[override] # a class attribute of scorers
        """What the scorer can be asked for."""
        return self.asked.capabilities

    @property
    def tokens_forwarded(self) -> int:  # type: ignore[override] # an attribute of scorers
        """Token positions that the scorer has passed through its model."""
        return self.asked.tokens_forwarded

    @property
    def call_cost(self) -> int:  # type: ignore[override] # an attribute of scorers
        """Token positions that take about as long as starting one more call of the model."""
        return self.asked.call_cost

    @property
    def chains_at_once(self) -> int:  # type: ignore[override] # an attribute of scorers
        """How many chains the scorer is best asked about side by side."""
        return self.asked.chains_at_once

    @property
    def reads_alone(self) -> bool:  # type: ignore[override] # an attribute of scorers
        """Whether no bit of the scorer's numbers depends on what else is asked in the same call."""
        return self.asked.reads_alone

    def clock(self) -> float:
        """Return the scorer's time, in seconds."""
        return self.asked.clock()

    def run_side_by_side(self, tasks: Sequence[Callable[[Scorer], T]]) -> list[T | BaseException]:
        """Run tasks with the scorer itself; what each asks is checked where it asks."""
        return self.asked.run_side_by_side(tasks)

    def fingerprint(self) -> str:
        """Return the scorer's digest."""
        return self.asked.fingerprint()

    logprobs = _checked("logprobs", _logprobs)
    entropies = _checked("entropies", _entropies)
    score_deletions = _checked("score_deletions", _deletions)
    deletion_scores = _checked("deletion_scores", _candidate_scores)
    score_masks = _checked("score_masks", _masks)
    deletion_logprobs = _checked("deletion_logprobs", _candidate_logprobs)
    score_knockouts = _checked("score_knockouts", _knockouts)
    knockout_logprobs = _checked("knockout_logprobs", _knockout_predictions)
    knockout_divergences = _checked("knockout_divergences", _knockout_predictions)
    attention = _checked("attention", _attention)
    states = _checked("states", _states)
    activations = _checked("activations", _states)
    activation_gradients = _checked("activation_gradients", _states)
    embedding_gradients = _checked("embedding_gradients", _gradients)
    objective_value = _checked("objective_value", _value)
    generate = _checked("generate", _texts)
