"""The border to a plugin's code: a sentence names the plugin, the chain and what was expected."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.chains.chain import CategorySpan, Chain, TokenizedChain
from tokimp.compare.run_cell import run_cell
from tokimp.contracts.categorizer import Categorizer, categorize_chains
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.checked_task import parts_of, questions_of, rightness
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Joint, Objective
from tokimp.contracts.scorer import DeletionScores, Scorer, SpanLogprobs
from tokimp.contracts.task import Question, Source, Task
from tokimp.errors import CategorizerError, EstimatorError, ObjectiveError, ScorerError, TaskError
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

CHAIN = toy_chain("abc", id="one")
TEXT = Chain("one", "How many?", "She has 7.", "#### 7")


class Mine(ImportanceEstimator):
    """Returns what it was built with, or raises it."""

    name = "mine"

    def __init__(self, returned: Any = None) -> None:
        self.returned = returned

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return it."""
        if isinstance(self.returned, BaseException):
            raise self.returned
        returned: Importance = self.returned
        return returned


def importance(**changed: Any) -> Any:
    """Return an importance of which some fields are of a wrong type."""
    return Importance(**{"scores": np.arange(3.0), **changed})


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (None, "returned None; an Importance was expected"),
        (Importance, r"returned the class Importance \(not an instance of it\); an Importance was expected"),
        (np.arange(3.0), r"returned an array of shape \(3,\); an Importance"),
        (importance(scores=[0.0, 1.0, 2.0]), r"as scores, a list of 3; a numpy array of shape \(3,\) was expected"),
        (importance(scores=torch.arange(3.0)), r"as scores, a torch.Tensor of shape \(3,\); a numpy array"),
        (importance(scores=np.arange(3) > 1), "dtype bool; real numbers"),
        (importance(scores=np.arange(2.0)), r"as scores, an array of shape \(2,\); a numpy array of shape \(3,\)"),
        (importance(order=[0, 1, 2]), "as order, a list of 3"),
        (importance(order=np.arange(3), trajectory=[1.0]), "as trajectory, a list of 1; a Trajectory was expected"),
        (importance(diagnostics={"gap": np.zeros(3)}), r"diagnostic 'gap' with an array of shape \(3,\).*a number"),
        (importance(diagnostics={"gap": torch.zeros(1)}), "diagnostic 'gap' with a torch.Tensor"),
        (importance(diagnostics=[("gap", 1.0)]), "as diagnostics, a list of 1; a dict"),
        (SystemExit(3), r"failed with SystemExit: 3 \(test_plugin_output\.py:\d+\)$"),
        (ValueError("two\nlines"), "failed with ValueError: two lines"),
    ],
)
def test_an_estimator_that_breaks_its_contract(returned: Any, reason: str) -> None:
    """Whatever an estimator returns or raises, the message names it and the chain, and nothing ends the process."""
    estimator = Mine()
    estimator.returned = returned
    with pytest.raises(EstimatorError, match=rf"chain 'one': the estimator .mine.*{reason}"):
        run_cell(CHAIN, AdditiveScorer({}), estimator, Joint(), seed=0)


class Answering(AdditiveScorer):
    """Gives one answer to every question."""

    answer: Any = None

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Give it."""
        given: list[SpanLogprobs] = self._given()
        return given

    def score_deletions(self, *_: Any, **__: Any) -> DeletionScores:
        """Give it."""
        given: DeletionScores = self._given()
        return given

    def generate(self, *_: Any, **__: Any) -> list[list[str]]:
        """Give it."""
        given: list[list[str]] = self._given()
        return given

    def _given(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def _logprobs(scorer: Scorer) -> Any:
    return scorer.logprobs([CHAIN])


def _deletions(scorer: Scorer) -> Any:
    return scorer.score_deletions(CHAIN, [0, 1, 2], [(0,), (1,)], Joint())


def _generate(scorer: Scorer) -> Any:
    return scorer.generate([[1], [2]], n=1)


ONE = np.zeros(1)


@pytest.mark.parametrize(
    ("ask", "answer", "reason"),
    [
        (_logprobs, None, "logprobs, returned None; a list of 1 SpanLogprobs was expected"),
        (_logprobs, [torch.zeros(3)], r"a list with a torch.Tensor of shape \(3,\); SpanLogprobs were expected"),
        (_logprobs, [SpanLogprobs(torch.zeros(3), np.zeros(1))], "for the reasoning of 'one' a torch.Tensor"),  # type: ignore[arg-type] # the point
        (_logprobs, SystemExit(1), "logprobs, failed with SystemExit: 1"),
        (_deletions, DeletionScores(ONE, ONE, ONE), r"as objective an array of shape \(1,\); .*\(2,\).*a candidate"),
        (_deletions, 0.5, "a float; DeletionScores were expected"),
        (_generate, ["a", "b"], "a list with a str; a list of 2 lists of 1 texts each was expected"),
    ],
)
def test_a_scorer_that_breaks_its_contract(ask: Callable[[Scorer], Any], answer: Any, reason: str) -> None:
    """Tensors, None, one score for many candidates and SystemExit are one sentence about the scorer."""
    scorer = Answering({})
    scorer.answer = answer
    with pytest.raises(ScorerError, match=rf"(chain 'one'|2 prompts): the scorer '{scorer.backend}', asked.*{reason}"):
        ask(CheckedScorer(scorer))


def test_a_checked_scorer_is_the_scorer_in_everything_else() -> None:
    """Numbers, capabilities, costs and attributes are those of the scorer, and an attribute is set on it."""
    scorer = AdditiveScorer({"a": 1.0})
    checked = CheckedScorer(scorer)
    assert checked.capabilities == scorer.capabilities
    np.testing.assert_array_equal(_logprobs(checked)[0].reasoning, _logprobs(scorer)[0].reasoning)
    assert checked.tokens_forwarded == scorer.tokens_forwarded > 0
    assert (checked.backend, checked.tokenizer) == (scorer.backend, scorer.tokenizer)
    checked.device = "elsewhere"
    assert scorer.device == "elsewhere"


class Labels(Categorizer):
    """Returns what it is told to, or raises it."""

    name = "labels"
    returned: Any = ()

    def categorize(self, chain: Chain) -> tuple[CategorySpan, ...]:
        """Return it."""
        if isinstance(self.returned, BaseException):
            raise self.returned
        returned: tuple[CategorySpan, ...] = self.returned
        return returned


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (None, "returned None; a tuple of CategorySpan was expected"),
        ("math", "returned a str; a tuple"),
        ([(0, 3, "math")], "a tuple of 3 among its spans; CategorySpan was expected"),
        ([CategorySpan(0, 3.0, "math")], "two whole numbers and a text were expected"),  # type: ignore[arg-type] # the point
        (SystemExit(1), "failed with SystemExit: 1"),
        (IndexError("gone"), "failed with IndexError: gone"),
    ],
)
def test_a_categorizer_that_breaks_its_contract(returned: Any, reason: str) -> None:
    """The message names categorizer and chain."""
    categorizer = Labels()
    categorizer.returned = returned
    with pytest.raises(CategorizerError, match=rf"chain 'one': the categorizer 'labels' .*{reason}"):
        categorize_chains([TEXT], categorizer)


class Asking(Task):
    """Returns what it is told to, whatever it is asked."""

    name = "asking"
    returned: Any = None

    def questions(
        self, source: Source | None = None, *, limit: int | None = None, seed: int = 0, split: str = "test"
    ) -> list[Question]:
        """Return it, or end the process."""
        if self.returned is sys.exit:
            sys.exit("bye")
        returned: list[Question] = self.returned
        return returned

    def split(self, response: str) -> tuple[str, str] | None:
        """Return it."""
        returned: tuple[str, str] | None = self.returned
        return returned

    def is_right(self, answer: str, gold: str) -> bool:
        """Return it."""
        returned: bool = self.returned
        return returned


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (None, "returned None; a list of Question was expected"),
        ([{"id": "a"}], "returned a dict of 1 in its list; Question was expected"),
        ([Question("a", "How?", 7)], "question 'a' with an int as gold; a text was expected"),  # type: ignore[arg-type] # the point
        (sys.exit, "failed with SystemExit: bye"),
    ],
)
def test_a_task_that_breaks_its_contract(returned: Any, reason: str) -> None:
    """Questions are a list of Question with texts; the message names the task."""
    task = Asking()
    task.returned = returned
    with pytest.raises(TaskError, match=f"the task 'asking', asked for its questions, .*{reason}"):
        questions_of(task, None, limit=1, seed=0, split="test")


@pytest.mark.parametrize("returned", ["So 7.", ("So 7.",), ("So", 7), ["So", "7"]])
def test_a_task_that_splits_wrongly(returned: Any) -> None:
    """A response has two parts that are texts, or none."""
    task = Asking()
    task.returned = returned
    with pytest.raises(TaskError, match=r"asked to split a response, returned .*; a tuple of two texts"):
        parts_of(task, "So 7.")


@pytest.mark.parametrize("returned", [1, "yes", "not known", np.zeros(2)])
def test_a_task_that_judges_wrongly(returned: Any) -> None:
    """An answer is right or not; nothing that only counts as such."""
    task = Asking()
    task.returned = returned
    with pytest.raises(TaskError, match=r"True, False or None \(not known\) was expected"):
        rightness(task, "7", "7")


def test_a_task_that_does_not_know() -> None:
    """None means that whether an answer is right is not known; numpy's truth values are Python's."""
    task = Asking()
    for returned, judged in ((None, None), (np.True_, True), (False, False)):
        task.returned = returned
        assert rightness(task, "7", "7") is judged


class Failing(Objective):
    """Fails with what it is told to."""

    name = "failing"
    raised: BaseException = ValueError("no")

    def __call__(self, logprobs: Any) -> torch.Tensor:
        """Raise it."""
        raise self.raised


@pytest.mark.parametrize("raised", [ValueError("no"), SystemExit("no")])
def test_an_objective_that_fails(raised: BaseException) -> None:
    """The message blames the objective, not the estimator that asked for it."""
    objective = Failing()
    objective.raised = raised
    with pytest.raises(ObjectiveError, match=r"the objective 'failing' failed with .*no"):
        AdditiveScorer({}).score_deletions(CHAIN, [0, 1, 2], [(0,)], objective)
